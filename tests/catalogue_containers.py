"""The containers of kuai.nn, and blocks of a test's own that hold them: one entry each."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import kuai
from kuai import nn
from tests.entry import FLOATING, Entry
from tests.oracles import dense, pointwise

# Tests find these by pickle and by eval of their repr.


class Stack(kuai.Block):
    """Holds a BlockList and calls it."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Heads(kuai.Block):
    """Holds a BlockDict and calls it."""

    def __init__(self, heads):
        super().__init__()
        self.heads = heads

    def forward(self, x):
        return self.heads["mean"](x) * jnp.exp(self.heads["scale"](x))


def product(first, second):
    return first * second


def square(x):
    return x * x


CONTAINERS = [
    Entry(
        "Sequential",
        lambda: nn.Sequential(nn.Dense(4, activation="tanh"), nn.Dense(3)),
        lambda a, x: dense(a, np.tanh(dense(a, x, "0.")), "1."),
        output=(2, 3),
        peer=lambda t: t.nn.Sequential(t.nn.Linear(6, 4), t.nn.Tanh(), t.nn.Linear(4, 3)),
        names={
            "0.weight": "0.weight.T",
            "0.bias": "0.bias",
            "1.weight": "2.weight.T",
            "1.bias": "2.bias",
        },
        mixed="promoted",
    ),
    Entry(
        "Sequential with names and a function",
        lambda: nn.Sequential(("hidden", nn.Dense(4)), square),
        lambda a, x: np.square(dense(a, x, "hidden.")),
        output=(2, 4),
        mixed="promoted",
    ),
    Entry("Sequential of nothing", nn.Sequential, pointwise(lambda x: x)),
    Entry(
        "Sequential with State and randomness",
        lambda: nn.Sequential(nn.Dense(4), nn.BatchNorm(), nn.Dropout(0.5)),
        None,
        inputs=((5, 6),),
        output=(5, 4),
        training=True,
        state=("1.running_mean", "1.running_var"),
        mixed="promoted",
        batch=None,
    ),
    Entry(
        "Parallel",
        lambda: nn.Parallel(nn.Dense(2), nn.Dense(3)),
        lambda a, x: np.concatenate([dense(a, x, "0."), dense(a, x, "1.")], -1),
        output=(2, 5),
        mixed="promoted",
    ),
    Entry(
        "Parallel joined on the first axis",
        lambda: nn.Parallel(nn.Tanh(), nn.Identity(), axis=0),
        pointwise(lambda x: np.concatenate([np.tanh(x), x], 0)),
        output=(4, 6),
        batch=1,
    ),
    Entry(
        "Parallel summed",
        lambda: nn.Parallel(nn.Dense(2), nn.Dense(2), join="sum"),
        lambda a, x: dense(a, x, "0.") + dense(a, x, "1."),
        output=(2, 2),
        mixed="promoted",
    ),
    Entry(
        "Parallel stacked",
        lambda: nn.Parallel(nn.Tanh(), nn.Identity(), join="stack", axis=1),
        pointwise(lambda x: np.stack([np.tanh(x), x], 1)),
        output=(2, 2, 6),
    ),
    Entry(
        "Parallel joined by a function",
        lambda: nn.Parallel(nn.Tanh(), nn.Identity(), join=product),
        pointwise(lambda x: np.tanh(x) * x),
    ),
    Entry(
        "Residual",
        lambda: nn.Residual(nn.Dense(6)),
        lambda a, x: x + dense(a, x, "block."),
        mixed="refused",
    ),
    Entry(
        "Residual of several",
        lambda: nn.Residual(nn.Dense(4), nn.Dense(6)),
        lambda a, x: x + dense(a, dense(a, x, "block.0."), "block.1."),
        mixed="refused",
    ),
    Entry("Identity", nn.Identity, pointwise(lambda x: x), peer=lambda t: t.nn.Identity()),
    Entry("Lambda", lambda: nn.Lambda(square), pointwise(np.square)),
    Entry(
        "Lambda of two inputs",
        lambda: nn.Lambda(product),
        lambda _, x, y: x * y,
        inputs=(FLOATING, FLOATING),
    ),
    Entry(
        "BlockList",
        lambda: Stack(nn.BlockList([nn.Dense(6), nn.Tanh()])),
        lambda a, x: np.tanh(dense(a, x, "layers.0.")),
        mixed="promoted",
    ),
    Entry(
        "BlockDict",
        lambda: Heads(nn.BlockDict({"mean": nn.Dense(2), "scale": nn.Dense(2)})),
        lambda a, x: dense(a, x, "heads.mean.") * np.exp(dense(a, x, "heads.scale.")),
        output=(2, 2),
        mixed="promoted",
    ),
    Entry(
        "replicate",
        lambda: kuai.replicate(nn.Dense(6), 2),
        lambda a, x: dense(a, dense(a, x, "0."), "1."),
        mixed="promoted",
    ),
    Entry(
        "replicate, shared",
        lambda: kuai.replicate(nn.Dense(6), 2, share=True),
        lambda a, x: dense(a, dense(a, x, "0."), "0."),
        mixed="promoted",
    ),
]
