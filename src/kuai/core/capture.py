"""`kuai.capture`: the outputs of blocks inside a net, beside the net's own.

Invariant: an output is written as `State` is, to a holder of its own. So whatever carries State out
of a part of a program (a gradient taken inside forward, a block run under `remat`) carries the
output too, and no tracer is kept where it cannot be used.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state

from kuai.core.automatic import run_transform
from kuai.core.binding import bound_call, commit
from kuai.core.context import context, entered, following
from kuai.core.initialize import ready, retried
from kuai.core.parameter import Holder, State
from kuai.core.signature import Template, split
from kuai.core.tree import Node, here, matches, selected, walk
from kuai.errors import ArgumentError, CaptureError

_MOST_KEPT = 16  # selections of a block whose programs are kept


def capture(block: Node, select: Any = None) -> Callable[..., Any]:
    """Make a function that returns a net's output and the outputs of blocks inside it.

    It is compiled as the net is, the outputs become results of the program, and gradients flow
    through them. Flax calls this `capture_intermediates`; in PyTorch it takes a hook on each block.

    Args:
        block: the net.
        select: which blocks, as in `net.blocks`: a glob over paths ("*.attention"; the net itself
            has path ""), a compiled regular expression, a type, or a predicate (path, block);
            default all.

    Returns:
        A function of the net's inputs that returns (output, {path: output}), sorted by path. A
        block that was called several times has a tuple of its outputs; one that was not called is
        left out; a shared one stands under its first path.

    Raises:
        ArgumentError: `block` is no block; when called, the selection selects nothing.
        CaptureError: when called, a selected block runs inside a loop or branch on arrays that is
            compiled, or in a function given to JAX (scan, vmap): how often it runs is not known.
            As plain Python (`kuai.eager()`) loops and branches on arrays are no obstacle.

    Example:
        >>> net = nn.Sequential(nn.Dense(3, init="ones"), nn.Dense(1, init="ones"))
        >>> y, outputs = kuai.capture(net, "0")(jnp.ones((1, 2)))
        >>> y.tolist(), outputs["0"].tolist()
        ([[6.0]], [[2.0, 2.0, 2.0]])
        >>> _, outputs = kuai.capture(net, nn.Dense)(jnp.ones((1, 2)))
        >>> list(outputs)
        ['0', '1']
    """
    if not isinstance(block, Node):
        raise ArgumentError(
            f"kuai.capture: expected a block, got {type(block).__name__}; pass the net itself"
        )
    if not isinstance(select, Hashable):
        matches(select, "", block)  # which says what a selection may be
    transform = _kept(block, select)

    def captured(*inputs: Any, **keywords: Any) -> Any:
        return run_transform(block, transform, inputs, keywords)

    return captured


def _kept(block: Any, select: Any) -> Callable[..., Any]:
    """One transform for a block and a selection, so that it is compiled once."""
    kept = block._kuai.captures
    if select not in kept:
        while len(kept) >= _MOST_KEPT:
            kept.pop(next(iter(kept)))
        kept[select] = _transform(select)
    transform: Callable[..., Any] = kept[select]
    return transform


def _transform(select: Any) -> Callable[..., Any]:
    def capture(block: Any, *inputs: Any, **keywords: Any) -> Any:
        ready([block], block, inputs, keywords)
        call = functools.partial(_captured, block, select, inputs, keywords)
        output, captures, writes = retried([block], call)
        outputs = captures.outputs(writes)
        commit(writes)
        return output, outputs

    return capture


def _captured(block: Any, select: Any, inputs: Any, keywords: Any) -> Any:
    paths = _paths(block, select)

    def call() -> Any:
        captures = Captures(paths)
        with entered(captures=captures, inline=True):
            return block(*inputs, **keywords), captures

    (output, captures), writes = bound_call(call, {})
    return output, captures, writes


def _paths(block: Node, select: Any) -> dict[int, str]:
    blocks: dict[str, Any] = dict(walk(block).blocks)
    wanted = following(select) if callable(select) else select
    paths = {id(found): path for path, found in selected(blocks, wanted)}
    if not paths:
        near = difflib.get_close_matches(str(select), list(blocks), n=3) or list(blocks)[1:6]
        raise ArgumentError(
            f"kuai.capture: {select!r} selects no block of {type(block).__name__}; there are "
            f"{', '.join(near) or 'none inside it'}"
        )
    return paths


class Captures:
    """The outputs of the selected blocks of one call.

    Args:
        paths: id of a block → its path.
    """

    def __init__(self, paths: dict[int, str]) -> None:
        self._paths = paths
        self._found: list[tuple[str, Template, list[State]]] = []
        self._scope = context.scope
        self._level = get_opaque_trace_state()
        self._depth = 0 if context.trace is None else context.trace.depth

    def add(self, block: Any, output: Any) -> None:
        """Take the output of a block that was called, if it is selected."""
        path = self._paths.get(id(block))
        scope = context.scope
        if path is None or scope is None:
            return
        self._check_place(path)
        arrays: list[Any] = []
        template = split(output, arrays, floats_traced=False)
        holders = [State(shape=jnp.shape(array), persistent=False) for array in arrays]
        for holder, array in zip(holders, arrays, strict=True):
            scope.write(holder, jnp.asarray(array))
        self._found.append((path, template, holders))

    def _check_place(self, path: str) -> None:
        trace = context.trace
        staged = trace is not None and trace.depth > self._depth
        if staged or (context.scope is self._scope and get_opaque_trace_state() != self._level):
            place = "a compiled loop or branch on arrays" if staged else "a function given to JAX"
            raise CaptureError(
                f"{here()}: expected {path!r} to be called outside loops, to capture its output, "
                f"and it is called in {place}, where how often it runs is not known; capture a "
                "block around it, keep what you look for in kuai.State, or run it under "
                "kuai.eager()"
            )

    def outputs(self, writes: dict[Holder, jax.Array]) -> dict[str, Any]:
        """The outputs by path, taken out of what the call wrote.

        A transform may trace a block twice and drop the first trace, whose outputs stay unwritten.
        """
        by_path: dict[str, list[Any]] = {}
        for path, template, holders in self._found:
            if all(holder in writes for holder in holders):
                arrays = [writes.pop(holder) for holder in holders]
                by_path.setdefault(path, []).append(template.join(arrays))
        calls = sorted(by_path.items())  # as `jax.jit` sorts a dict
        return {path: each[0] if len(each) == 1 else tuple(each) for path, each in calls}
