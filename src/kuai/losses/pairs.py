"""Losses that compare: pairs and triplets of vectors, and scores that should be in an order."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ArgumentError, ShapeError
from kuai.losses.checks import (
    as_array,
    as_pair,
    check_numbers,
    reduced,
    reduced_signs,
)


def cosine_embedding(
    first: Any,
    second: Any,
    labels: Any,
    *,
    margin: float = 0.0,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Like vectors together, unlike ones apart: 1 − c for y = 1, max(0, c − margin) for y = −1.

    c is the cosine of the angle between them along the last axis.

    Args:
        first: vectors.
        second: vectors.
        labels: y, 1 for a like pair, −1 for an unlike one.
        margin: the cosine up to which unlike vectors are far enough; default 0.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        first (..., features), second (..., features), labels (...) → () or, with "none", (...)

    Raises:
        ArgumentError: the margin is not from −1 to 1.
        ShapeError: the shapes do not fit, or the batch is empty.
        DtypeError: vectors that are no floats.
        DataError: a label is neither −1 nor 1. In a compiled program its loss is NaN.

    Example:
        >>> x = jnp.array([[3.0, 0.0]])
        >>> kuai.losses.cosine_embedding(x, x, jnp.array([-1]), margin=0.5)
        Array(0.5, dtype=float32)
    """
    import optax

    where = "cosine_embedding"
    if not -1 <= margin <= 1:
        raise ArgumentError(f"{where}: expected margin from -1 to 1, got {margin!r}")
    first, second = as_pair(where, "first", first, "second", second)
    tiny = float(jnp.finfo(first.dtype).tiny)
    cosines = optax.cosine_similarity(first, second, epsilon=tiny)
    labels = _for_each(where, labels, cosines)
    losses = jnp.where(labels > 0, 1 - cosines, jnp.maximum(cosines - margin, 0))
    return reduced_signs(where, losses, labels, weights, reduction)


def hinge_embedding(
    distances: Any,
    labels: Any,
    *,
    margin: float = 1.0,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Like things together, unlike ones apart: d for y = 1, max(0, margin − d) for y = −1.

    Args:
        distances: d, between the two of each pair.
        labels: y, 1 for a like pair, −1 for an unlike one.
        margin: the distance from which unlike things are far enough; default 1.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        distances (...), labels (...) → () or, with "none", (...)

    Raises:
        ArgumentError: the margin is negative.
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: distances that are no floats.
        DataError: a label is neither −1 nor 1. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.hinge_embedding(jnp.array([0.5, 0.25]), jnp.array([1, -1]))
        Array(0.625, dtype=float32)
    """
    where = "hinge_embedding"
    check_numbers(where, margin=margin)
    distances, labels = as_pair(where, "distances", distances, "labels", labels)
    losses = jnp.where(labels > 0, distances, jnp.maximum(margin - distances, 0))
    return reduced_signs(where, losses, labels, weights, reduction)


def margin_ranking(
    first: Any,
    second: Any,
    labels: Any,
    *,
    margin: float = 0.0,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Scores in their order: max(0, margin − y (s₁ − s₂)).

    Args:
        first: s₁.
        second: s₂.
        labels: y, 1 where the first should be higher, −1 where the second.
        margin: by how much; default 0.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        first (...), second (...), labels (...) → () or, with "none", (...)

    Raises:
        ArgumentError: the margin is negative.
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: scores that are no floats.
        DataError: a label is neither −1 nor 1. In a compiled program its loss is NaN.

    Example:
        >>> first, second = jnp.array([2.0, 0.0]), jnp.array([1.0, 1.0])
        >>> kuai.losses.margin_ranking(first, second, jnp.array([1, 1]))
        Array(0.5, dtype=float32)
    """
    where = "margin_ranking"
    check_numbers(where, margin=margin)
    first, second = as_pair(where, "first", first, "second", second)
    labels = _for_each(where, labels, first)
    losses = jnp.maximum(margin - labels * (first - second), 0)
    return reduced_signs(where, losses, labels, weights, reduction)


def triplet_margin(
    anchors: Any,
    positives: Any,
    negatives: Any,
    *,
    margin: float = 1.0,
    power: float = 2.0,
    swap: bool = False,
    epsilon: float = 1e-6,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Like vectors nearer than unlike ones: max(0, margin + |a − p| − |a − n|).

    The distance is the norm of the difference plus epsilon, as in PyTorch, so that that of equal
    vectors has a gradient.

    Args:
        anchors: a.
        positives: p, each like its anchor.
        negatives: n, each unlike its anchor.
        margin: by how much nearer; default 1.
        power: of the norm, from 1 up; default 2, the Euclidean one.
        swap: whether |p − n| takes the place of |a − n| where it is smaller; default False.
        epsilon: added to the differences; default 1e-6.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        anchors (..., features), positives and negatives the same → () or, with "none", (...)

    Raises:
        ArgumentError: the margin or epsilon is negative, or the power below 1.
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: anchors that are no floats.

    Example:
        >>> a, p, n = jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 4.5]])
        >>> kuai.losses.triplet_margin(a, p, n).round(4)
        Array(1.5, dtype=float32)

    Reference:
        Balntas et al., Learning Local Feature Descriptors with Triplets, 2016.
    """
    where = "triplet_margin"
    check_numbers(where, margin=margin, epsilon=epsilon)
    if not power >= 1:
        raise ArgumentError(f"{where}: expected power from 1 up, got {power!r}")
    anchors, positives = as_pair(where, "anchors", anchors, "positives", positives)
    anchors, negatives = as_pair(where, "anchors", anchors, "negatives", negatives)

    def distance(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.linalg.norm(x - y + epsilon, ord=power, axis=-1)

    apart = distance(anchors, negatives)
    if swap:
        apart = jnp.minimum(apart, distance(positives, negatives))
    losses = jnp.maximum(margin + distance(anchors, positives) - apart, 0)
    return reduced(where, losses, weights, reduction)


def _for_each(where: str, labels: Any, losses: jax.Array) -> jax.Array:
    """The labels, one for each loss."""
    array = jnp.asarray(as_array(where, "labels", labels)).astype(losses.dtype)
    if array.shape != losses.shape:
        raise ShapeError(
            f"{where}: expected labels of shape {losses.shape}, one for each pair, got "
            f"{array.shape}"
        )
    return array
