"""Sequences in a batch: which axis is time, where padded ones end, and a cell over their steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.context import following
from kuai.core.scan import scan
from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn._check import as_array, as_integers, outside
from kuai.nn.gated import GatedCell


def time_first(x: Any, time_major: bool) -> jax.Array:
    """A batch of sequences as (time, batch, ...).

    Raises:
        ShapeError: it has fewer than three axes, or no step.
    """
    x = as_array(x)
    axes = "(time, batch, features)" if time_major else "(batch, time, features)"
    if x.ndim < 3:
        raise ShapeError(
            f"{here()}: expected an input {axes}, got shape {x.shape}; add a batch axis with "
            f"x[{':, None' if time_major else 'None'}]"
        )
    if x.shape[0 if time_major else 1] == 0:
        raise ShapeError(
            f"{here()}: expected an input {axes} of at least one step, got shape {x.shape}; leave "
            "out what has no steps"
        )
    return x if time_major else jnp.swapaxes(x, 0, 1)


def steps_of(lengths: Any, x: jax.Array) -> jax.Array | None:
    """(time, batch), True in each sequence's first `lengths` steps; None where all are.

    Raises:
        ArgumentError: a length is below 0 or beyond the time axis, and known now.
        DtypeError: the lengths are no integers.
        ShapeError: there is not one for each sequence.
    """
    if lengths is None:
        return None
    lengths = as_integers(lengths, "lengths")
    time, batch = x.shape[:2]
    if lengths.shape != (batch,):
        raise ShapeError(
            f"{here()}: expected one length for each of {batch} sequences, got shape "
            f"{lengths.shape}; pass an array of shape ({batch},)"
        )
    wrong = outside(lengths, time)
    if wrong is not None:
        raise ArgumentError(
            f"{here()}: expected lengths from 0 to {time}, the number of steps, got {wrong}; look "
            "at the data, or pad to the longest"
        )
    return jnp.arange(time, dtype=lengths.dtype)[:, None] < lengths


def over_steps(
    cell: Any, x: jax.Array, state: Any, steps: jax.Array | None, *, reverse: bool, whole: bool
) -> tuple[Any, Any]:
    """(outputs, last state) of a cell over the steps of sequences, time first.

    Outputs are zero where `steps` is False, and the state stays as it was.

    Args:
        cell: a block (x, state) → (output, state).
        x: its inputs (time, batch, ...).
        state: before the first step; None for the one that the cell begins with.
        steps: (time, batch), False behind the end of a sequence; None: no sequence ends early.
        reverse: whether the last step comes first.
        whole: whether kuai's own cells may be run by their function for all steps.
    """
    x = _on(steps, x)  # padding may hold NaN, which would come through a product with zero
    if whole and isinstance(cell, GatedCell) and cell.runs_whole():
        outputs, end = cell.over_time(_checked(x), state, steps, reverse)
    else:
        outputs, end = _one_by_one(cell, x, state, steps, reverse)
    return jax.tree.map(lambda array: _on(steps, array), outputs), end


def _checked(x: jax.Array) -> jax.Array:
    if x.ndim != 3:
        raise ShapeError(
            f"{here()}: expected an input of three axes, batch, time and features, got "
            f"{x.ndim}; flatten the others with x.reshape"
        )
    return x


def _one_by_one(
    cell: Any, x: jax.Array, state: Any, steps: jax.Array | None, reverse: bool
) -> tuple[Any, Any]:
    state = jax.tree.map(as_array, _begun(cell, x) if state is None else state)

    def step(state: Any, given: Any) -> tuple[Any, Any]:
        x, on = given
        result = cell(x, state)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(
                f"{here()}: expected the cell {type(cell).__name__} to return (output, state), got "
                f"{type(result).__name__}; return what the next step needs as the second value"
            )
        output, new = result
        _check_state(cell, state, new)
        if on is not None:
            new = jax.tree.map(lambda n, o: jnp.where(_beside(on, n), n, o), new, state)
        return new, output

    end, outputs = scan(step, state, (x, steps), reverse=reverse)
    return outputs, end


def _begun(cell: Any, x: jax.Array) -> Any:
    begin = getattr(cell, "initial_state", None)
    if begin is None:
        raise ArgumentError(
            f"{here()}: expected a state to begin with, got none, and {type(cell).__name__} has "
            "no initial_state(self, x) that makes one for the inputs of a step; write it, or pass "
            "state="
        )
    return following(begin)(x[0])


def _check_state(cell: Any, old: Any, new: Any) -> None:
    before, after = (jax.tree.map(_told, tree) for tree in (old, new))
    if before != after:
        raise ShapeError(
            f"{here()}: expected the cell {type(cell).__name__} to return a state like the one it "
            f"was given, {before}, got {after}; every step needs the same shapes and dtypes"
        )


def _told(leaf: Any) -> str:
    array = as_array(leaf)
    return f"{array.dtype}{list(array.shape)}"


def _on(steps: jax.Array | None, array: jax.Array) -> jax.Array:
    if steps is None:
        return array
    return jnp.where(_beside(steps, array), array, jnp.zeros((), array.dtype))


def _beside(mask: jax.Array, array: jax.Array) -> jax.Array:
    """A mask over the first axes of an array."""
    return mask.reshape(*mask.shape, *[1] * (array.ndim - mask.ndim))
