"""Losses of classes: logits or log-probabilities against labels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ArgumentError, ShapeError
from kuai.losses.balance import class_factors, of_labels, without_ignored
from kuai.losses.checks import (
    as_array,
    as_floats,
    as_pair,
    check_class_numbers,
    check_class_shapes,
    check_integers,
    check_share,
    reduced,
    refused,
    refused_classes,
)


def softmax_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    label_smoothing: float = 0.0,
    class_weights: Any = None,
    ignore_index: int | None = None,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Cross entropy of the softmax of `logits`: −Σ p log softmax(z).

    Args:
        logits: z, the scores of the classes along the last axis.
        labels: the class of each example (integers), or its probabilities p (one-hot, too).
        label_smoothing: the share of p that is spread evenly over the classes; default 0.
        class_weights: of the classes, each a factor of its summand; default all 1. The mean over
            class numbers is then divided by the sum of their classes' weights, as in PyTorch.
        ignore_index: the number of no class, whose examples take no part; default None: there is
            none. PyTorch has -100.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        logits (..., classes), labels (...) or (..., classes), class_weights (classes,) → () or,
        with "none", (...)

    Raises:
        ArgumentError: `label_smoothing` is not from 0 to 1, or `ignore_index` no integer, or given
            with probabilities.
        ShapeError: the shapes do not fit, or the batch is empty.
        DtypeError: logits that are no floats, or class numbers that are no integers.
        DataError: a label is no class. In a compiled program its loss is NaN.

    Example:
        >>> logits = jnp.array([[2.0, 0.0], [0.0, 2.0]])
        >>> kuai.losses.softmax_cross_entropy(logits, jnp.array([0, 1])).round(4)
        Array(0.1269, dtype=float32)
        >>> kuai.losses.softmax_cross_entropy(logits, jnp.eye(2)).round(4)
        Array(0.1269, dtype=float32)
        >>> kuai.losses.softmax_cross_entropy(logits, jnp.array([0, -1]), ignore_index=-1).round(4)
        Array(0.1269, dtype=float32)

    Reference:
        Szegedy et al., Rethinking the Inception Architecture, 2016 (label smoothing).
    """
    import optax

    where = "softmax_cross_entropy"
    check_share(where, "label_smoothing", label_smoothing)
    logits, labels = as_floats(where, "logits", logits), as_array(where, "labels", labels)
    check_class_shapes(where, logits, labels)
    factors = class_factors(where, class_weights, logits)
    if labels.shape == logits.shape:
        if ignore_index is not None:
            raise ArgumentError(
                f"{where}: expected no ignore_index with probabilities as labels, got "
                f"{ignore_index!r}; give what is to be ignored weight 0"
            )
        losses = _of_probabilities(logits, jnp.asarray(labels), label_smoothing, factors)
        return reduced(where, losses, weights, reduction)
    check_integers(where, labels)
    if label_smoothing:
        hot = jax.nn.one_hot(jnp.asarray(labels), logits.shape[-1], dtype=logits.dtype)
        losses = _of_probabilities(logits, hot, label_smoothing, factors)
    else:
        classes = jnp.asarray(labels).astype(jnp.int32)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
        losses = losses if factors is None else losses * of_labels(factors, labels)
    return _over_labels(where, losses, labels, logits, factors, ignore_index, weights, reduction)


def nll(
    log_probabilities: Any,
    labels: Any,
    *,
    class_weights: Any = None,
    ignore_index: int | None = None,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood: −log p of each example's class.

    Behind `nn.LogSoftmax`; for logits, `softmax_cross_entropy` does both.

    Args:
        log_probabilities: log p, of the classes along the last axis.
        labels: the class of each example.
        class_weights: of the classes; default all 1. The mean is then divided by the sum of the
            labels' weights, as in PyTorch.
        ignore_index: the number of no class, whose examples take no part; default None: there is
            none. PyTorch has -100.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        log_probabilities (..., classes), labels (...), class_weights (classes,) → () or, with
        "none", (...)

    Raises:
        ArgumentError: `ignore_index` is no integer.
        ShapeError: the shapes do not fit, or the batch is empty.
        DtypeError: log_probabilities that are no floats, or labels that are no integers.
        DataError: a label is no class. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.nll(jnp.log(jnp.array([[0.25, 0.75]])), jnp.array([1])).round(4)
        Array(0.2877, dtype=float32)
    """
    scores = as_floats("nll", "log_probabilities", log_probabilities)
    labels = as_array("nll", "labels", labels)
    check_class_numbers("nll", scores, labels)
    factors = class_factors("nll", class_weights, scores)
    right = jax.nn.one_hot(jnp.asarray(labels), scores.shape[-1], dtype=bool)
    losses = -jnp.where(right, scores, jnp.zeros_like(scores)).sum(-1)
    losses = losses if factors is None else losses * of_labels(factors, labels)
    return _over_labels("nll", losses, labels, scores, factors, ignore_index, weights, reduction)


def binary_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    label_smoothing: float = 0.0,
    positive_weight: Any = None,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Cross entropy of the sigmoid of `logits`: −w y log σ(z) − (1 − y) log(1 − σ(z)).

    Args:
        logits: z, one score for each yes-or-no question.
        labels: y, 0 or 1, or a probability.
        label_smoothing: how far y moves from 0 and 1 towards 1/2; default 0, and 1 is all the way.
        positive_weight: w, an array of one number, or of one for each of the last axis: what a yes
            counts, to balance few of them; default 1.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        logits (...), labels (...) → () or, with "none", (...)

    Raises:
        ArgumentError: `label_smoothing` is not from 0 to 1.
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
    check_share(where, "label_smoothing", label_smoothing)
    logits, labels = as_pair(where, "logits", logits, "labels", labels)
    wrong = ~((labels >= 0) & (labels <= 1))
    smooth = labels * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else labels
    losses = optax.sigmoid_binary_cross_entropy(logits, smooth)
    if positive_weight is not None:
        more = _positive_weight(where, positive_weight, logits) - 1
        losses = losses - more * smooth * jax.nn.log_sigmoid(logits)
    losses = refused(where, losses, weights, wrong, "labels from 0 to 1", labels)
    return reduced(where, losses, weights, reduction)


def _of_probabilities(
    logits: jax.Array, probabilities: jax.Array, smoothing: float, factors: jax.Array | None
) -> jax.Array:
    """−Σ p w log softmax(z) with smoothed p."""
    import optax

    probabilities = probabilities.astype(logits.dtype)
    if smoothing:
        probabilities = optax.smooth_labels(probabilities, smoothing)
    if factors is not None:
        probabilities = probabilities * factors
    return optax.softmax_cross_entropy(logits, probabilities)


def _over_labels(
    where: str,
    losses: jax.Array,
    labels: Any,
    scores: jax.Array,
    factors: jax.Array | None,
    ignore_index: int | None,
    weights: Any,
    reduction: str,
) -> jax.Array:
    """The losses reduced, where each label is a class or ignored."""
    weights = without_ignored(where, weights, labels, ignore_index, losses)
    losses = refused_classes(where, losses, weights, labels, scores.shape[-1])
    counts = None if factors is None else of_labels(factors, labels)
    return reduced(where, losses, weights, reduction, counts)


def _positive_weight(where: str, given: Any, logits: jax.Array) -> jax.Array:
    weight = jnp.asarray(as_array(where, "positive_weight", given)).astype(logits.dtype)
    if weight.shape not in ((), logits.shape[-1:]):
        raise ShapeError(
            f"{where}: expected positive_weight of shape () or {logits.shape[-1:]}, one for each "
            f"question, got {weight.shape}"
        )
    return weight
