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


@case("array left on self in a while")
class LeftInLoop(kuai.Block):
    def forward(self, x):
        self.seen = jnp.sum(x)
        while jnp.sum(x) > 1:
            x = x * 0.5
            self.seen = jnp.sum(x)
        return x * self.seen


@case("array left on self in both branches")
class LeftInBranch(kuai.Block):
    def forward(self, x):
        if jnp.sum(x) > 2:
            self.seen = x * 2
        else:
            self.seen = x + 1
        return x


@case("State written in nested branches of a for")
class Extremes(kuai.Block):
    def __init__(self):
        super().__init__()
        self.largest = kuai.State(0.0)
        self.ties = kuai.State(0)

    def forward(self, x):
        for row in x:
            total = jnp.sum(row)
            if total > self.largest:
                self.largest = total
                if total > 2:
                    self.ties += 1
                    continue
            self.ties = self.ties * 2
        return x * self.largest
