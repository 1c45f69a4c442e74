"""Equal layers as `nn.Repeat`: what it costs to compile them as they grow in number, and to run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import kuai
from benchmarks.report import Comparison
from benchmarks.timing import Work, interleaved
from kuai import nn

WIDTH, BATCH, FEW, MANY, RUN = 128, 32, 8, 128, 16


def run() -> list[Comparison]:
    return [compiling(), deeper(), step()]


def layer() -> kuai.Block:
    return nn.Residual(nn.Dense(2 * WIDTH, activation="gelu"), nn.Dense(WIDTH))


def repeated(n: int) -> kuai.Block:
    return nn.Repeat(layer, n)


def sequential(n: int) -> kuai.Block:
    return nn.Sequential(*[layer() for _ in range(n)])


def loss(net: Any, x: jax.Array) -> jax.Array:
    return (net(x) ** 2).mean()


def compiling() -> Comparison:
    """Seconds of the processor for the first compiled gradient of residual layers, 128 wide."""
    _seconds(repeated, 2)  # what is imported and compiled once for all
    values = {
        "kuai": _seconds(repeated, MANY),
        "the same, 8 layers": _seconds(repeated, FEW),
        "Sequential, 8 layers": _seconds(sequential, FEW),
    }
    title = f"gradient of {MANY} residual layers, compiled for the first time"
    return Comparison(title, "CPU seconds", values, {"the same, 8 layers": 1.3})


def deeper() -> Comparison:
    """Seconds of the processor for the first compiled forward of a ResNet-152."""
    x = jnp.ones((1, 64, 64, 3))
    _forward_seconds(kuai.models.resnet18, x)  # what is imported and compiled once for all
    values = {
        "kuai": _forward_seconds(kuai.models.resnet152, x),
        "ResNet-50": _forward_seconds(kuai.models.resnet50, x),
    }
    title = "forward of ResNet-152, compiled for the first time"
    return Comparison(title, "CPU seconds", values, {"ResNet-50": 1.5})


def _forward_seconds(make: Callable[[], kuai.Block], x: jax.Array) -> float:
    net = make().initialize(sample=x).hybridize()
    start = time.process_time()
    jax.block_until_ready(net(x))
    return round(time.process_time() - start, 2)


def _seconds(make: Callable[[int], kuai.Block], n: int) -> float:
    x = jnp.ones((BATCH, WIDTH))
    net = make(n).initialize(sample=x)
    gradient = kuai.value_and_grad(loss)
    gradient(net, x)  # as plain Python: the second call compiles
    start = time.process_time()
    jax.block_until_ready(gradient(net, x))
    return round(time.process_time() - start, 2)


def step() -> Comparison:
    """An SGD step of 16 such layers, against the same layers one by one, and raw JAX."""
    x = jnp.ones((BATCH, WIDTH))
    works: dict[str, Work] = {
        "kuai": _trainer_step(repeated, x),
        "Sequential": _trainer_step(sequential, x),
        "raw jax.jit of a scan": _raw_step(x),
    }
    targets = {"Sequential": 1.0}
    return Comparison(
        f"SGD step of {RUN} residual layers", "us per step", interleaved(works), targets
    )


def _trainer_step(make: Callable[[int], kuai.Block], x: jax.Array) -> Work:
    trainer = kuai.Trainer(make(RUN), optax.sgd(1e-3), kuai.losses.mse)
    return lambda: trainer.step((x, x)).loss.block_until_ready()


def _raw_step(x: jax.Array) -> Work:
    sizes = ((WIDTH, 2 * WIDTH), (2 * WIDTH,), (2 * WIDTH, WIDTH), (WIDTH,))
    keys = jax.random.split(jax.random.key(0), len(sizes))
    held = [[jax.random.normal(k, (RUN, *s)) * 0.05 for k, s in zip(keys, sizes, strict=True)]]

    def objective(stacks: list[jax.Array], x: jax.Array) -> jax.Array:
        def body(x: jax.Array, row: list[jax.Array]) -> tuple[jax.Array, None]:
            return x + (jax.nn.gelu(x @ row[0] + row[1]) @ row[2] + row[3]), None

        return jnp.square(jax.lax.scan(body, x, stacks)[0] - x).mean()

    def update(stacks: list[jax.Array], x: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        value, gradients = jax.value_and_grad(objective)(stacks, x)
        return [s - 1e-3 * g for s, g in zip(stacks, gradients, strict=True)], value

    compiled = jax.jit(update, donate_argnums=0)

    def work() -> Any:
        held[0], value = compiled(held[0], x)
        return value.block_until_ready()

    return work
