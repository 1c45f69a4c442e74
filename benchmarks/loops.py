"""A loop whose trips data decides, forward and backward: against storing every carry, and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch
from jax import lax

from benchmarks.report import Comparison
from benchmarks.timing import Work, interleaved
from kuai.hybrid.loops import LoopOptions, while_loop

Step = Callable[[jax.Array, jax.Array], jax.Array]
TRIPS = (5, 50, 500, 5000)
SLOTS = 8192  # of the loop that stores everything
# name → the step in JAX and in torch, of weights and x
STEPS: dict[str, tuple[Step, Callable[[Any, Any], Any]]] = {
    "x / 2": (lambda _, x: x / 2, lambda _, x: x / 2),
    "tanh(x) * 1.01": (lambda _, x: jnp.tanh(x) * 1.01, lambda _, x: torch.tanh(x) * 1.01),
    "tanh(x @ w)": (lambda w, x: jnp.tanh(x @ w), lambda w, x: torch.tanh(x @ w)),
}


def run() -> list[Comparison]:
    timed = [timings(name, trips) for name in STEPS for trips in TRIPS]
    return [*timed, memory()]


def timings(name: str, trips: int) -> Comparison:
    """Gradients of the sum of x (2, 20) after some trips, with respect to w (20, 20) and x."""
    step, torch_step = STEPS[name]
    x, w, n = jnp.ones((2, 20)), jnp.eye(20), jnp.int32(trips)
    works: dict[str, Work] = {
        way: _timed(jax.jit(jax.value_and_grad(function, argnums=(0, 1))), w, x, n)
        for way, function in {
            "kuai": _kuai(step, LoopOptions()),
            "kuai, bounded": _kuai(step, LoopOptions(bound=SLOTS)),
            "store everything": _storing(step),
        }.items()
    }
    works["torch eager"] = _torch(torch_step, trips)
    targets = {"store everything": 2.0}
    if (name, trips) == ("x / 2", 5000):
        targets["torch eager"] = 1 / 25
    title = f"while, {trips} trips of {name}, forward and backward"
    return Comparison(title, "us per call", interleaved(works), targets)


def _timed(function: Callable[..., Any], *given: Any) -> Work:
    return lambda: jax.block_until_ready(function(*given))


def _kuai(step: Step, options: LoopOptions) -> Callable[..., jax.Array]:
    def total(w: jax.Array, x: jax.Array, n: jax.Array) -> jax.Array:
        (x, _), _ = while_loop(
            lambda carry: carry[1] < n,
            lambda carry: [step(w, carry[0]), carry[1] + 1],
            [x, jnp.int32(0)],
            options,
        )
        return x.sum()

    return total


def _storing(step: Step) -> Callable[..., jax.Array]:
    """As a person would write it who knows that there are at most 8,192 trips."""
    total = jax.custom_vjp(lambda w, x, n: lax.fori_loop(0, n, lambda _, x: step(w, x), x).sum())

    def forward(w: jax.Array, x: jax.Array, n: jax.Array) -> Any:
        def body(state: Any) -> Any:
            x, i, rows = state
            return step(w, x), i + 1, lax.dynamic_update_index_in_dim(rows, x, i, 0)

        start = x, jnp.int32(0), jnp.zeros((SLOTS, *x.shape))
        x, _, rows = lax.while_loop(lambda state: state[1] < n, body, start)
        return x.sum(), (w, n, rows)

    def backward(kept: Any, cotangent: jax.Array) -> Any:
        w, n, rows = kept

        def body(state: Any) -> Any:
            dw, dx, i = state
            x = lax.dynamic_index_in_dim(rows, i - 1, 0, keepdims=False)
            more, dx = jax.vjp(step, w, x)[1](dx)
            return dw + more, dx, i - 1

        start = jnp.zeros_like(w), jnp.broadcast_to(cotangent, rows.shape[1:]), n
        dw, dx, _ = lax.while_loop(lambda state: state[2] > 0, body, start)
        return dw, dx, None

    total.defvjp(forward, backward)
    return total


def _torch(step: Callable[[Any, Any], Any], trips: int) -> Work:
    x, w = torch.ones(2, 20, requires_grad=True), torch.eye(20, requires_grad=True)

    def work() -> Any:
        value = x
        for _ in range(trips):
            value = step(w, value)
        return torch.autograd.grad(value.sum(), (x, w), allow_unused=True)

    return work


def memory() -> Comparison:
    """Temporary memory of the compiled gradient, the number of trips a constant of the program."""
    found = {trips: _temporary(trips) for trips in (500, 50_000)}
    return Comparison(
        "while, temporary memory of the gradient at 50,000 trips",
        "bytes",
        {"kuai": found[50_000], "kuai, 500 trips": found[500]},
        {"kuai, 500 trips": 1.0},
    )


def _temporary(trips: int) -> float:
    total = _kuai(STEPS["tanh(x @ w)"][0], LoopOptions())
    grad = jax.jit(jax.grad(lambda w, x: total(w, x, jnp.int32(trips))))
    compiled = grad.lower(jnp.eye(20), jnp.ones((2, 20))).compile()
    return float(compiled.memory_analysis().temp_size_in_bytes)
