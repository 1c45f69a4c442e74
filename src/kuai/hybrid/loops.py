"""Placeholder until the differentiable loop lands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class LoopOptions:
    memory: int = 64 * 2**20
    bound: int | None = None


def while_loop(condition: Any, body: Any, carry: Any, options: LoopOptions) -> Any:
    n = options.bound or 300

    def step(state: Any, _: Any) -> Any:
        xs, trips = state
        go = condition(xs)
        new = jax.lax.cond(go, body, lambda xs: list(xs), list(xs))
        return (new, trips + go.astype(jnp.int32)), None

    (xs, trips), _ = jax.lax.scan(step, (list(carry), jnp.int32(0)), None, length=n)
    return xs, trips
