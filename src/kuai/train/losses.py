"""Losses: functions of (output, target), thin over optax, with one set of keywords.

- `weights`: a number for each example, or for the leading axes of the loss. The mean is then
  Σ w·l / Σ w, and what has weight 0 takes no part, NaN or not: a mask for padding.
- `reduction`: "mean" (the default), "sum", or "none" for the loss of each element.

Shapes must be equal: (n, 1) against (n,) would broadcast to (n, n) and train on nonsense. 16-bit
floats are widened, so that the loss is float32 at least. A target that makes no sense (a label that
is no class) raises when its value is known; inside a compiled program no value is, and the loss is
NaN there rather than silently that of another class.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ArgumentError
from kuai.train._checks import (
    as_array,
    as_floats,
    as_pair,
    check_class_shapes,
    no_class,
    reduced,
    refused,
)

__all__ = ["binary_cross_entropy", "cosine", "hinge", "huber", "kl_divergence", "log_cosh", "mae",
           "mse", "softmax_cross_entropy"]  # fmt: skip


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


def mse(
    predictions: Any, targets: Any, *, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Mean squared error: (ŷ − y)².

    Args:
        predictions: ŷ.
        targets: y.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        predictions (...), targets (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.

    Example:
        >>> kuai.losses.mse(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
        Array(2., dtype=float32)
    """
    import optax

    pair = as_pair("mse", "predictions", predictions, "targets", targets)
    return reduced("mse", optax.squared_error(*pair), weights, reduction)


def mae(
    predictions: Any, targets: Any, *, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Mean absolute error: |ŷ − y|.

    Args:
        predictions: ŷ.
        targets: y.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        predictions (...), targets (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.

    Example:
        >>> kuai.losses.mae(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
        Array(1., dtype=float32)
    """
    predictions, targets = as_pair("mae", "predictions", predictions, "targets", targets)
    return reduced("mae", jnp.abs(predictions - targets), weights, reduction)


def huber(
    predictions: Any,
    targets: Any,
    *,
    delta: float = 1.0,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Huber loss: e²/2 where |e| ≤ δ, else δ(|e| − δ/2), of the error e = ŷ − y.

    Args:
        predictions: ŷ.
        targets: y.
        delta: δ, where the square gives way to the line, in units of y; default 1.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        predictions (...), targets (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.
        ArgumentError: `delta` is not above 0.

    Example:
        >>> kuai.losses.huber(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
        Array(0.75, dtype=float32)

    Reference:
        P. J. Huber, Robust Estimation of a Location Parameter, 1964.
    """
    import optax

    if not delta > 0:
        raise ArgumentError(f"huber: expected delta above 0, got {delta!r}")
    pair = as_pair("huber", "predictions", predictions, "targets", targets)
    return reduced("huber", optax.huber_loss(*pair, delta=delta), weights, reduction)


def log_cosh(
    predictions: Any, targets: Any, *, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Logarithm of the hyperbolic cosine of the error: log cosh(ŷ − y).

    Args:
        predictions: ŷ.
        targets: y.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        predictions (...), targets (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.

    Example:
        >>> kuai.losses.log_cosh(jnp.array([1.0, 2.0]), jnp.array([1.0, 2.0]))
        Array(0., dtype=float32)
    """
    import optax

    pair = as_pair("log_cosh", "predictions", predictions, "targets", targets)
    return reduced("log_cosh", optax.log_cosh(*pair), weights, reduction)


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


def cosine(
    predictions: Any, targets: Any, *, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Cosine distance of vectors along the last axis: 1 − ŷ·y / (|ŷ| |y|).

    Args:
        predictions: ŷ.
        targets: y. A vector of length 0 is at distance 1 from all, with gradient 0.
        weights: of the examples; default all 1.
        reduction: "mean" (default; over the vectors), "sum" or "none".

    Shape:
        predictions (..., features), targets (..., features) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.

    Example:
        >>> kuai.losses.cosine(jnp.array([[3.0, 0.0]]), jnp.array([[0.0, 2.0]]))
        Array(1., dtype=float32)
    """
    import optax

    pair = as_pair("cosine", "predictions", predictions, "targets", targets)
    tiny = float(jnp.finfo(pair[0].dtype).tiny)
    losses = optax.cosine_distance(*pair, epsilon=tiny)
    return reduced("cosine", losses, weights, reduction)
