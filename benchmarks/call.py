"""A hybridized call against the raw `jax.jit` call and torch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import kuai
from benchmarks.report import Comparison
from benchmarks.timing import Work, interleaved
from kuai import nn


def run() -> list[Comparison]:
    return [mlp_forward(), deep_tree(), hybrid_function()]


def mlp() -> kuai.Block:
    return nn.Sequential(nn.Dense(256, activation="relu"), nn.Dense(10))


def torch_mlp() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(20, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))


def mlp_forward() -> Comparison:
    """MLP 20-256-10, batch 2."""
    x = jnp.ones((2, 20))
    net = mlp()
    net(x)
    arrays = [p.array for p in net.parameters()]
    raw = jax.jit(lambda a, b, c, d, x: jax.nn.relu(x @ a + b) @ c + d)
    net.hybridize()
    values = interleaved(
        {
            "kuai": lambda: net(x).block_until_ready(),
            "raw jax.jit": lambda: raw(*arrays, x).block_until_ready(),
            "torch eager, no_grad": _torch_forward(),
        }
    )
    targets = {"raw jax.jit": 1.15, "torch eager, no_grad": 0.5}
    return Comparison("MLP 20-256-10, batch 2, forward", "us per call", values, targets)


def _torch_forward() -> Work:
    net, x = torch_mlp().eval(), torch.from_numpy(np.ones((2, 20), np.float32))

    def work() -> Any:
        with torch.no_grad():
            return net(x)

    return work


def deep_tree() -> Comparison:
    """A tree of 1,000 blocks: what a call costs beyond the raw call on the same flat list."""
    x = jnp.ones((2, 8))
    net = nn.Sequential(*[nn.Sequential(nn.Dense(8)) for _ in range(500)])
    net(x)
    arrays = [p.array for p in net.parameters()]

    def forward(arrays: list[jax.Array], x: jax.Array) -> jax.Array:
        for weight, bias in zip(arrays[::2], arrays[1::2], strict=True):
            x = x @ weight + bias
        return x

    raw = jax.jit(forward)
    net.hybridize()
    works: dict[str, Work] = {
        "kuai": lambda: net(x).block_until_ready(),
        "raw jax.jit": lambda: raw(arrays, x).block_until_ready(),
    }
    return Comparison("1,000 blocks, forward", "us per call", interleaved(works), {})


def hybrid_function() -> Comparison:
    """A compiled function that is given the block."""
    x = jnp.ones((2, 20))
    net = mlp()
    net(x)
    arrays = [p.array for p in net.parameters()]
    raw = jax.jit(
        lambda arrays, x: (jax.nn.relu(x @ arrays[0] + arrays[1]) @ arrays[2] + arrays[3]).sum()
    )
    total = kuai.hybrid(lambda net, x: net(x).sum())
    works: dict[str, Work] = {
        "kuai": lambda: total(net, x).block_until_ready(),
        "raw jax.jit": lambda: raw(arrays, x).block_until_ready(),
    }
    return Comparison("kuai.hybrid(function of the MLP)", "us per call", interleaved(works), {})
