"""What makes classes count more, less, or not at all: class weights, and a label to ignore."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.errors import ArgumentError, ShapeError
from kuai.losses.checks import as_array, expanded


def class_factors(where: str, class_weights: Any, scores: jax.Array) -> jax.Array | None:
    """The weights of the classes in the dtype of the scores; None where there are none."""
    if class_weights is None:
        return None
    factors = jnp.asarray(as_array(where, "class_weights", class_weights)).astype(scores.dtype)
    if factors.shape != scores.shape[-1:]:
        raise ShapeError(
            f"{where}: expected class_weights of shape {scores.shape[-1:]}, one for each class, "
            f"got {factors.shape}"
        )
    return factors


def of_labels(factors: jax.Array, labels: Any) -> jax.Array:
    """The weight of each label's class; 0 for what is no class."""
    rows = factors.at[jnp.asarray(labels)]
    return rows.get(mode="fill", fill_value=0, wrap_negative_indices=False)


def without_ignored(
    where: str, weights: Any, labels: Any, ignore_index: Any, losses: jax.Array
) -> Any:
    """The weights, with 0 for the examples whose label is to be ignored."""
    if ignore_index is None:
        return weights
    if not isinstance(ignore_index, (int, np.integer)):
        raise ArgumentError(
            f"{where}: expected ignore_index to be an integer or None, got {ignore_index!r}"
        )
    scale = jnp.ones_like(losses) if weights is None else expanded(where, weights, losses)
    return jnp.where(labels == ignore_index, jnp.zeros_like(losses), scale)
