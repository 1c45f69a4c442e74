"""Losses of distributions: against each other, and of numbers under a predicted one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.losses.checks import as_pair, check_numbers, reduced, refused


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


def poisson(
    predictions: Any,
    targets: Any,
    *,
    log_input: bool = True,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood of counts under a Poisson distribution: exp(z) − y z.

    log y!, which no parameter changes, is left out.

    Args:
        predictions: z, the logarithm of the rate; with `log_input=False` the rate itself.
        targets: y, how often it happened.
        log_input: whether the predictions are logarithms; default True, as in PyTorch. Keras takes
            rates.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        predictions (...), targets (...) → () or, with "none", (...)

    Raises:
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: predictions that are no floats.
        DataError: a target is below 0. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.poisson(jnp.array([0.0]), jnp.array([3]))
        Array(1., dtype=float32)
    """
    rates, targets = as_pair("poisson", "predictions", predictions, "targets", targets)
    if log_input:
        losses = jnp.exp(rates) - targets * rates
    else:
        losses = rates - targets * jnp.log(rates + 1e-8)
    losses = refused("poisson", losses, weights, targets < 0, "targets from 0 up", targets)
    return reduced("poisson", losses, weights, reduction)


def gaussian_nll(
    means: Any,
    targets: Any,
    variances: Any,
    *,
    epsilon: float = 1e-6,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood of numbers under normal distributions: (log v + (y − m)² / v) / 2.

    log(2π) / 2, which no parameter changes, is left out.

    Args:
        means: m.
        targets: y.
        variances: v, from 0 up.
        epsilon: the least v that is reckoned with; default 1e-6. The gradient is as if it were v,
            so that a variance of 0 can grow again.
        weights: of the examples; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        means (...), targets (...), variances (...) → () or, with "none", (...)

    Raises:
        ArgumentError: epsilon is negative.
        ShapeError: the shapes differ, or the batch is empty.
        DtypeError: means that are no floats.
        DataError: a variance is below 0. In a compiled program its loss is NaN.

    Example:
        >>> kuai.losses.gaussian_nll(jnp.array([1.0]), jnp.array([3.0]), jnp.array([1.0]))
        Array(2., dtype=float32)

    Reference:
        Nix and Weigend, Estimating the Mean and Variance of the Target Probability Distribution,
        1994.
    """
    where = "gaussian_nll"
    check_numbers(where, epsilon=epsilon)
    given, targets = as_pair(where, "means", means, "targets", targets)
    given, variances = as_pair(where, "means", means, "variances", variances)
    missing = jax.lax.stop_gradient(jnp.maximum(epsilon - variances, 0))
    wide = variances + missing
    losses = (jnp.log(wide) + jnp.square(targets - given) / wide) / 2
    losses = refused(where, losses, weights, variances < 0, "variances from 0 up", variances)
    return reduced(where, losses, weights, reduction)
