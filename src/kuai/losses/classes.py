"""Losses of classes: logits or scores against labels, and distributions against each other."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ArgumentError
from kuai.losses.checks import (
    as_array,
    as_floats,
    as_pair,
    check_class_shapes,
    no_class,
    reduced,
    refused,
)


def softmax_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    label_smoothing: float = 0.0,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Cross entropy of the softmax of `logits`: −Σ p log softmax(z).

    Args:
        logits: z, the scores of the classes along the last axis.
        labels: the class of each example (integers), or its probabilities p (one-hot, too).
        label_smoothing: the share of p that is spread evenly over the classes; default 0.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        logits (..., classes), labels (...) or (..., classes) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes do not fit, or the batch is empty.
        DtypeError: logits that are no floats, or class numbers that are no integers.
        DataError: a label is no class. In a compiled program its loss is NaN.

    Example:
        >>> logits = jnp.array([[2.0, 0.0], [0.0, 2.0]])
        >>> kuai.losses.softmax_cross_entropy(logits, jnp.array([0, 1])).round(4)
        Array(0.1269, dtype=float32)
        >>> kuai.losses.softmax_cross_entropy(logits, jnp.eye(2)).round(4)
        Array(0.1269, dtype=float32)

    Reference:
        Szegedy et al., Rethinking the Inception Architecture, 2016 (label smoothing).
    """
    import optax

    where = "softmax_cross_entropy"
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(
            f"{where}: expected label_smoothing from 0 to 1, got {label_smoothing!r}"
        )
    logits, labels = as_floats(where, "logits", logits), as_array(where, "labels", labels)
    check_class_shapes(where, logits, labels)
    if labels.shape == logits.shape:
        wrong, probabilities = None, jnp.asarray(labels).astype(logits.dtype)
    else:
        wrong = no_class(where, labels, logits.shape[-1])
        labels = jnp.asarray(labels).astype(jnp.int32)
        probabilities = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    if label_smoothing:
        smooth = optax.smooth_labels(probabilities, label_smoothing)
        losses = optax.softmax_cross_entropy(logits, smooth)
    elif wrong is None:
        losses = optax.softmax_cross_entropy(logits, probabilities)
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    if wrong is not None:
        allowed = f"labels from 0 to {logits.shape[-1] - 1} ({logits.shape[-1]} logits)"
        losses = refused(where, losses, weights, wrong, allowed, labels)
    return reduced(where, losses, weights, reduction)


def binary_cross_entropy(
    logits: Any, labels: Any, *, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Cross entropy of the sigmoid of `logits`: −y log σ(z) − (1 − y) log(1 − σ(z)).

    Args:
        logits: z, one score for each yes-or-no question.
        labels: y, 0 or 1, or a probability.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        logits (...), labels (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: logits that are no floats.
        DataError: a label is not from 0 to 1. In a compiled program its loss is NaN.

    Example:
        >>> logits = jnp.array([2.0, -2.0])
        >>> kuai.losses.binary_cross_entropy(logits, jnp.array([1, 0])).round(4)
        Array(0.1269, dtype=float32)
    """
    import optax

    where = "binary_cross_entropy"
    logits, labels = as_pair(where, "logits", logits, "labels", labels)
    wrong = ~((labels >= 0) & (labels <= 1))
    losses = optax.sigmoid_binary_cross_entropy(logits, labels)
    losses = refused(where, losses, weights, wrong, "labels from 0 to 1", labels)
    return reduced(where, losses, weights, reduction)


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
    wrong = jnp.abs(labels) != 1
    losses = optax.hinge_loss(scores, labels)
    losses = refused("hinge", losses, weights, wrong, "labels of -1 or 1", labels)
    return reduced("hinge", losses, weights, reduction)


def kl_divergence(
    log_predictions: Any, targets: Any, *, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Kullback-Leibler divergence of distributions along the last axis: Σ p (log p − log q).

    Args:
        log_predictions: log q, as `jax.nn.log_softmax` gives it.
        targets: p, probabilities.
        weights: of the examples; default all 1.
        reduction: "mean" (default; over the distributions), "sum" or "none".

    Shape:
        log_predictions (..., classes), targets (..., classes) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: log_predictions that are no floats.
        DataError: a target is below 0. In a compiled program its loss is NaN.

    Example:
        >>> p = jnp.array([[0.5, 0.5]])
        >>> kuai.losses.kl_divergence(jnp.log(p), p)
        Array(0., dtype=float32)
    """
    import optax

    where = "kl_divergence"
    log_predictions, targets = as_pair(
        where, "log_predictions", log_predictions, "targets", targets
    )
    wrong = (targets < 0).any(-1)
    losses = optax.kl_divergence(log_predictions, targets)
    losses = refused(where, losses, weights, wrong, "targets from 0 up", targets.min(-1))
    return reduced(where, losses, weights, reduction)
