"""Losses of numbers and vectors: how far predictions are from their targets."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ArgumentError
from kuai.losses.checks import as_pair, reduced


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


def smooth_l1(
    predictions: Any,
    targets: Any,
    *,
    beta: float = 1.0,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Smooth absolute error: e²/(2β) where |e| ≤ β, else |e| − β/2, of the error e = ŷ − y.

    It is `huber` over β: its slope far off is 1, whatever β.

    Args:
        predictions: ŷ.
        targets: y.
        beta: β, where the square gives way to the line, in units of y; default 1.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        predictions (...), targets (...) → () or, with "none", (...)

    Raises:
        ArgumentError: `beta` is not above 0.
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.

    Example:
        >>> kuai.losses.smooth_l1(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]), beta=2.0)
        Array(0.5, dtype=float32)

    Reference:
        Girshick, Fast R-CNN, 2015.
    """
    import optax

    if not beta > 0:
        raise ArgumentError(f"smooth_l1: expected beta above 0, got {beta!r}")
    pair = as_pair("smooth_l1", "predictions", predictions, "targets", targets)
    return reduced("smooth_l1", optax.huber_loss(*pair, delta=beta) / beta, weights, reduction)


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
