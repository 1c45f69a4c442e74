"""The chapter's nets and some more in kuai, and what they are called where names differ."""

from __future__ import annotations

import functools

import jax.numpy as jnp

import kuai
from kuai import nn
from tests.real_nets.shared import CLASSES


class MLP(kuai.Block):
    def __init__(self, width):
        super().__init__()
        self.hidden = nn.Dense(width, activation="relu")
        self.out = nn.Dense(CLASSES)

    def forward(self, X):
        return self.out(self.hidden(X))


class MySequential(kuai.Block):
    def __init__(self, *blocks):
        super().__init__()
        self.steps = {str(index): block for index, block in enumerate(blocks)}

    def forward(self, X):
        for block in self.steps.values():
            X = block(X)
        return X


class FixedHiddenMLP(kuai.Block):
    def __init__(self):
        super().__init__()
        self.rand_weight = kuai.Constant(kuai.random.uniform((20, 20)))
        self.dense = nn.Dense(20)

    def forward(self, X):
        X = self.dense(X)
        X = nn.relu(X @ self.rand_weight + 1)
        X = self.dense(X)
        while jnp.abs(X).sum() > 1:
            X /= 2
        return X.sum()


class NestMLP(kuai.Block):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Dense(width, activation="relu"), nn.Dense(8, activation="relu"))
        self.dense = nn.Dense(6, activation="relu")

    def forward(self, X):
        return self.dense(self.net(X))


class Recurrent(kuai.Block):
    def __init__(self, rnn):
        super().__init__()
        self.rnn = rnn
        self.head = nn.Dense(2)

    def forward(self, X):
        outputs, _ = self.rnn(X)
        return self.head(outputs)


def net_of(name, width, epsilon=1e-5):
    """A net by its name in `shared.INPUTS`.

    Args:
        name: of the net.
        width: of hidden layers.
        epsilon: of norms.
    """
    norm = functools.partial(nn.LayerNorm, epsilon=epsilon)
    makers = {
        "net": lambda: nn.Sequential(*dense(width)),
        "mlp": lambda: MLP(width),
        "my_sequential": lambda: MySequential(*dense(width)),
        "fixed_hidden": FixedHiddenMLP,
        "chimera": lambda: nn.Sequential(NestMLP(width), nn.Dense(20), FixedHiddenMLP()),
        "convolution": lambda: convolution(epsilon),
        "lstm": lambda: Recurrent(nn.LSTM(4, layers=2, bidirectional=True)),
        "gru": lambda: Recurrent(nn.GRU(4)),
        "transformer": lambda: nn.TransformerEncoderLayer(2, 16, norm=norm),
    }
    return makers[name]()


def dense(width):
    return nn.Dense(width, activation="relu"), nn.Dense(CLASSES)


def convolution(epsilon):
    return nn.Sequential(
        nn.Conv2d(4, 3, padding=1),
        nn.BatchNorm(epsilon=epsilon),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dense(2),
    )
