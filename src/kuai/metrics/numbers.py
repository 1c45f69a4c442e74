"""Metrics of numbers: how far predictions are from their targets."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kuai import losses
from kuai.errors import ShapeError
from kuai.losses.checks import as_pair
from kuai.metrics.metric import Metric, mean_of


@functools.cache
def mae() -> Metric:
    """Mean absolute error over all elements.

    Example:
        >>> kuai.metrics.mae()(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])).item()
        1.0
    """
    return mean_of("mae", _element_sums(losses.mae))


@functools.cache
def mse() -> Metric:
    """Mean squared error over all elements.

    Example:
        >>> kuai.metrics.mse()(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])).item()
        2.0
    """
    return mean_of("mse", _element_sums(losses.mse))


def _element_sums(loss: Callable[..., jax.Array]) -> Callable[[Any, Any], tuple[jax.Array, int]]:
    return lambda output, target: (loss(output, target, reduction="sum"), output.size)


class _Spread(NamedTuple):
    """Of the targets so far: their number, means and squared deviations; and squared errors."""

    examples: jax.Array
    mean: jax.Array
    deviations: jax.Array
    errors: jax.Array


@functools.cache
def r2(outputs: int = 1) -> Metric:
    """The coefficient of determination: 1 − Σ(y − ŷ)² / Σ(y − ȳ)², averaged over the outputs.

    Args:
        outputs: how many numbers are predicted for each example; default 1.

    Shape:
        output and target (..., outputs), or (examples,) for one

    Raises:
        ShapeError: on use: the last axis is not `outputs`.

    Example:
        >>> y = jnp.array([1.0, 2.0, 3.0])
        >>> kuai.metrics.r2()(y, y).item(), kuai.metrics.r2()(y * 0 + 2, y).item()
        (1.0, 0.0)
    """

    def init() -> _Spread:
        return _Spread(jnp.zeros(()), *(jnp.zeros(outputs) for _ in range(3)))

    def update(state: _Spread, output: Any, target: Any) -> _Spread:
        output, target = as_pair("r2", "output", output, "target", target)
        if (output.shape if output.ndim > 1 else (1,))[-1] != outputs:
            raise ShapeError(
                f"r2: made for {outputs} outputs, got the shape {output.shape}; use "
                f"kuai.metrics.r2(outputs=...)"
            )
        dtype = state.mean.dtype
        return _spread(state, *(a.reshape(-1, outputs).astype(dtype) for a in (output, target)))

    def compute(state: _Spread) -> jax.Array:
        flat = state.deviations == 0  # as scikit-learn: perfect is 1, all else 0
        share = state.errors / jnp.where(flat, jnp.ones_like(state.mean), state.deviations)
        score = jnp.where(flat, (state.errors == 0).astype(share.dtype), 1 - share).mean()
        return jnp.where(state.examples == 0, jnp.full_like(score, jnp.nan), score)

    return Metric("r2", init, update, compute)


def _spread(state: _Spread, output: jax.Array, target: jax.Array) -> _Spread:
    """Chan's rule for joining the variance of two parts, which cancels nothing."""
    added = jnp.asarray(len(target), state.mean.dtype)
    count, mean = state.examples + added, target.mean(0)
    shift = mean - state.mean
    deviations = (
        jnp.square(target - mean).sum(0) + jnp.square(shift) * state.examples * added / count
    )
    return _Spread(
        count,
        state.mean + shift * added / count,
        state.deviations + deviations,
        state.errors + jnp.square(target - output).sum(0),
    )
