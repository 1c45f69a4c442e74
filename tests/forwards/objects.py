"""Objects of the user's own classes, and calls through them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


class Shrinker:
    factor = 0.5

    def __init__(self, limit):
        self.limit = limit
        self.__bias = 0.01

    def __call__(self, x):
        while jnp.sum(x) > self.limit:
            x = self.__step(x)
        return x

    def __step(self, x):
        return x * self.factor - self.__bias

    def once(self, x):
        return x * self.factor if jnp.sum(x) > self.limit else x

    @staticmethod
    def halved(x):
        return x * 0.5 if jnp.sum(x) > 1 else x

    @classmethod
    def scaled(cls, x):
        if jnp.sum(x) > 1:
            return x * cls.factor
        return x


class Gentle(Shrinker):
    factor = 0.8

    def once(self, x):
        return super().once(x) + 1 if jnp.sum(x) > 4 else super().once(x)


@dataclass
class Step:
    scale: Any = 0.5
    trail: list[int] = field(default_factory=list)

    def apply(self, x):
        if jnp.sum(x) > 1:
            return x * self.scale
        return x + 1


class State(NamedTuple):
    hidden: Any
    total: Any = 0.0

    def advanced(self, w):
        if jnp.sum(self.hidden) > 2:
            return State(self.hidden * 0.5, self.total + 1.0)
        return State(jnp.tanh(self.hidden @ w), self.total)


class Interval:
    def __init__(self, low, high):
        self.low, self.high = low, high

    @property
    def middle(self):
        return (self.low + self.high) / 2

    def __add__(self, other):
        return Interval(self.low + other, self.high + other)


shrink = Shrinker(0.9)


@case("__call__ of an object")
def called(x, w):
    return shrink(x) @ w


@case("method of an object, in a loop")
def method(x, w):
    n = 0
    while n < 3 and jnp.sum(x) > 0.5:
        x = shrink.once(x) + 0.1
        n += 1
    return x


@case("bound method kept in a variable")
def bound_method(x, w):
    once = shrink.once
    return once(x) + once(x * 2)


@case("method of an object made in forward")
def made_in_forward(x, w):
    return Shrinker(jnp.max(w))(x)


@case("static and class methods")
def static_and_class_methods(x, w):
    return Shrinker.halved(x) + Gentle.scaled(x) + shrink.halved(x @ w)


@case("super() in a method with a branch")
def super_method(x, w):
    return Gentle(1.0).once(x)


@case("method of a dataclass")
def dataclass_method(x, w):
    return Step().apply(x) + Step(scale=jnp.sum(w)).apply(x)


@case("method of a NamedTuple that a loop carries")
def namedtuple_method(x, w):
    state = State(x, jnp.sum(x))
    for _ in range(3):
        state = state.advanced(w)
    return state.hidden * state.total


@case("property and operator of an object")
def property_and_operator(x, w):
    interval = Interval(jnp.min(x), jnp.max(x)) + 0.5
    if interval.middle > 0.7:
        return x * interval.middle
    return x


@case("object made on each trip of a loop")
def made_in_loop(x, w):
    while jnp.sum(x) > 1:
        step = Step(scale=0.7)
        step.trail.append(1)
        x = step.apply(x) * len(step.trail)
    return x


@case("attribute of an object that a branch reads")
def attribute_condition(x, w):
    if shrink.limit < 1 and jnp.sum(x) > shrink.limit:
        x = x * shrink.factor
    return x


@case("bisection over an object's bounds")
def bisection(x, w):
    low, high = jnp.zeros(()), jnp.sum(x) + 1
    while high - low > 0.05:
        middle = Interval(low, high).middle
        if middle * middle < jnp.sum(x):
            low = middle
        else:
            high = middle
    return Interval(low, high).middle
