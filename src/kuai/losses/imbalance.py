"""Losses for classes of which one is rare: focal losses, and the overlap of segments."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ShapeError
from kuai.losses.balance import class_factors, of_labels, without_ignored
from kuai.losses.checks import (
    as_array,
    as_floats,
    as_pair,
    check_class_numbers,
    check_class_shapes,
    check_numbers,
    check_share,
    no_class,
    reduced,
    refused,
    refused_classes,
    refused_rows,
)


def binary_focal(
    logits: Any,
    labels: Any,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Cross entropy that easy examples count little in: −α (1 − p)^γ log p.

    p is the probability that the sigmoid of the logit gives to the right answer.

    Args:
        logits: one score for each yes-or-no question.
        labels: 0 or 1, or a probability.
        gamma: γ, how little; default 2, and 0 gives `binary_cross_entropy`.
        alpha: α of a yes, from 0 to 1; that of a no is 1 − α. Default None: 1 for both. The paper
            and torchvision have 0.25.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        logits (...), labels (...) → () or, with "none", (...)

    Raises:
        ArgumentError: gamma is negative, or alpha not from 0 to 1.
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: logits that are no floats.
        DataError: a label is not from 0 to 1. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.binary_focal(jnp.array([0.0]), jnp.array([1])).round(4)
        Array(0.1733, dtype=float32)

    Reference:
        Lin et al., Focal Loss for Dense Object Detection, 2017.
    """
    import optax

    where = "binary_focal"
    check_numbers(where, gamma=gamma)
    if alpha is not None:
        check_share(where, "alpha", alpha)
    logits, labels = as_pair(where, "logits", logits, "labels", labels)
    wrong = ~((labels >= 0) & (labels <= 1))
    losses = optax.sigmoid_focal_loss(logits, labels, alpha=alpha, gamma=gamma)
    losses = refused(where, losses, weights, wrong, "labels from 0 to 1", labels)
    return reduced(where, losses, weights, reduction)


def softmax_focal(
    logits: Any,
    labels: Any,
    *,
    gamma: float = 2.0,
    class_weights: Any = None,
    ignore_index: int | None = None,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Cross entropy of classes that easy examples count little in: −α (1 − p)^γ log p.

    p is the probability that the softmax gives to the right class.

    Args:
        logits: the scores of the classes along the last axis.
        labels: the class of each example.
        gamma: γ, how little; default 2, and 0 gives `softmax_cross_entropy`.
        class_weights: α of each class; default all 1. As in Keras, the mean is over the examples,
            whatever their classes' weights.
        ignore_index: the number of no class, whose examples take no part; default None: there is
            none.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        logits (..., classes), labels (...), class_weights (classes,) → () or, with "none", (...)

    Raises:
        ArgumentError: gamma is negative, or `ignore_index` no integer.
        ShapeError: the shapes do not fit, or the batch is empty.
        DtypeError: logits that are no floats, or labels that are no integers.
        DataError: a label is no class. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.softmax_focal(jnp.array([[0.0, 0.0]]), jnp.array([1])).round(4)
        Array(0.1733, dtype=float32)

    Reference:
        Lin et al., Focal Loss for Dense Object Detection, 2017.
    """
    import optax

    where = "softmax_focal"
    check_numbers(where, gamma=gamma)
    logits, labels = as_floats(where, "logits", logits), as_array(where, "labels", labels)
    check_class_numbers(where, logits, labels)
    factors = class_factors(where, class_weights, logits)
    classes = jnp.asarray(labels).astype(jnp.int32)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
    # Not below the least number, where a power under 1 has an infinite slope.
    unsure = jnp.maximum(-jnp.expm1(-entropy), float(jnp.finfo(logits.dtype).tiny))
    losses = unsure**gamma * entropy
    losses = losses if factors is None else losses * of_labels(factors, labels)
    weights = without_ignored(where, weights, labels, ignore_index, losses)
    losses = refused_classes(where, losses, weights, labels, logits.shape[-1])
    return reduced(where, losses, weights, reduction)


def dice(
    logits: Any,
    labels: Any,
    *,
    smooth: float = 1.0,
    false_positives: float = 0.5,
    false_negatives: float = 0.5,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """What the overlap of segments lacks: 1 − (o + s) / (o + α (P − o) + β (Y − o) + s).

    o = Σ p y, P = Σ p and Y = Σ y over the places of one example and class, and the loss of an
    example is the mean over its classes. p is the softmax of the logits, or the sigmoid where there
    is one class alone. With other α and β than 1/2 it is the Tversky loss.

    Args:
        logits: the scores of the classes along the last axis, at each place.
        labels: the class at each place (integers), or its probabilities y (one-hot, too), which
            they must be where there is one class alone.
        smooth: s, so that what neither has counts as overlap; default 1.
        false_positives: α, what too much of a class costs; default 1/2.
        false_negatives: β, what too little costs; default 1/2.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        logits (batch, places..., classes), labels (batch, places...) or as the logits → () or, with
        "none", (batch,)

    Raises:
        ArgumentError: a number is negative.
        ShapeError: the shapes do not fit, or the batch is empty.
        DtypeError: logits that are no floats, or class numbers that are no integers.
        DataError: a label is no class, or no probability. In a compiled program its example's loss
            is NaN.

    Example:
        >>> logits = jnp.array([[[100.0], [-100.0], [100.0]]])
        >>> kuai.losses.dice(logits, jnp.array([[[1], [1], [0]]]), smooth=0.0)
        Array(0.5, dtype=float32)

    Reference:
        Milletari et al., V-Net, 2016; Salehi et al., Tversky Loss Function for Image Segmentation,
        2017.
    """
    import optax

    check_numbers("dice", smooth=smooth, false_positives=false_positives,
                  false_negatives=false_negatives)  # fmt: skip
    logits, labels = as_floats("dice", "logits", logits), as_array("dice", "labels", labels)
    check_class_shapes("dice", logits, labels)
    classes = logits.shape[-1]
    if logits.ndim < 2 or (classes == 1 and labels.shape != logits.shape):
        raise ShapeError(
            "dice: expected logits (batch, places..., classes), and labels of the same shape where "
            f"there is one class, got {logits.shape} and {labels.shape}"
        )
    if labels.shape == logits.shape:
        shares = jnp.asarray(labels).astype(logits.dtype)
        wrong, allowed = ~((shares >= 0) & (shares <= 1)), "probabilities from 0 to 1"
    else:
        wrong = no_class("dice", labels, classes)
        shares = jax.nn.one_hot(jnp.asarray(labels), classes, dtype=logits.dtype)
        allowed = f"labels from 0 to {classes - 1} ({classes} logits)"
    losses = optax.losses.dice_loss(
        logits, shares, smooth=smooth, alpha=false_positives, beta=false_negatives
    )
    losses = refused_rows("dice", losses, weights, jnp.asarray(wrong), allowed, labels)
    return reduced("dice", losses, weights, reduction)
