"""A call of a block as plain Python: hooks, shapes, forward, and where an error arose."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core import initialize
from kuai.core.automatic import compiles_by_itself
from kuai.core.context import context, entered, epoch, following
from kuai.core.hooks import changed_inputs, changed_output
from kuai.core.modes import pinned_mode
from kuai.core.operator import run_operator
from kuai.core.policy import cast
from kuai.core.registry import registered
from kuai.core.remat import run_again
from kuai.core.reparametrized import run_reparametrized
from kuai.core.settling import check_arguments, settle
from kuai.core.tree import here
from kuai.core.unbound import has_run
from kuai.errors import BlockNotReadyError


def uncompiled(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Run a block that nobody told to compile; if it is outermost, it begins to by itself."""
    if block._kuai.hybrid == "auto" and compiles_by_itself():
        block._kuai.compiled = registered.compile_block(block, None)
        return block._kuai.compiled(inputs, keywords)
    return plain(block, inputs, keywords)


def plain(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Run a block as plain Python, hooks and all, hybridized or not."""
    return (run if context.stack else start)(block, inputs, keywords)


def start(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """A call from outside all blocks: NumPy becomes JAX, missing values are made."""
    inputs, keywords = jax.tree.map(_to_jax, (inputs, keywords))
    if context.scope is None and block._kuai.ready_at != epoch.value:
        initialize.make_ready([block], block, inputs, keywords)
    return run(block, inputs, keywords)


def run(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """A call from inside another block, or the rest of one from outside."""
    internals = block._kuai
    if internals.building:
        raise BlockNotReadyError(
            f"{type(block).__name__} was called from inside its own __init__, before it was whole; "
            "call it after construction, or call the sub-block you need"
        )
    if context.visited is not None and not internals.temporary:
        context.visited[id(block)] = block
    mode = nullcontext() if internals.mode == "auto" else pinned_mode(internals.mode)
    with entered(stack=(*context.stack, block), compute_dtype=_compute_dtype(block)), mode:
        try:
            return _forward_with_hooks(block, inputs, keywords)
        except Exception as error:
            _note_place(error)
            raise


def _compute_dtype(block: Any) -> str | None:
    """The dtype that a policy lets a block compute in: its own, or that of the block around it."""
    if block._kuai_keeps_dtype:
        return None
    policy = block._kuai.policy
    return context.compute_dtype if policy is None else policy.compute_dtype


def _forward_with_hooks(block: Any, inputs: Any, keywords: Any) -> Any:
    internals = block._kuai
    if context.compute_dtype is not None:
        inputs, keywords = cast((inputs, keywords), context.compute_dtype)
    if internals.before:
        inputs = changed_inputs(internals.before, block, inputs)
    if internals.ready_at != epoch.value:
        settle(block, inputs, keywords)
    output = _computed(block, inputs, keywords)
    if internals.after:
        output = changed_output(internals.after, block, inputs, output)
    if internals.policy is not None and internals.policy.output_dtype is not None:
        output = cast(output, internals.policy.output_dtype)
    if context.outputs is not None and (context.trace is None or not context.trace.depth):
        context.outputs.append((str(here()), output))
    if context.captures is not None:
        context.captures.add(block, output)
    return output


def _computed(block: Any, inputs: Any, keywords: Any) -> Any:
    """What forward returns, run as the block was told to."""
    internals = block._kuai
    try:
        if internals.remat is not None:
            given = inputs, keywords
            return run_again(block, internals.remat, lambda: _forward(block, *given), given)
        return _forward(block, inputs, keywords)
    except TypeError as error:
        if not has_run(block.forward, error):
            check_arguments(block, inputs, keywords)
        raise


def _forward(block: Any, inputs: Any, keywords: Any) -> Any:
    if block._kuai.derived:
        return run_reparametrized(block, inputs, keywords)
    if block._kuai_is_operator:
        return run_operator(block, inputs, keywords)
    return following(block.forward)(*inputs, **keywords)


def _to_jax(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf


def _note_place(error: Exception) -> None:
    """Say once, on the way out, in which block an error arose."""
    if hasattr(error, "_kuai_place"):
        return
    place = str(here())
    error._kuai_place = place  # type: ignore[attr-defined]  # a mark of ours, for hybrid.errors
    if place not in str(error):
        error.add_note(f"in block {place}")
