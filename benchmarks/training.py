"""A training step, and a whole `fit`, against raw JAX and torch."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import kuai
from benchmarks.call import mlp, torch_mlp
from benchmarks.report import Comparison
from benchmarks.timing import Work, interleaved

BATCH, STEPS, ROUNDS = 2, 4096, 7


def run() -> list[Comparison]:
    return [step(), fit()]


def step() -> Comparison:
    """One SGD step of MLP 20-256-10, batch 2, cross-entropy; the loss is waited for."""
    x, y = data(BATCH)
    trainer = kuai.Trainer(mlp(), optax.sgd(0.01), kuai.losses.softmax_cross_entropy)
    batch = (jnp.asarray(x), jnp.asarray(y))
    works: dict[str, Work] = {
        "kuai": lambda: trainer.step(batch).loss.block_until_ready(),
        "raw jax.jit, donated": _raw_step(*batch),
        "torch eager": _torch_step(x, y),
    }
    values = interleaved(works)
    return Comparison(
        "MLP 20-256-10, batch 2, SGD step", "us per step", values, {"torch eager": 0.25}
    )


def fit() -> Comparison:
    """The same step by `fit`, epochs of 4,096 steps, with data loading and the mean loss."""
    x, y = data(BATCH * STEPS)
    trainer = kuai.Trainer(mlp(), optax.sgd(0.01), kuai.losses.softmax_cross_entropy)
    trainer.fit((x, y), epochs=2, batch_size=BATCH, progress=False)
    loop = _torch_loop(x, y)
    best = {"kuai": float("inf"), "torch eager": float("inf")}
    for _ in range(ROUNDS):
        for name, work in (("kuai", lambda: _epoch(trainer, x, y)), ("torch eager", loop)):
            start = time.perf_counter()
            work()
            best[name] = min(best[name], (time.perf_counter() - start) / STEPS * 1e6)
    values = {name: round(value, 2) for name, value in best.items()}
    return Comparison("the same by fit, per step", "us per step", values, {"torch eager": 1 / 15})


def _epoch(trainer: Any, x: np.ndarray, y: np.ndarray) -> None:
    trainer.fit((x, y), epochs=1, batch_size=BATCH, progress=False)


def data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, 20), dtype=np.float32)
    return x, generator.integers(0, 10, rows).astype(np.int32)


def _raw_step(x: jax.Array, y: jax.Array) -> Work:
    net = mlp()
    net(x)
    state = [jnp.array(p.array) for p in net.parameters()]

    def loss(arrays: list[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
        logits = jax.nn.relu(x @ arrays[0] + arrays[1]) @ arrays[2] + arrays[3]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def update(
        arrays: list[jax.Array], x: jax.Array, y: jax.Array
    ) -> tuple[list[jax.Array], jax.Array]:
        value, gradients = jax.value_and_grad(loss)(arrays, x, y)
        return [a - 0.01 * g for a, g in zip(arrays, gradients, strict=True)], value

    jitted = jax.jit(update, donate_argnums=0)

    def work() -> Any:
        nonlocal state
        state, value = jitted(state, x, y)
        return value.block_until_ready()

    return work


class _Torch:
    """The same net and step in torch."""

    def __init__(self) -> None:
        self.net = torch_mlp()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        self.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        return loss


def _torch_step(x: np.ndarray, y: np.ndarray) -> Work:
    peer, a, b = _Torch(), torch.from_numpy(x), torch.from_numpy(y).long()
    return lambda: peer.step(a, b)


def _torch_loop(x: np.ndarray, y: np.ndarray) -> Work:
    """Batches by slices of a shuffled tensor: no DataLoader, which would be slower."""
    peer, a, b = _Torch(), torch.from_numpy(x), torch.from_numpy(y).long()

    def work() -> None:
        order = torch.randperm(len(a))
        for start in range(0, len(a), BATCH):
            rows = order[start : start + BATCH]
            peer.step(a[rows], b[rows])

    return work
