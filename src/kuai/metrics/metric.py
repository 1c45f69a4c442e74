"""A metric: three pure functions around a small state, so that a compiled program can gather it.

`init()` makes the state, `update(state, output, target)` adds a batch, `compute(state)` gives the
value over all batches so far, which does not depend on how the examples were cut into batches.

Sums are kept as two floats, the second holding what the first has rounded off: a float32 alone
stops counting at 2²⁴.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Metric:
    """A number (or array) about a net that is gathered over batches.

    Args:
        name: in records and progress bars.
        init: makes the state before the first batch, a tree of arrays of fixed shapes.
        update: (state, output, target) → state.
        compute: state → value; NaN before the first batch.

    Example:
        >>> metric = kuai.metrics.accuracy()
        >>> state = metric.init()
        >>> for output, target in [([[2.0, 1.0]], [0]), ([[1.0, 3.0]], [0])]:
        ...     state = metric.update(state, jnp.array(output), jnp.array(target))
        >>> metric.compute(state).item()
        0.5
        >>> metric(jnp.array([[2.0, 1.0]]), jnp.array([0])).item()
        1.0
    """

    name: str
    init: Callable[[], Any]
    update: Callable[[Any, Any, Any], Any]
    compute: Callable[[Any], Any]

    def __call__(self, output: Any, target: Any) -> Any:
        return self.compute(self.update(self.init(), output, target))

    def __repr__(self) -> str:
        return f"Metric({self.name!r})"


class Sum(NamedTuple):
    """A sum of floats with twice their precision."""

    high: jax.Array
    low: jax.Array

    def plus(self, value: Any) -> Sum:
        # Knuth's TwoSum: the rounding error of an addition, exactly.
        value = jnp.asarray(value).astype(self.high.dtype)
        high = self.high + value
        before = high - value
        error = (self.high - before) + (value - (high - before))
        return Sum(high, self.low + error)

    def value(self) -> jax.Array:
        return self.high + self.low


def zero() -> Sum:
    """The sum of nothing, in JAX's default float."""
    return Sum(jnp.zeros(()), jnp.zeros(()))


def mean_of(name: str, parts: Callable[[Any, Any], tuple[Any, int]]) -> Metric:
    """The mean over all batches, of a function that gives (sum, count) of one."""

    def update(state: tuple[Sum, Sum], output: Any, target: Any) -> tuple[Sum, Sum]:
        total, count = parts(output, target)
        return state[0].plus(total), state[1].plus(count)

    return Metric(
        name, lambda: (zero(), zero()), update, lambda state: state[0].value() / state[1].value()
    )


def mean_loss(loss: Callable[[Any, Any], Any], name: str | None = None) -> Metric:
    """The mean of any function of (output, target), each batch weighted by its examples.

    Args:
        loss: gives the mean of a batch, or a number for each example.
        name: default that of the function.

    Example:
        >>> metric = kuai.metrics.mean_loss(kuai.losses.huber)
        >>> metric, metric(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])).item()
        (Metric('huber'), 0.75)
    """

    def parts(output: Any, target: Any) -> tuple[jax.Array, int]:
        examples = (*jnp.shape(jax.tree.leaves(target)[0]), 1)[0]
        return jnp.mean(loss(output, target)) * examples, examples

    return mean_of(name or _name_of(loss), parts)


def _name_of(function: Any) -> str:
    function = getattr(function, "func", function)  # functools.partial
    return getattr(function, "__name__", type(function).__name__)
