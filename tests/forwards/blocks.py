"""Blocks: State, randomness, sub-blocks and their parameters in loops and branches.

They run in train mode, so that BatchNorm and Dropout do what they do there.
"""

from __future__ import annotations

import jax.numpy as jnp

import kuai
from kuai import nn
from tests.forwards.case import Family

case = CASES = Family()


class Counter(kuai.Block):
    """Counts its calls."""

    def __init__(self):
        super().__init__()
        self.calls = kuai.State(0)

    def forward(self, x):
        self.calls += 1
        return x * 0.6


class Halving(kuai.Block):
    """Has a loop of its own."""

    def forward(self, x):
        while jnp.sum(x) > 1:
            x = x * 0.5
        return x


@case("State counted in a while")
class CountTrips(kuai.Block):
    def __init__(self):
        super().__init__()
        self.count = kuai.State(0)

    def forward(self, x):
        while jnp.sum(x) > 1:
            x = x * 0.5
            self.count += 1
        return x + self.count.astype(jnp.float32)


@case("State written in one branch")
class CountLarge(kuai.Block):
    def __init__(self):
        super().__init__()
        self.large = kuai.State(0)
        self.last = kuai.State(0.0)

    def forward(self, x):
        if jnp.sum(x) > 2:
            self.large += 1
        else:
            self.last = jnp.sum(x)
        return x * 2


@case("State written before an early return")
class CountUntilReturn(kuai.Block):
    def __init__(self):
        super().__init__()
        self.count = kuai.State(0)

    def forward(self, x):
        for _ in range(4):
            self.count += 1
            if jnp.sum(x) < 1:
                return x
            x = x * 0.6
        return x - 1


@case("State of a sub-block, written by its own forward in a loop")
class CallInLoop(kuai.Block):
    def __init__(self):
        super().__init__()
        self.counter = Counter()

    def forward(self, x):
        while jnp.sum(x) > 1:
            x = self.counter(x)
        return x


@case("State of a sub-block, written through an alias")
class WriteByAlias(kuai.Block):
    def __init__(self):
        super().__init__()
        self.counter = Counter()

    def forward(self, x):
        alias = self.counter
        while jnp.sum(x) > 1:
            x = x * 0.5
            alias.calls = alias.calls + 2
        return x * self.counter.calls.astype(jnp.float32)


@case("State that ends a loop")
class StateInCondition(kuai.Block):
    def __init__(self):
        super().__init__()
        self.energy = kuai.State(3.0)

    def forward(self, x):
        while self.energy > 1:
            x = jnp.tanh(x) + 0.1
            self.energy = self.energy * 0.7
        self.energy = self.energy + jnp.sum(x)
        return x


@case("random numbers in a while")
class NoiseInLoop(kuai.Block):
    def forward(self, x):
        while jnp.sum(x) > 0.5:
            x = x * 0.6 + 0.01 * kuai.random.normal(x.shape)
        return x + kuai.random.normal(x.shape)


@case("random numbers in one branch, and after it")
class NoiseInBranch(kuai.Block):
    def forward(self, x):
        if jnp.sum(x) > 2:
            x = x + kuai.random.normal(x.shape)
        return x * kuai.random.uniform(x.shape)


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
        self.layers = nn.BlockList([nn.Dense(4, activation="tanh"), Counter(), nn.Dense(4)])

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


@case("array put on self as a Constant")
class BareArray(kuai.Block):
    def __init__(self):
        super().__init__()
        self.scale = jnp.full((4,), 0.5)

    def forward(self, x):
        while jnp.sum(x) > 1:
            x = x * self.scale
        return x


@case("blocks with loops in a Sequential")
class Nested(kuai.Block):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(Halving(), nn.Dense(4), Halving())

    def forward(self, x):
        for _ in range(2):
            x = self.body(x + 1)
        return x


@case("block with a loop, called in a loop")
class LoopOfLoops(kuai.Block):
    def __init__(self):
        super().__init__()
        self.halving = Halving()

    def forward(self, x):
        n = 0
        while n < 3 and jnp.sum(x) < 9:
            x = self.halving(x + 0.5) + 0.4
            n += 1
        return x
