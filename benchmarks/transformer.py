"""A transformer's training step against torch: 4 layers, 256 wide, 8 heads, 8 x 128 tokens."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import torch

import kuai
from benchmarks.report import Comparison
from benchmarks.timing import Work, interleaved
from kuai import nn

LAYERS, WIDTH, HEADS, HIDDEN = 4, 256, 8, 1024
BATCH, LENGTH = 8, 128
RATE = 0.01


def run() -> list[Comparison]:
    return [step(), forward()]


def step() -> Comparison:
    """Mean squared error, gradient, SGD; the loss is waited for."""
    x, y = data()
    trainer = kuai.Trainer(encoder(), optax.sgd(RATE), kuai.losses.mse)
    batch = (jnp.asarray(x), jnp.asarray(y))
    works: dict[str, Work] = {
        "kuai": lambda: trainer.step(batch).loss.block_until_ready(),
        "torch eager": _torch_step(x, y),
    }
    values = interleaved(works, seconds=20.0)
    title = "transformer, 4 layers of 256, 8 × 128 tokens, SGD step"
    return Comparison(title, "us per step", values, {"torch eager": 1.0})


def forward() -> Comparison:
    """The same net in eval mode."""
    x, _ = data()
    net, array = encoder(), jnp.asarray(x)
    net.hybridize()
    works: dict[str, Work] = {
        "kuai": lambda: net(array).block_until_ready(),
        "torch eager, no_grad": _torch_forward(x),
    }
    return Comparison("the same, forward", "us per call", interleaved(works, seconds=10.0), {})


def data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    shape = (BATCH, LENGTH, WIDTH)
    x, y = (generator.standard_normal(shape, dtype=np.float32) for _ in range(2))
    return x, y


def encoder() -> kuai.Block:
    gelu = nn.GELU(approximate=False)  # torch's
    layer = nn.TransformerEncoderLayer(HEADS, HIDDEN, gelu, norm_first=True, dropout=0.0)
    return nn.TransformerEncoder(layer, LAYERS)


def torch_encoder() -> Any:
    layer = torch.nn.TransformerEncoderLayer(
        WIDTH, HEADS, HIDDEN, 0.0, "gelu", batch_first=True, norm_first=True
    )
    return torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)


def _torch_step(x: np.ndarray, y: np.ndarray) -> Work:
    net, a, b = torch_encoder(), torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)

    def work() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(a), b)
        loss.backward()
        optimizer.step()
        return loss.item()

    return work


def _torch_forward(x: np.ndarray) -> Work:
    net, a = torch_encoder().eval(), torch.from_numpy(x)

    def work() -> Any:
        with torch.no_grad():
            return net(a)

    return work
