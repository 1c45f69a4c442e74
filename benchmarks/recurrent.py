"""Training steps of recurrent layers, 128 units, length 128, batch 32: a scan and torch beside."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from jax import lax

import kuai
from benchmarks.report import Comparison
from benchmarks.timing import Work, interleaved
from kuai import nn

UNITS, LENGTH, BATCH, RATE = 128, 128, 32, 0.01


def run() -> list[Comparison]:
    return [step("LSTM", {"torch eager": 1.0}), step("GRU", {}), step("RNN", {})]


def step(kind: str, targets: dict[str, float]) -> Comparison:
    """One SGD step on the mean squared error of the outputs; the loss is waited for."""
    x, y = data()
    net = getattr(nn, kind)(UNITS, return_state=False)
    trainer = kuai.Trainer(net, optax.sgd(RATE), kuai.losses.mse)
    batch = jnp.asarray(x), jnp.asarray(y)
    works: dict[str, Work] = {
        "kuai": lambda: trainer.step(batch).loss.block_until_ready(),
        "torch eager": _torch(kind, x, y),
    }
    if kind == "LSTM":
        works["naive lax.scan"] = _naive(*batch)
    title = f"{kind} {UNITS}, length {LENGTH}, batch {BATCH}, SGD step"
    return Comparison(title, "us per step", interleaved(works, seconds=12.0), targets)


def data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    shape = BATCH, LENGTH, UNITS
    x = generator.standard_normal(shape, dtype=np.float32)
    return x, generator.uniform(-1, 1, shape).astype(np.float32)


def _naive(x: jax.Array, y: jax.Array) -> Work:
    """As a person writes it who has moved the product with the inputs out of the loop."""
    generator = np.random.default_rng(1)
    sizes = (UNITS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)
    weights = [jnp.asarray(generator.uniform(-0.09, 0.09, size), jnp.float32) for size in sizes]

    def loss(weights: list[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
        inputs, across, bias = weights

        def trip(state: Any, summand: jax.Array) -> Any:
            hidden, cell = state
            i, f, g, o = jnp.split(summand + hidden @ across, 4, -1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
            return (hidden, cell), hidden

        zeros = jnp.zeros((BATCH, UNITS))
        _, outputs = lax.scan(trip, (zeros, zeros), x.swapaxes(0, 1) @ inputs + bias)
        return jnp.square(outputs.swapaxes(0, 1) - y).mean()

    def update(weights: list[jax.Array], x: jax.Array, y: jax.Array) -> Any:
        value, gradients = jax.value_and_grad(loss)(weights, x, y)
        return [w - RATE * g for w, g in zip(weights, gradients, strict=True)], value

    jitted = jax.jit(update, donate_argnums=0)

    def work() -> Any:
        nonlocal weights
        weights, value = jitted(weights, x, y)
        return value.block_until_ready()

    return work


def _torch(kind: str, x: np.ndarray, y: np.ndarray) -> Work:
    net = getattr(torch.nn, kind)(UNITS, UNITS, batch_first=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    a, b = torch.from_numpy(x), torch.from_numpy(y)

    def work() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(a)[0], b)
        loss.backward()
        optimizer.step()
        return loss

    return work
