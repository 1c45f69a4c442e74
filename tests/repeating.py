"""What the tests of `nn.Repeat` share: layers, and the `Sequential` that must give the same."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import kuai
from kuai import nn

X = jax.random.normal(jax.random.key(1), (5, 4))


class Layer(kuai.Block):
    """A residual layer with parameters, State and randomness."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm()
        self.dense = nn.Dense(4, activation="tanh")
        self.dropout = nn.Dropout(0.3)
        self.calls = kuai.State(0)

    def forward(self, x):
        self.calls += 1
        return x + self.dropout(self.dense(self.norm(x)))


def pair(n=4, make=Layer, x=X, **options) -> tuple[Any, Any]:
    """A `Repeat`, and a `Sequential` of the same layers with the same values."""
    nets = nn.Repeat(make, n, **options), nn.Sequential(*[make() for _ in range(n)])
    for net in nets:
        net.initialize(seed=3, sample=x)
    return nets


def loss(net, x):
    return (net(x) ** 2).mean()


def assert_near(found: Any, expected: Any) -> None:
    for path, (a, b) in enumerate(zip(*map(jax.tree.leaves, (found, expected)), strict=True)):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5, err_msg=str(path))


def arrays_of(net: Any) -> dict[str, np.ndarray]:
    return {path: np.array(holder.array) for path, holder in net.named_holders()}


def assert_same_values(left: Any, right: Any) -> None:
    assert list(arrays_of(left)) == list(arrays_of(right))
    assert_near(arrays_of(left), arrays_of(right))


def scans(net: Any, *inputs: Any, training: bool = False, **keywords: Any) -> bool:
    """Whether the net is one loop in a compiled program."""
    seen = []

    def call(*inputs):
        return net(*inputs, **keywords)

    with kuai.train_mode() if training else kuai.eval_mode():
        state = kuai.random.get_state()
        compiled = kuai.hybrid(call)
        compiled(*inputs)
        for program in compiled._kuai_compiled.programs():
            arrays, _, given = program.specs[-1]
            ticket = jnp.zeros(2, jnp.uint32)
            seen.append(str(jax.make_jaxpr(program._traced)(arrays, ticket, given)))
        kuai.random.set_state(state)
    return any("scan[" in text for text in seen)


def is_stacked(net: Any) -> bool:
    """Whether all arrays of the layers stand in stacks."""
    return all(holder.row is not None for _, holder in net.named_holders())
