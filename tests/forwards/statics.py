"""What stays Python: match, try, with, and values known while tracing."""

from __future__ import annotations

import contextlib
import math

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()
LEVELS = {"low": 0.5, "high": 2.0}


@case("match on a shape")
def match_shape(x, w):
    match x.shape:
        case (2, columns) if columns > 2:
            y = x * columns
        case _:
            y = x
    return y


@case("match on a string, with a branch inside")
def match_string(x, w, mode="shrink"):
    match mode:
        case "grow":
            return x * 2
        case "shrink":
            if jnp.sum(x) > 2:
                return x * 0.5
            return x @ w
        case _:
            return x


@case("match on a tuple that holds an array")
def match_structure(x, w):
    match ("scale", jnp.sum(x)):
        case ("shift", amount):
            return x + amount
        case ("scale", amount):
            return x * amount if amount > 2 else x


@case("try and except of a static error")
def static_error(x, w):
    try:
        if x.ndim == 2:
            raise ValueError("two axes")
    except ValueError:
        x = x * 2 if jnp.sum(x) > 2 else x
    else:
        x = x @ w
    return x


@case("try and finally around a while")
def finally_after(x, w):
    try:
        while jnp.sum(x) > 1:
            x = x * 0.5
    finally:
        x = x + 1
    return x


@case("dict lookup that fails")
def failed_lookup(x, w):
    try:
        scale = LEVELS["none"]
    except KeyError:
        scale = LEVELS["low"]
    return x * scale if jnp.sum(x) > 1 else x


@case("with around a while")
def with_around(x, w):
    with contextlib.nullcontext(0.5) as k:
        while jnp.sum(x) > 1:
            x = x * k
    return x


@case("return in a with in an if")
def return_in_with(x, w):
    if jnp.sum(x) > 2:
        with contextlib.nullcontext():
            return x * 2
    return x * 3


@case("raise under a static condition")
def static_raise(x, w):
    if x.ndim != 2:
        raise ValueError("two axes")
    return x * 2 if jnp.sum(x) > 2 else x


@case("static branch vanishes")
def static_branch(x, w):
    if LEVELS["low"] > 1:
        return undefined_name(x)
    return x @ w if jnp.sum(x) > 1 else x


@case("math and Python numbers in a loop")
def python_numbers(x, w):
    for i in range(1, 4):
        angle = math.pi / i
        if math.cos(angle) > 0.1 or jnp.sum(x) > 2:
            x = x * math.sin(angle)
    return x


@case("import in forward")
def import_inside(x, w):
    from math import sqrt

    return x * sqrt(2.0) if jnp.sum(x) > 2 else x / sqrt(2.0)


@case("docstring, pass and ellipsis")
def idle_statements(x, w):
    """Shrink."""
    ...
    while jnp.sum(x) > 1:
        pass
        x = x * 0.5
    return x


@case("static sorted, set and dict work")
def static_collections(x, w):
    order = sorted({3, 1, 2}, reverse=True)
    table = dict(zip("abc", order, strict=True))
    table.pop("c")
    while jnp.sum(x) > 1:
        x = x / table["a"]
    return x * sum(table.values())


@case("f-string and static string methods in a loop")
def strings(x, w):
    while jnp.sum(x) > 1:
        name = f"{x.shape[0]}:{x.ndim}"
        x = x * 0.5 if name.startswith("2") else x * 0.1
    return x


@case("names that hide built-ins")
def hidden_builtins(x, w):
    sum = jnp.sum(x)
    max = 1
    while sum > max:
        x = x * 0.5
        sum = jnp.sum(jnp.stack([x for x in x]))
    return x


@case("annotated assignments and multiple targets")
def annotated(x, w):
    total: float = 0.0
    a = b = x
    while jnp.sum(a) > 1:
        a = b = a * 0.5
        total += 1.0
    return a + b * total


@case("global constant and global read in a condition")
def global_read(x, w):
    while jnp.sum(x) > LEVELS["high"]:
        x = x * LEVELS["low"]
    return x


@case("class made in forward")
def local_class(x, w):
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, y):
            return y * self.factor if jnp.sum(y) > 2 else y

    return Scale(0.3)(x)


@case("default argument in a condition")
def default_argument(x, w, limit=1.5, half=0.5):
    while jnp.sum(x) > limit:
        x = x * half
    return x
