"""Losses of numbers that weigh an error by what it is an error of, or by its sign."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.losses.checks import as_pair, check_numbers, check_share, reduced, refused


def mape(
    predictions: Any,
    targets: Any,
    *,
    epsilon: float = 1e-7,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Mean absolute percentage error: 100 |ŷ − y| / max(|y|, ε).

    Args:
        predictions: ŷ.
        targets: y.
        epsilon: ε, for targets of 0; default 1e-7, as in Keras.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        predictions (...), targets (...) → () or, with "none", (...)

    Raises:
        ArgumentError: epsilon is negative.
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.

    Example:
        >>> kuai.losses.mape(jnp.array([1.0, 3.0]), jnp.array([1.0, 4.0]))
        Array(12.5, dtype=float32)
    """
    check_numbers("mape", epsilon=epsilon)
    predictions, targets = as_pair("mape", "predictions", predictions, "targets", targets)
    size = jnp.maximum(jnp.abs(targets), epsilon)
    return reduced("mape", 100 * jnp.abs(predictions - targets) / size, weights, reduction)


def msle(
    predictions: Any, targets: Any, *, weights: Any = None, reduction: str = "mean"
) -> jax.Array:
    """Mean squared logarithmic error: (log(1 + max(ŷ, 0)) − log(1 + y))².

    Args:
        predictions: ŷ.
        targets: y, from 0 up.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        predictions (...), targets (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.
        DataError: a target is below 0. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.msle(jnp.array([1.0]), jnp.array([1.0]))
        Array(0., dtype=float32)
    """
    predictions, targets = as_pair("msle", "predictions", predictions, "targets", targets)
    losses = jnp.square(jnp.log1p(jnp.maximum(predictions, 0)) - jnp.log1p(targets))
    losses = refused("msle", losses, weights, targets < 0, "targets from 0 up", targets)
    return reduced("msle", losses, weights, reduction)


def quantile(
    predictions: Any,
    targets: Any,
    *,
    level: float = 0.5,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Pinball loss, least at a quantile of the targets: max(q e, (q − 1) e) of e = y − ŷ.

    Args:
        predictions: ŷ.
        targets: y.
        level: q, the share of the targets that should lie below; default 1/2, the median.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        predictions (...), targets (...) → () or, with "none", (...)

    Raises:
        ArgumentError: `level` is not from 0 to 1.
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.

    Example:
        >>> kuai.losses.quantile(jnp.array([1.0]), jnp.array([3.0]), level=0.75)
        Array(1.5, dtype=float32)

    Reference:
        Koenker and Bassett, Regression Quantiles, 1978.
    """
    check_share("quantile", "level", level)
    predictions, targets = as_pair("quantile", "predictions", predictions, "targets", targets)
    errors = targets - predictions
    losses = jnp.maximum(level * errors, (level - 1) * errors)
    return reduced("quantile", losses, weights, reduction)
