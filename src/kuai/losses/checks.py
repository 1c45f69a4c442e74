"""What every loss and metric asks of its arrays, and how losses of elements become one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.errors import ArgumentError, DataError, DtypeError, ShapeError

_REDUCTIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "mean": jnp.mean,
    "sum": jnp.sum,
    "none": lambda losses: losses,
}


def as_array(where: str, what: str, value: Any) -> Any:
    """`value`, if it is an array; NumPy's stays NumPy's, so that no integer is cut to 32 bits."""
    if not isinstance(value, (jax.Array, np.ndarray, np.generic)):
        raise ArgumentError(
            f"{where}: expected {what} to be an array, got {type(value).__name__}; "
            f"wrap it in jnp.asarray(...)"
        )
    if not value.size:
        raise ShapeError(
            f"{where}: the batch is empty: {what} has the shape {value.shape}; leave it out, for "
            "nothing has no mean"
        )
    return value


def as_floats(where: str, what: str, value: Any) -> jax.Array:
    array = jnp.asarray(as_array(where, what, value))
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise DtypeError(
            f"{where}: expected floats as {what}, got {array.dtype}; cast or scale them"
        )
    return array if array.dtype.itemsize >= 4 else array.astype(jnp.float32)


def as_pair(
    where: str, what: str, output: Any, what_target: str, target: Any
) -> tuple[jax.Array, jax.Array]:
    """Output and target of equal shape and dtype."""
    output = as_floats(where, what, output)
    target = jnp.asarray(as_array(where, what_target, target))
    if output.shape != target.shape:
        raise ShapeError(
            f"{where}: expected {what} and {what_target} of equal shape, got {output.shape} and "
            f"{target.shape}; add or drop an axis, e.g. {what_target}[:, None]"
        )
    if jnp.issubdtype(target.dtype, jnp.complexfloating):
        raise DtypeError(f"{where}: expected real {what_target}, got {target.dtype}")
    return output, target.astype(output.dtype)


def check_class_shapes(where: str, logits: jax.Array, labels: Any) -> None:
    if not logits.ndim or labels.shape not in (logits.shape, logits.shape[:-1]):
        raise ShapeError(
            f"{where}: expected labels of shape {logits.shape[:-1]} (class numbers) or "
            f"{logits.shape} (probabilities) for logits of shape {logits.shape}, got {labels.shape}"
        )


def check_class_numbers(where: str, scores: jax.Array, labels: Any) -> None:
    if not scores.ndim or labels.shape != scores.shape[:-1]:
        raise ShapeError(
            f"{where}: expected labels of shape {scores.shape[:-1]}, one for each example, for "
            f"scores of shape {scores.shape}, got {labels.shape}"
        )
    check_integers(where, labels)


def check_integers(where: str, labels: Any) -> None:
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise DtypeError(f"{where}: expected class numbers to be integers, got {labels.dtype}")


def check_numbers(where: str, **numbers: float) -> None:
    """Options that are numbers from 0 up."""
    for name, value in numbers.items():
        if not value >= 0:
            raise ArgumentError(f"{where}: expected {name} from 0 up, got {value!r}")


def check_share(where: str, name: str, value: float) -> None:
    """An option that is a number from 0 to 1."""
    if not 0 <= value <= 1:
        raise ArgumentError(f"{where}: expected {name} from 0 to 1, got {value!r}")


def no_class(where: str, labels: Any, classes: int) -> Any:
    """Where a label is not the number of a class."""
    check_integers(where, labels)
    wide = labels.astype(np.int32) if labels.dtype.itemsize < 4 else labels  # 1000 is no uint8
    return (wide < 0) | (wide >= classes)


def reduced(
    where: str, losses: jax.Array, weights: Any, reduction: str, counts: jax.Array | None = None
) -> jax.Array:
    """The losses, weighted and reduced.

    Args:
        where: the loss.
        losses: of each element.
        weights: of the examples.
        reduction: its name.
        counts: for how many each loss counts in a mean; default for one.
    """
    if reduction not in _REDUCTIONS:
        raise ArgumentError(
            f"{where}: expected a reduction of {', '.join(_REDUCTIONS)}, got {reduction!r}"
        )
    if weights is None and counts is None:
        return _REDUCTIONS[reduction](losses)
    scale = jnp.ones_like(losses) if weights is None else expanded(where, weights, losses)
    weighted = jnp.where(scale == 0, jnp.zeros_like(losses), losses * scale)
    if reduction != "mean":
        return _REDUCTIONS[reduction](weighted)
    total = (scale if counts is None else scale * counts).sum()
    return weighted.sum() / jnp.where(total == 0, jnp.ones_like(total), total)


def expanded(where: str, weights: Any, losses: jax.Array) -> jax.Array:
    """The weights, one for each loss."""
    weights = jnp.asarray(as_array(where, "weights", weights)).astype(losses.dtype)
    if weights.shape != losses.shape[: weights.ndim]:
        raise ShapeError(
            f"{where}: expected weights of shape {losses.shape[:1]}, one for each example, or of "
            f"more leading axes of {losses.shape}, got {weights.shape}"
        )
    trailing = (1,) * (losses.ndim - weights.ndim)
    return jnp.broadcast_to(weights.reshape(weights.shape + trailing), losses.shape)


def refused(
    where: str, losses: jax.Array, weights: Any, wrong: Any, allowed: str, targets: Any
) -> jax.Array:
    """The losses, but NaN for wrong targets while tracing; raise for those that are known.

    Args:
        where: the loss.
        losses: of each element.
        weights: what has weight 0 may be wrong.
        wrong: where a target is.
        allowed: what was expected, in words.
        targets: for the message.
    """
    if weights is not None:
        wrong = wrong & (expanded(where, weights, losses) != 0)
    check_targets(where, wrong, allowed, targets)
    if not isinstance(wrong, jax.core.Tracer):
        return losses
    return jnp.where(wrong, jnp.full_like(losses, jnp.nan), losses)


def refused_classes(
    where: str, losses: jax.Array, weights: Any, labels: Any, classes: int
) -> jax.Array:
    """`refused` for labels that are no class."""
    wrong = no_class(where, labels, classes)
    allowed = f"labels from 0 to {classes - 1} ({classes} logits)"
    return refused(where, losses, weights, wrong, allowed, labels)


def refused_rows(
    where: str, losses: jax.Array, weights: Any, wrong: jax.Array, allowed: str, targets: Any
) -> jax.Array:
    """`refused` for one loss of many targets: an example is wrong where any of its targets is."""
    wrong = wrong.reshape(len(losses), -1)
    rows = jnp.asarray(targets).reshape(wrong.shape)
    first = jnp.take_along_axis(rows, wrong.argmax(1)[:, None], 1)[:, 0]
    return refused(where, losses, weights, wrong.any(1), allowed, first)


def reduced_signs(
    where: str, losses: jax.Array, labels: jax.Array, weights: Any, reduction: str
) -> jax.Array:
    """The losses reduced, where each label is −1 or 1."""
    wrong = jnp.abs(labels) != 1
    losses = refused(where, losses, weights, wrong, "labels of -1 or 1", labels)
    return reduced(where, losses, weights, reduction)


def check_targets(where: str, wrong: Any, allowed: str, targets: Any) -> None:
    """Raise where a target is wrong and known to be."""
    if isinstance(wrong, jax.core.Tracer):
        return
    places = np.argwhere(np.asarray(wrong))
    if not len(places):
        return
    place = tuple(places[0].tolist())
    found = "" if isinstance(targets, jax.core.Tracer) else f"{np.asarray(targets)[place]} "
    raise DataError(
        f"{where}: expected {allowed}, got {found}at {place} ({len(places)} such); mend the "
        f"targets, or give them weight 0"
    )
