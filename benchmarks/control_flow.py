"""Blocks whose forward branches and loops on arrays, hybridized: against raw JAX and torch."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import torch
from jax import lax

import kuai
from benchmarks.report import Comparison
from benchmarks.timing import Work, interleaved
from examples.control_flow.fixed_hidden_mlp import FixedHiddenMLP

TRIPS = 5000
STARTS = 5
ALLOWED_US, ALLOWED_MS = 3.0, 20.0


def run() -> list[Comparison]:
    return [*forward(), gradient(), long_loop(), memory(), conversion(), second_start()]


class TorchFixedHidden(torch.nn.Module):
    """The same block in torch, with the parameters of one of kuai's."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.rand_weight = _to_torch(net.rand_weight)
        self.dense = torch.nn.Linear(20, 20)
        self.dense.weight.data = _to_torch(net.dense.weight).T.contiguous()
        self.dense.bias.data = _to_torch(net.dense.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.dense(x)
        x = torch.relu(x @ self.rand_weight + 1)
        x = self.dense(x)
        while torch.abs(x).sum() > 1:
            x = x / 2
        return x.sum()


def _to_torch(array: Any) -> torch.Tensor:
    return torch.tensor(array.tolist())


def _nets() -> tuple[Any, TorchFixedHidden, jax.Array, torch.Tensor]:
    kuai.seed(0)
    x = kuai.random.uniform((2, 20))
    net = FixedHiddenMLP().initialize(sample=x)
    return net, TorchFixedHidden(net), x, _to_torch(x)


def forward() -> list[Comparison]:
    """The chapter's FixedHiddenMLP, batch 2; and what kuai adds to the program that JAX runs."""
    net, peer, x, torch_x = _nets()
    arrays = net.rand_weight, net.dense.weight, net.dense.bias
    raw = jax.jit(_by_hand)
    net.hybridize()

    def torch_work() -> Any:
        with torch.no_grad():
            return peer(torch_x)

    values = interleaved(
        {
            "kuai": lambda: net(x).block_until_ready(),
            "raw jax.jit, lax.while_loop": lambda: raw(*arrays, x).block_until_ready(),
            "torch eager, no_grad": torch_work,
        }
    )
    beyond = values["kuai"] - values["raw jax.jit, lax.while_loop"]
    title = "FixedHiddenMLP, batch 2, forward"
    return [
        Comparison(title, "us per call", values, {"torch eager, no_grad": 0.25}),
        _within(f"{title}, beyond the raw call", "us per call", beyond, ALLOWED_US),
    ]


def _by_hand(rand_weight: jax.Array, weight: jax.Array, bias: jax.Array, x: jax.Array) -> jax.Array:
    x = x @ weight + bias
    x = jax.nn.relu(x @ rand_weight + 1)
    x = x @ weight + bias
    return lax.while_loop(lambda x: jnp.abs(x).sum() > 1, lambda x: x / 2, x).sum()


def _within(title: str, unit: str, found: float, allowed: float) -> Comparison:
    """A figure that has no peer but a limit."""
    values = {"kuai": round(found, 2), "allowed": allowed}
    return Comparison(title, unit, values, {"allowed": 1.0})


def gradient() -> Comparison:
    """The same with the gradient of its parameters."""
    net, peer, x, torch_x = _nets()
    net.hybridize()
    both = kuai.value_and_grad(lambda net, x: net(x))

    def torch_work() -> Any:
        peer.zero_grad()
        peer(torch_x).backward()

    works: dict[str, Work] = {
        "kuai": lambda: jax.block_until_ready(both(net, x)),
        "torch eager": torch_work,
    }
    title = "FixedHiddenMLP, batch 2, forward and backward"
    return Comparison(title, "us per call", interleaved(works), {"torch eager": 0.2})


class Shrinking(kuai.Block):
    """Multiplies until the sum is small, which from ones (2, 20) takes about `trips` trips.

    Args:
        trips: sets the factor.
    """

    def __init__(self, trips: int) -> None:
        super().__init__()
        self.rate = 40 ** (-1 / trips)
        self.scale = kuai.Parameter(jnp.ones(()))

    def forward(self, x: jax.Array) -> jax.Array:
        factor = self.rate * self.scale
        while jnp.abs(x).sum() > 1:
            x = x * factor
        return x.sum()


def long_loop() -> Comparison:
    """A while of about 5,000 trips with the gradient of its parameter."""
    net, x = Shrinking(TRIPS).hybridize(), jnp.ones((2, 20))
    both = kuai.value_and_grad(lambda net, x: net(x))
    works: dict[str, Work] = {
        "kuai": lambda: jax.block_until_ready(both(net, x)),
        "torch eager": _torch_long_loop(),
    }
    title = f"while, {TRIPS:,} trips of x * c, forward and backward"
    return Comparison(title, "us per call", interleaved(works, seconds=10), {"torch eager": 0.04})


def _torch_long_loop() -> Work:
    scale, start = torch.ones((), requires_grad=True), torch.ones(2, 20)
    rate = 40 ** (-1 / TRIPS)

    def work() -> Any:
        x, factor = start, rate * scale
        while torch.abs(x).sum() > 1:
            x = x * factor
        return torch.autograd.grad(x.sum(), scale)

    return work


def memory() -> Comparison:
    """Temporary memory of the compiled gradient; the rate of shrinking is a constant in it."""
    found = {trips: _temporary(trips) for trips in (500, 50_000)}
    return Comparison(
        "while, 50,000 trips of x * c, temporary memory of the gradient",
        "bytes",
        {"kuai": found[50_000], "kuai, 500 trips": found[500]},
        {"kuai, 500 trips": 1.0},
    )


def _temporary(trips: int) -> float:
    x = jnp.ones((2, 20))
    pure, parameters, state = kuai.functional(Shrinking(trips).initialize(sample=x))
    both = jax.jit(jax.value_and_grad(lambda parameters: pure(parameters, state, x)[0]))
    analysis = both.lower(parameters).compile().memory_analysis()
    return float(analysis.temp_size_in_bytes)


_BLOCK = "from examples.control_flow.fixed_hidden_mlp import FixedHiddenMLP\n"
_CONVERT = f"""{_BLOCK}
import gc, time
from kuai.hybrid.convert import converted_code
gc.collect()  # of all that JAX's import made, which falls due here or elsewhere by chance
start = time.perf_counter()
conversion = converted_code(FixedHiddenMLP.forward)
print(time.perf_counter() - start)
assert conversion.code is not None
"""
_START = f"""{_BLOCK}
import sys, time, jax, kuai, jax.numpy as jnp
kuai.cache(sys.argv[1] or None)
start = time.perf_counter()
net = FixedHiddenMLP().hybridize()
step = kuai.hybrid(lambda net, x: kuai.value_and_grad(lambda net: net(x))(net))
jax.block_until_ready(step(net, jnp.ones((2, 20))))
print(time.perf_counter() - start)
"""


def conversion() -> Comparison:
    """The first conversion in a process: its file is read and parsed as well."""
    best = min(_in_a_process(_CONVERT) for _ in range(STARTS))
    return _within("conversion of FixedHiddenMLP.forward, once", "ms", best, ALLOWED_MS)


def second_start() -> Comparison:
    """From a fresh net to its first gradient, in a process of its own; the import is not in it."""
    best = {"kuai": float("inf"), "without kuai.cache": float("inf")}
    with tempfile.TemporaryDirectory() as folder:
        _in_a_process(_START, folder)
        for _ in range(STARTS):
            for name, argument in (("kuai", folder), ("without kuai.cache", "")):
                best[name] = min(best[name], _in_a_process(_START, argument))
    return Comparison("second start with kuai.cache, to the first gradient", "ms", best, {})


def _in_a_process(code: str, argument: str = "") -> float:
    """The milliseconds that a program prints as seconds."""
    command = [sys.executable, "-c", code, argument]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return round(float(done.stdout) * 1e3, 1)
