"""Losses that ask for a margin: scores of yes-or-no questions and of classes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ArgumentError
from kuai.losses.balance import class_factors, of_labels
from kuai.losses.checks import (
    as_array,
    as_floats,
    as_pair,
    check_class_numbers,
    check_numbers,
    reduced,
    reduced_signs,
    refused_classes,
)


def hinge(scores: Any, labels: Any, *, weights: Any = None, reduction: str = "mean") -> jax.Array:
    """Hinge loss of a yes-or-no question: max(0, 1 − y s).

    Args:
        scores: s, positive for yes.
        labels: y, −1 or 1.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        scores (...), labels (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: scores that are no floats.
        DataError: a label is neither −1 nor 1. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.hinge(jnp.array([2.0, 0.5]), jnp.array([1, -1]))
        Array(0.75, dtype=float32)
    """
    import optax

    scores, labels = as_pair("hinge", "scores", scores, "labels", labels)
    return reduced_signs("hinge", optax.hinge_loss(scores, labels), labels, weights, reduction)


def squared_hinge(
    scores: Any, labels: Any, *, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Squared hinge loss of a yes-or-no question: max(0, 1 − y s)².

    Args:
        scores: s, positive for yes.
        labels: y, −1 or 1.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        scores (...), labels (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: scores that are no floats.
        DataError: a label is neither −1 nor 1. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.squared_hinge(jnp.array([2.0, 0.0]), jnp.array([1, -1]))
        Array(0.5, dtype=float32)
    """
    import optax

    where = "squared_hinge"
    scores, labels = as_pair(where, "scores", scores, "labels", labels)
    losses = jnp.square(optax.hinge_loss(scores, labels))
    return reduced_signs(where, losses, labels, weights, reduction)


def soft_margin(
    scores: Any, labels: Any, *, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Logistic loss of a yes-or-no question with labels of −1 and 1: log(1 + exp(−y s)).

    It is `binary_cross_entropy` with other labels.

    Args:
        scores: s, positive for yes.
        labels: y, −1 or 1.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        scores (...), labels (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: scores that are no floats.
        DataError: a label is neither −1 nor 1. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.soft_margin(jnp.array([2.0, -2.0]), jnp.array([1, -1])).round(4)
        Array(0.1269, dtype=float32)
    """
    where = "soft_margin"
    scores, labels = as_pair(where, "scores", scores, "labels", labels)
    losses = jax.nn.softplus(-labels * scores)
    return reduced_signs(where, losses, labels, weights, reduction)


def multiclass_hinge(
    scores: Any, labels: Any, *, margin: float = 1.0, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Hinge loss of classes, by the worst of the others: max(0, margin + max s_j − s_y), j ≠ y.

    Keras calls it categorical hinge. PyTorch's multi-margin loss, which adds up all the others, is
    `multi_margin`.

    Args:
        scores: s, of the classes along the last axis.
        labels: y, the class of each example.
        margin: by how much the right score should lead; default 1.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        scores (..., classes), labels (...) → () or, with "none", (...)

    Raises:
        ArgumentError: the margin is negative.
        ShapeError: the shapes do not fit, or the batch is empty.
        DtypeError: scores that are no floats, or labels that are no integers.
        DataError: a label is no class. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.multiclass_hinge(jnp.array([[2.0, 1.5, 0.0]]), jnp.array([0]))
        Array(0.5, dtype=float32)

    Reference:
        Crammer and Singer, On the Algorithmic Implementation of Multiclass Kernel-based Vector
        Machines, 2001.
    """
    where = "multiclass_hinge"
    behind, right, labels = _behind(where, scores, labels, margin)
    worst = jnp.where(right, jnp.zeros_like(behind), jnp.maximum(behind, 0)).max(-1)
    losses = refused_classes(where, worst, weights, labels, behind.shape[-1])
    return reduced(where, losses, weights, reduction)


def multi_margin(
    scores: Any,
    labels: Any,
    *,
    margin: float = 1.0,
    power: int = 1,
    class_weights: Any = None,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Hinge loss of classes, over all the others: Σ max(0, margin + s_j − s_y)^power / classes.

    As in PyTorch, the sum is over j ≠ y and the mean over the examples, weighted or not.

    Args:
        scores: s, of the classes along the last axis.
        labels: y, the class of each example.
        margin: by how much the right score should lead; default 1.
        power: 1 (default) or 2.
        class_weights: of the classes, each a factor of its examples' losses; default all 1. They do
            not change what the mean is divided by.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        scores (..., classes), labels (...) → () or, with "none", (...)

    Raises:
        ArgumentError: the margin is negative, or the power neither 1 nor 2.
        ShapeError: the shapes do not fit, or the batch is empty.
        DtypeError: scores that are no floats, or labels that are no integers.
        DataError: a label is no class. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.multi_margin(jnp.array([[2.0, 1.5, 0.0, 0.0]]), jnp.array([0]))
        Array(0.125, dtype=float32)
    """
    where = "multi_margin"
    if power not in (1, 2):
        raise ArgumentError(f"{where}: expected a power of 1 or 2, got {power!r}")
    behind, right, labels = _behind(where, scores, labels, margin)
    balance = class_factors(where, class_weights, behind)
    each = jnp.where(right, jnp.zeros_like(behind), jnp.maximum(behind, 0) ** power)
    losses = each.mean(-1)
    if balance is not None:
        losses = losses * of_labels(balance, labels)
    losses = refused_classes(where, losses, weights, labels, behind.shape[-1])
    return reduced(where, losses, weights, reduction)


def _behind(
    where: str, scores: Any, labels: Any, margin: float
) -> tuple[jax.Array, jax.Array, Any]:
    """How far each class is from trailing the right one by the margin; the right one; labels."""
    check_numbers(where, margin=margin)
    scores, labels = as_floats(where, "scores", scores), as_array(where, "labels", labels)
    check_class_numbers(where, scores, labels)
    right = jax.nn.one_hot(jnp.asarray(labels), scores.shape[-1], dtype=bool)
    own = jnp.where(right, scores, jnp.zeros_like(scores)).sum(-1, keepdims=True)
    return margin + scores - own, right, labels
