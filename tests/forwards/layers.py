"""Layers of kuai.nn in loops and branches, in train mode."""

from __future__ import annotations

import jax.numpy as jnp

import kuai
from kuai import nn
from tests.forwards.case import Family

case = CASES = Family()


@case("Dropout in a while")
class DropoutInLoop(kuai.Block):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        k = 0
        while jnp.sum(x) > 0.5 and k < 20:
            x = self.drop(x) * 0.6
            k += 1
        return self.drop(x)


@case("Dropout in a branch")
class DropoutInBranch(kuai.Block):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        x = self.drop(x) if jnp.sum(x) > 1 else x * 2
        return self.drop(x)


@case("BatchNorm in a while")
class NormInLoop(kuai.Block):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm(momentum=0.5)

    def forward(self, x):
        k = 0
        while jnp.sum(jnp.abs(x)) > 0.3 and k < 3:
            x = self.norm(x) * 0.4 + x * 0.1
            k += 1
        return x + self.norm.running_mean


@case("BatchNorm in a branch")
class NormInBranch(kuai.Block):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm()

    def forward(self, x):
        if jnp.sum(x) > 1:
            x = self.norm(x)
        return x + self.norm.running_var


@case("Dense called in a while")
class DenseInLoop(kuai.Block):
    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(4)

    def forward(self, x):
        n = 0
        while jnp.sum(jnp.abs(x)) > 0.2 and n < 5:
            x = jnp.tanh(self.dense(x)) * 0.5
            n += 1
        return x


@case("the FixedHiddenMLP of Dive into Deep Learning")
class FixedHidden(kuai.Block):
    def __init__(self):
        super().__init__()
        self.fixed = kuai.Constant(kuai.random.uniform((4, 4)))
        self.dense = nn.Dense(4)

    def forward(self, x):
        x = self.dense(x)
        x = nn.relu(x @ self.fixed + 1)
        x = self.dense(x)
        while jnp.abs(x).sum() > 1:
            x /= 2
        return x.sum()


@case("blocks of a list, with a branch")
class ListOfBlocks(kuai.Block):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Dense(4) for _ in range(3)]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
            if jnp.sum(x) > 0.5:
                x = x * 0.5
        return x


@case("blocks of a list, with break")
class ListUntil(kuai.Block):
    def __init__(self):
        super().__init__()
        self.layers = nn.BlockList([nn.Dense(4, activation="tanh"), nn.Tanh(), nn.Dense(4)])

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if jnp.sum(jnp.abs(x)) < 0.4:
                return x * i
        return x


@case("block chosen by a branch")
class EitherBlock(kuai.Block):
    def __init__(self):
        super().__init__()
        self.small = nn.Dense(4)
        self.large = nn.Sequential(nn.Dense(8, activation="relu"), nn.Dense(4))

    def forward(self, x):
        return self.small(x) if jnp.sum(x) < 2 else self.large(x)


@case("tied parameters in a loop")
class Tied(kuai.Block):
    def __init__(self):
        super().__init__()
        self.encode = nn.Dense(4, use_bias=False)
        self.decode = nn.Dense(4, use_bias=False)
        self.decode.weight = self.encode.params.weight

    def forward(self, x):
        n = 0
        while jnp.sum(jnp.abs(x)) > 0.2 and n < 3:
            x = self.decode(jnp.tanh(self.encode(x)))
            n += 1
        return x


@case("recurrent cell over the rows of an array")
class Recurrent(kuai.Block):
    def __init__(self):
        super().__init__()
        self.input, self.recurrent = nn.Dense(4), nn.Dense(4, use_bias=False)

    def forward(self, x):
        hidden = jnp.zeros(4)
        for row in x:
            hidden = jnp.tanh(self.input(row) + self.recurrent(hidden))
            if jnp.sum(hidden) > 3:
                return hidden
        return hidden


@case("adaptive step that is accepted or rejected")
class AdaptiveStep(kuai.Block):
    def __init__(self):
        super().__init__()
        self.rate = nn.Dense(4)
        self.rejected = kuai.State(0)

    def forward(self, x):
        time, step = jnp.zeros(()), jnp.ones(())
        while time < 1:
            full = x + step * jnp.tanh(self.rate(x))
            half = x + step / 2 * jnp.tanh(self.rate(x))
            twice = half + step / 2 * jnp.tanh(self.rate(half))
            if jnp.max(jnp.abs(full - twice)) > 0.02 and step > 0.1:
                step = step / 2
                self.rejected += 1
                continue
            x, time = twice, time + step
        return x
