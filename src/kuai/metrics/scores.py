"""Metrics of classes: which class has the highest score, and is it the right one?

A label that is no class raises when its value is known. Inside a compiled program it counts as an
error of the net, and belongs to no class; the loss there is NaN.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ArgumentError, ShapeError
from kuai.losses.checks import as_array, as_floats, check_targets, no_class
from kuai.metrics.metric import Metric, mean_of


@functools.cache
def accuracy() -> Metric:
    """The share of examples whose class is the one with the highest score.

    Shape:
        output (..., classes), target (...) of class numbers or (..., classes) one-hot; or, for a
        yes-or-no question, output and target (...) or (..., 1), where a score above 0 is a yes

    Example:
        >>> scores = jnp.array([[2.0, 1.0], [0.0, 3.0], [5.0, 0.0]])
        >>> round(kuai.metrics.accuracy()(scores, jnp.array([0, 1, 1])).item(), 4)
        0.6667
    """

    def parts(output: Any, target: Any) -> tuple[jax.Array, int]:
        found, actual, _ = _classes("accuracy", output, target)
        return (found == actual).sum(), actual.size

    return mean_of("accuracy", parts)


@functools.cache
def top_k_accuracy(k: int = 5) -> Metric:
    """The share of examples whose class is among the `k` with the highest scores.

    Args:
        k: how many; default 5.

    Shape:
        output (..., classes), target (...) of class numbers or (..., classes) one-hot

    Raises:
        ArgumentError: `k` is below 1 or, when it is used, above the number of classes.

    Example:
        >>> scores = jnp.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
        >>> kuai.metrics.top_k_accuracy(2)(scores, jnp.array([1, 2])).item()
        0.5
    """
    name = f"top_{k}_accuracy"
    if k < 1:
        raise ArgumentError(f"top_k_accuracy: expected k from 1, got {k}")

    def parts(output: Any, target: Any) -> tuple[jax.Array, int]:
        _, actual, classes = _classes(name, output, target)
        if k > classes or classes != output.shape[-1]:
            raise ArgumentError(
                f"{name}: the output has {output.shape[-1]} classes, fewer than {k}"
            )
        best = jax.lax.top_k(jnp.asarray(output), k)[1]
        return (best == actual[..., None]).any(-1).sum(), actual.size

    return mean_of(name, parts)


@functools.cache
def confusion_matrix(classes: int = 2) -> Metric:
    """How often each class (row) was taken for each class (column), as int32 counts.

    Args:
        classes: their number; default 2.

    Shape:
        output and target as for `accuracy` → (classes, classes)

    Raises:
        ShapeError: on use: the output has another number of classes.

    Example:
        >>> scores = jnp.array([[2.0, 1.0], [0.0, 3.0], [5.0, 0.0]])
        >>> kuai.metrics.confusion_matrix()(scores, jnp.array([0, 1, 1])).tolist()
        [[1, 0], [1, 1]]
    """

    def init() -> jax.Array:
        return jnp.zeros((classes, classes), jnp.int32)

    def update(state: jax.Array, output: Any, target: Any) -> jax.Array:
        found, actual = _of_classes("confusion_matrix", classes, output, target)
        # An index out of bounds is dropped, but a negative one would count from the end.
        row = jnp.where(actual < 0, jnp.full_like(actual, classes), actual)
        return state.at[row, found].add(jnp.ones((), jnp.int32), mode="drop")

    return Metric("confusion_matrix", init, update, lambda state: state)


@functools.cache
def precision(classes: int = 2) -> Metric:
    """Of the examples taken for a class, the share that belongs to it; the mean over classes.

    Every class that occurs weighs the same (macro average).

    Args:
        classes: their number; default 2.

    Shape:
        output and target as for `accuracy`

    Raises:
        ShapeError: on use: the output has another number of classes.

    Example:
        >>> scores = jnp.array([[2.0, 1.0], [0.0, 3.0], [5.0, 0.0]])
        >>> kuai.metrics.precision()(scores, jnp.array([0, 1, 1])).item()
        0.75
    """
    return _macro("precision", classes, lambda hits, found, _: (hits, found))


@functools.cache
def recall(classes: int = 2) -> Metric:
    """Of the examples of a class, the share that was taken for it; the mean over classes.

    Every class that occurs weighs the same (macro average).

    Args:
        classes: their number; default 2.

    Shape:
        output and target as for `accuracy`

    Raises:
        ShapeError: on use: the output has another number of classes.

    Example:
        >>> scores = jnp.array([[2.0, 1.0], [0.0, 3.0], [5.0, 0.0]])
        >>> kuai.metrics.recall()(scores, jnp.array([0, 1, 1])).item()
        0.75
    """
    return _macro("recall", classes, lambda hits, _, actual: (hits, actual))


@functools.cache
def f1(classes: int = 2) -> Metric:
    """The harmonic mean of precision and recall of a class; the mean over classes.

    Every class that occurs weighs the same (macro average).

    Args:
        classes: their number; default 2.

    Shape:
        output and target as for `accuracy`

    Raises:
        ShapeError: on use: the output has another number of classes.

    Example:
        >>> scores = jnp.array([[2.0, 1.0], [0.0, 3.0], [5.0, 0.0]])
        >>> round(kuai.metrics.f1()(scores, jnp.array([0, 1, 1])).item(), 4)
        0.6667
    """
    return _macro("f1", classes, lambda hits, found, actual: (2 * hits, found + actual))


def _macro(
    name: str,
    classes: int,
    fraction: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]],
) -> Metric:
    """The mean, over the classes that occur, of a fraction of counts; 0 where nothing was found."""

    def init() -> jax.Array:
        return jnp.zeros((3, classes), jnp.int32)  # hits, taken for the class, of the class

    def update(state: jax.Array, output: Any, target: Any) -> jax.Array:
        found, actual = (a.ravel() for a in _of_classes(name, classes, output, target))
        hot = [jax.nn.one_hot(a, classes, dtype=jnp.int32) for a in (found, actual)]
        counts = jnp.stack([hot[0] * hot[1], *hot]).sum(1, dtype=jnp.int32)
        return state + counts

    def compute(state: jax.Array) -> jax.Array:
        part, whole = (counts.astype(float) for counts in fraction(*state))
        share = part / jnp.maximum(whole, jnp.ones_like(whole))
        occurs = state[1] + state[2] > 0
        return share.mean(where=occurs)

    return Metric(name, init, update, compute)


def _classes(where: str, output: Any, target: Any) -> tuple[jax.Array, jax.Array, int]:
    """The class that was found for each example, the one it has, and how many there are."""
    output, target = as_floats(where, "output", output), as_array(where, "target", target)
    if output.shape == target.shape and output.shape[output.ndim - 1 :] in [(1,), output.shape]:
        return (output > 0).astype(jnp.int32), jnp.asarray(target).astype(jnp.int32), 2
    found = output.argmax(-1).astype(jnp.int32) if output.ndim else output
    if output.shape == target.shape:
        return found, jnp.asarray(target).argmax(-1).astype(jnp.int32), output.shape[-1]
    if target.shape != output.shape[:-1] or output.shape[-1] < 2:
        raise ShapeError(
            f"{where}: expected output (..., classes) with target (...) or (..., classes), or both "
            f"of shape (...) for yes or no, got {output.shape} and {target.shape}"
        )
    classes = output.shape[-1]
    allowed = f"labels from 0 to {classes - 1} ({classes} outputs)"
    check_targets(where, no_class(where, target, classes), allowed, target)
    return found, jnp.asarray(target).astype(jnp.int32), classes


def _of_classes(where: str, classes: int, output: Any, target: Any) -> tuple[jax.Array, jax.Array]:
    found, actual, count = _classes(where, output, target)
    if count != classes:
        raise ShapeError(
            f"{where}: made for {classes} classes, the output has {count}; use "
            f"kuai.metrics.{where}(classes={count})"
        )
    return found, actual
