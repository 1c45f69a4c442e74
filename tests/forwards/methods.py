"""Blocks: methods, inheritance, properties and attributes."""

from __future__ import annotations

import jax.numpy as jnp

import kuai
from kuai import nn
from tests.forwards.case import Family

case = CASES = Family()


class Base(kuai.Block):
    def forward(self, x):
        while jnp.sum(x) > 1:
            x = x * 0.5
        return x


@case("super().forward")
class Derived(Base):
    def forward(self, x):
        x = super().forward(x + 2) + 1
        n = 0
        while jnp.sum(x) > 1 and n < 4:
            x = super().forward(x) * 0.9
            n += 1
        return x


@case("method of the block")
class Method(kuai.Block):
    def shrink(self, x):
        while jnp.sum(x) > 1:
            x = x * 0.5
        return x

    def forward(self, x):
        return self.shrink(x) + self.shrink(x + 3)


@case("name-mangled attributes and methods")
class Mangled(kuai.Block):
    def __init__(self):
        super().__init__()
        self.__factor = 0.5

    def __step(self, x):
        return x * self.__factor if jnp.sum(x) > 2 else x * 0.9

    def forward(self, x):
        while jnp.sum(x) > 1:
            x = self.__step(x)
        return x


@case("static methods, class methods and properties with branches")
class Descriptors(kuai.Block):
    factor = 0.5

    @staticmethod
    def doubled(x):
        return x * 2 if jnp.sum(x) > 1 else x

    @classmethod
    def scaled(cls, x):
        return x * cls.factor if jnp.sum(x) > 1 else x

    @property
    def half(self):
        return self.factor

    def forward(self, x):
        return self.doubled(x) + self.scaled(x) * self.half


@case("property that branches on State")
class DynamicProperty(kuai.Block):
    def __init__(self):
        super().__init__()
        self.total = kuai.State(0.0)

    @property
    def rate(self):
        return 1.0 if self.total > 2 else 0.5

    def forward(self, x):
        self.total += jnp.sum(x)
        return x * self.rate


@case("parameter of the block's own in a condition")
class Threshold(kuai.Block):
    def __init__(self):
        super().__init__()
        self.limit = kuai.Parameter(jnp.asarray(1.5))
        self.slope = kuai.Parameter(jnp.asarray(0.7))

    def forward(self, x):
        while jnp.sum(x) > self.limit:
            x = x * self.slope
        return x * self.limit


@case("Python attributes in conditions")
class Settings(kuai.Block):
    def __init__(self):
        super().__init__()
        self.steps, self.kind = 3, "tanh"

    def forward(self, x):
        for _ in range(self.steps):
            if self.kind == "tanh" and jnp.sum(x) > 1:
                x = jnp.tanh(x) * 0.8
            else:
                x = x + 0.1
        return x


@case("several blocks of State in one loop")
class TwoStates(kuai.Block):
    def __init__(self):
        super().__init__()
        self.low, self.high = kuai.State(jnp.asarray(9.0)), kuai.State(jnp.asarray(0.0))

    def forward(self, x):
        while jnp.sum(x) > 1:
            total = jnp.sum(x)
            if total > self.high:
                self.high = total
            if total < self.low:
                self.low = total
            x = x * 0.6
        return x + self.low - self.high


@case("State array updated by .at[] in a loop")
class History(kuai.Block):
    def __init__(self):
        super().__init__()
        self.history = kuai.State(jnp.zeros(6))
        self.next = kuai.State(0)

    def forward(self, x):
        while jnp.sum(x) > 1:
            x = x * 0.5
            self.history = self.history.at[self.next % 6].set(jnp.sum(x))
            self.next += 1
        return x


@case("State written in nested loops")
class NestedCount(kuai.Block):
    def __init__(self):
        super().__init__()
        self.outer, self.inner = kuai.State(0), kuai.State(0)

    def forward(self, x):
        n = 0
        while n < 3 and jnp.sum(x) < 7:
            self.outer += 1
            y = x + 1
            while jnp.sum(y) > 2:
                self.inner += 1
                y = y * 0.5
            x = x + y
            n += 1
        return x


@case("blocks in a dict and in a tuple")
class Registries(kuai.Block):
    def __init__(self):
        super().__init__()
        self.heads = {"a": nn.Dense(4), "b": nn.Dense(4)}
        self.pair = (nn.Dense(4), nn.Tanh())

    def forward(self, x):
        for head in self.heads.values():
            x = head(x) if jnp.sum(x) > 0.5 else x + 1
        for block in self.pair:
            x = block(x)
        return x


@case("hook that branches")
class Hooked(kuai.Block):
    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(4)
        self.dense.register_forward_hook(
            lambda block, inputs, output: output * 0.5 if jnp.sum(output) > 0 else output
        )

    def forward(self, x):
        return self.dense(x)


@case("block as a helper's argument")
class PassedOn(kuai.Block):
    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(4)

    def forward(self, x):
        return apply_until(self.dense, x) + apply_until(jnp.tanh, x)


def apply_until(step, x):
    for _ in range(4):
        if jnp.sum(jnp.abs(x)) < 0.5:
            break
        x = step(x) * 0.5
    return x


@case("train mode is a Python value", grad=False)
class ModeBranch(kuai.Block):
    def forward(self, x):
        if kuai.is_training() and jnp.sum(x) > 1:
            x = x * 0.5
        return x
