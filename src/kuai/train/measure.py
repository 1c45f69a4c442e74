"""Metrics as the programs gather them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ArgumentError
from kuai.metrics import as_metric


def check_metrics(metrics: Any) -> tuple[Any, ...]:
    """The metrics as a tuple, each with a name of its own.

    Raises:
        ArgumentError: something is no metric, or two have one name.
    """
    given = metrics if isinstance(metrics, (tuple, list)) else (metrics,)
    found = tuple(map(as_metric, given))
    names = [metric.name for metric in found]
    if len(set(names)) < len(names) or "loss" in names:
        raise ArgumentError(
            f"metrics: expected different names, none of them 'loss', got {names}; give one of "
            "them another name"
        )
    return found


def zeros(metrics: tuple[Any, ...]) -> list[Any]:
    """What each metric has gathered before the first batch."""
    return [metric.init() for metric in metrics]


def fresh(metrics: tuple[Any, ...]) -> list[Any]:
    """The same as arrays of their own, for a program to take over."""
    return jax.tree.map(jnp.array, zeros(metrics))


def updated(metrics: tuple[Any, ...], sums: list[Any], output: Any, target: Any) -> list[Any]:
    return [metric.update(s, output, target) for metric, s in zip(metrics, sums, strict=True)]


def values(metrics: tuple[Any, ...], sums: list[Any]) -> dict[str, Any]:
    """Name → value of each metric."""
    return {metric.name: metric.compute(s) for metric, s in zip(metrics, sums, strict=True)}
