"""Tuples, lists, dicts and objects that loops and branches carry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass
class Cell:
    hidden: Any
    steps: Any = 0


@dataclass(frozen=True)
class Frozen:
    value: Any
    scale: float = 0.5


@case("tuple carried by a while")
def tuple_carry(x, w):
    pair = (x, 0)
    while jnp.sum(pair[0]) > 1:
        pair = (pair[0] * 0.5, pair[1] + 1)
    return pair[0] * pair[1]


@case("list carried by a while")
def list_carry(x, w):
    parts = [x, 0.0]
    while jnp.sum(parts[0]) > 1:
        parts = [parts[0] * 0.5, parts[1] + jnp.sum(parts[0])]
    return parts[0] * parts[1]


@case("dict carried by a while")
def dict_carry(x, w):
    state = {"hidden": x, "steps": 0}
    while jnp.sum(state["hidden"]) > 1:
        state = {"hidden": state["hidden"] * 0.6, "steps": state["steps"] + 1}
    return state["hidden"] + state["steps"]


@case("nested structure carried by a while")
def nested_carry(x, w):
    state = {"a": x, "b": [x, (1.0, 2)]}
    while jnp.sum(state["a"]) > 1:
        rest, (scale, n) = state["b"]
        state = {"a": state["a"] * 0.5, "b": [rest + state["a"], (scale * 1.5, n + 1)]}
    return state["a"] + state["b"][0] * state["b"][1][0]


@case("NamedTuple carried by a while")
def namedtuple_carry(x, w):
    pair = Pair(x, 1.0)
    while jnp.sum(pair.first) > 1:
        pair = Pair(pair.first * 0.5, pair.second + jnp.sum(pair.first))
    return pair.first * pair.second


@case("NamedTuple._replace in a while")
def namedtuple_replace(x, w):
    pair = Pair(x, x * 0)
    while jnp.sum(pair.first) > 1:
        pair = pair._replace(first=pair.first * 0.7)
    return pair.first + pair.second


@case("dataclass carried by a while")
def dataclass_carry(x, w):
    cell = Cell(x)
    while jnp.sum(cell.hidden) > 1:
        cell = Cell(cell.hidden * 0.5, cell.steps + 1)
    return cell.hidden * cell.steps


@case("frozen dataclass carried by a while")
def frozen_carry(x, w):
    cell = Frozen(x)
    while jnp.sum(cell.value) > 1:
        cell = replace(cell, value=cell.value * cell.scale)
    return cell.value


@case("tuple carried by a for")
def for_carry(x, w):
    carry = (x, jnp.zeros_like(x))
    for row in w:
        carry = (jnp.tanh(carry[0] + row), carry[1] + carry[0])
    return carry[0] + carry[1]


@case("tuple unpacked from a helper in a while")
def unpacked(x, w):
    def step(a, b):
        return a * 0.5, b + a

    total = x * 0
    while jnp.sum(x) > 1:
        x, total = step(x, total)
    return x + 2 * total


@case("structure chosen by a branch")
def chosen(x, w):
    if jnp.sum(x) > 2:
        pair = Pair(x * 2, {"k": 1.0})
    else:
        pair = Pair(x @ w, {"k": 3.0})
    return pair.first * pair.second["k"]


@case("None carried unchanged")
def none_unchanged(x, w):
    memory = None
    while jnp.sum(x) > 1:
        x = x * 0.5
        if memory is not None:
            x = x + memory
    return x


@case("string and function carried unchanged")
def statics_unchanged(x, w):
    mode, squash = "tanh", jnp.tanh
    while jnp.sum(x) > 1:
        if mode == "tanh":
            x = squash(x) * 0.7
        mode = mode.lower()
    return x


@case("array updated by .at[].set in a while")
def at_set(x, w):
    i = 0
    while i < 4 and jnp.sum(x) > 0.3:
        x = x.at[0, i].set(0.0)
        i += 1
    return x


@case("array updated by .at[].add in a for over rows")
def at_add(x, w):
    for i, row in enumerate(w[:2]):
        x = x.at[i].add(row)
        if jnp.sum(x) > 3:
            break
    return x


@case("buffer filled in a while in place of a growing list")
def buffer(x, w):
    history, n = jnp.zeros(5), 0
    while n < 5 and jnp.sum(x) > 0.5:
        x = x * 0.6
        history = history.at[n].set(jnp.sum(x))
        n += 1
    return history


@case("read of an array at a carried index")
def read_at_index(x, w):
    i, total = 0, 0.0
    while i < 4 and total < 1:
        total = total + jnp.sum(jnp.abs(w[i]) * x)
        i += 1
    return total + i


@case("slices and shapes in a while")
def slices(x, w):
    while jnp.sum(x[:, 1:]) > 1:
        x = jnp.concatenate([x[:, 1:] * 0.5, x[:, :1]], axis=1)
    return x


@case("list built anew on each trip")
def rebuilt(x, w):
    while jnp.sum(x) > 1:
        parts = []
        for row in x:
            parts.append(row * 0.5)
        x = jnp.stack(parts)
    return x


@case("dict filled before the loop, read in it")
def dict_read(x, w):
    scales = {"small": 0.5}
    scales["large"] = 0.3
    while jnp.sum(x) > 1:
        x = x * (scales["large"] if jnp.sum(x) > 3 else scales["small"])
    return x
