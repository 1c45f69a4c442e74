"""What the recurrent functions share around their loops: dtypes, and products over all steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.nn._dtypes import promoted, widened


def all_widened(
    x: jax.Array, weight: jax.Array, *others: jax.Array | None
) -> tuple[np.dtype, list[Any]]:
    """The dtype of the output, and all of these in the dtype to compute in; None stays None."""
    dtype = promoted(x.dtype, weight.dtype)
    to = widened(dtype)
    return dtype, [a if a is None else a.astype(to) for a in (x, weight, *others)]


def projected(x: jax.Array, weight: jax.Array) -> jax.Array:
    """The product x W for all steps, of two matrices."""
    time, batch, inputs = x.shape
    return (x.reshape(time * batch, inputs) @ weight).reshape(time, batch, weight.shape[-1])


def shifted(states: jax.Array, first: jax.Array, reverse: bool) -> jax.Array:
    """For each step the state before it, from those after them and the very first."""
    parts = [states[1:], first[None]] if reverse else [first[None], states[:-1]]
    return jnp.concatenate(parts)


def over_steps(before: jax.Array, gradient: jax.Array) -> jax.Array:
    """The gradient of a weight by which every step multiplies: one product for all steps."""
    steps = before.shape[0] * before.shape[1]
    flat = [array.reshape(steps, array.shape[-1]) for array in (before, gradient)]
    return flat[0].T @ flat[1]


def where_on(on: jax.Array | None, new: Any, old: Any) -> Any:
    """What steps that are on leave, and where they are off what was there before."""
    if on is None:
        return new
    return jax.tree.map(lambda n, o: jnp.where(on, n, o), new, old)
