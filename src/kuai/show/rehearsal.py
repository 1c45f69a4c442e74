"""Running a net only to look: every call of a block is recorded, and nothing stays changed.

The run is abstract, so nothing is computed. A forward that branches on array values has no abstract
run; it runs on the real arrays, and the values made for that are forgotten again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.block import Block
from kuai.core.context import DryRun, Scope, context, entered, scoped
from kuai.core.initialize import CONCRETIZATION
from kuai.core.parameter import Holder
from kuai.core.signature import Template, split
from kuai.core.tree import walk
from kuai.errors import ArgumentError
from kuai.random import Stream, streaming


@dataclass(frozen=True)
class Call:
    """One call of a block.

    Attributes:
        template: the inputs without their arrays; None where they cannot be told apart.
        arrays: shape and dtype of the arrays in the inputs.
        outputs: the shapes of the arrays in the output.
        modes: the fields of the thread's context that tell the mode and the dtype.
    """

    template: Template | None
    arrays: list[jax.ShapeDtypeStruct]
    outputs: tuple[tuple[int, ...], ...]
    modes: dict[str, Any]


@dataclass
class Rehearsal:
    """What was seen.

    Attributes:
        calls: id of a block → its calls in order.
        abstract: whether the run was abstract.
    """

    calls: dict[int, list[Call]] = field(default_factory=dict)
    abstract: bool = True


@contextmanager
def rehearsed(block: Block, inputs: tuple[Any, ...]) -> Iterator[Rehearsal]:
    """Run `block` on `inputs`; inside the `with`, shapes that the run settled are known.

    Args:
        block: the net; without values it stays so.
        inputs: arrays, or `jax.ShapeDtypeStruct` in their places.

    Raises:
        ShapeError: the inputs do not fit; like every error of forward, nothing has changed then.
    """
    seen = Rehearsal()
    undo = DryRun()
    try:
        with streaming(Stream(0, 0)):
            _run(block, jax.tree.map(_as_array, inputs), seen, undo)
            with _looking(undo, placeholder):
                yield seen
    finally:
        undo.finish(failed=True)


def _as_array(leaf: Any) -> Any:
    """A shape alone stands for zeros, in an array that takes no memory."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)
    return leaf


def _run(block: Block, inputs: tuple[Any, ...], seen: Rehearsal, undo: DryRun) -> None:
    arrays: list[Any] = []
    template = split(inputs, arrays)

    def call(arrays: list[Any]) -> None:
        block(*template.join(arrays))

    with ExitStack() as hooks:
        record = _recorder(seen.calls)
        for each in walk(block).blocks.values():
            hooks.enter_context(each.register_forward_hook(record))  # type: ignore[attr-defined]
        try:
            with _looking(undo, placeholder):
                jax.eval_shape(call, arrays)
        except CONCRETIZATION:
            seen.calls.clear()
            seen.abstract = False
            with _looking(undo, None):
                call([jnp.asarray(array) for array in arrays])


@contextmanager
def _looking(undo: DryRun, missing: Callable[[Holder], jax.Array] | None) -> Iterator[None]:
    scope = Scope({}, missing)
    scope.dry_run = undo
    with scoped(scope), entered(inferring=missing is not None, inline=True):
        yield


def placeholder(holder: Holder) -> jax.Array:
    """What an abstract run reads: the shape matters, the values do not."""
    if holder.ready or not holder.settled:
        return holder.concrete()
    return jnp.zeros(holder.shape, holder.dtype)


def _recorder(calls: dict[int, list[Call]]) -> Callable[..., None]:
    """A forward hook that notes the calls of this thread; others may be using the same net."""
    thread = threading.get_ident()

    def record(block: Block, inputs: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() != thread:
            return
        template, arrays = _taken_apart(inputs, floats_traced=True)
        shapes = tuple(np.shape(array) for array in _taken_apart(output, floats_traced=False)[1])
        names = ("training", "forced", "compute_dtype")
        modes = {name: getattr(context, name) for name in names}
        calls.setdefault(id(block), []).append(
            Call(template, list(map(_abstract, arrays)), shapes, modes)
        )

    return record


def _taken_apart(value: Any, *, floats_traced: bool) -> tuple[Template | None, list[Any]]:
    arrays: list[Any] = []
    try:
        return split(value, arrays, floats_traced=floats_traced), arrays
    except ArgumentError:  # something unhashable: plain Python may still compute with it
        return None, arrays


def _abstract(array: Any) -> jax.ShapeDtypeStruct:
    kind = jax.typeof(array)
    return jax.ShapeDtypeStruct(kind.shape, kind.dtype, weak_type=kind.weak_type)
