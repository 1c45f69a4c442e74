"""Expressions that choose, compare or fold arrays."""

from __future__ import annotations

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


@case("conditional expression")
def conditional(x, w):
    return x * 2 if jnp.sum(x) > 2 else x @ w


@case("conditional expression in a conditional expression")
def conditional_nested(x, w):
    s = jnp.sum(x)
    return x if s < 1 else (x * 2 if s < 4 else x @ w)


@case("conditional expression as an argument")
def conditional_argument(x, w):
    return jnp.tanh(x if jnp.sum(x) < 2 else x @ w) + (1.0 if jnp.sum(w) > 0 else 2.0)


@case("and, or, not")
def logic(x, w):
    s = jnp.sum(x)
    if (s > 1 and not s > 4) or s < 0.5:
        x = x * 3
    return x


@case("and, or of a static value and an array")
def logic_mixed(x, w):
    if x.ndim == 2 and jnp.sum(x) > 2:
        x = x * 2
    if x.ndim == 3 or jnp.sum(x) < 1:
        x = x + 1
    return x


@case("and that guards its right side", inputs=(0.0, 1.0, 5.0))
def short_circuit(x, w):
    s = jnp.sum(x)
    if s > 0 and jnp.log(s) > 1:
        x = x / s
    return x


@case("or as a default value")
def or_value(x, w):
    n = jnp.sum(x).astype(int)
    steps = n or 7
    return x @ w + jnp.where(steps == 7, 2.0, -1.0)


@case("and as a value")
def and_value(x, w):
    s = jnp.sum(x)
    scale = s and s * 2
    return x * scale


@case("not of an array")
def negation(x, w):
    small = not jnp.sum(x) > 2
    if small:
        return x @ w
    return x


@case("chained comparison")
def chained(x, w):
    if 0.5 < jnp.sum(x) < 4:
        x = x * 3
    return x


@case("chained comparison of four")
def chained_four(x, w):
    a, b = jnp.sum(x[0]), jnp.sum(x[1])
    return x * 2 if 0 < b < a <= 1 else x @ w


@case("chained comparison as a value")
def chained_value(x, w):
    inside = 0.5 < jnp.sum(x) < 4
    return jnp.where(inside, x * 2, x @ w)


@case("walrus in an if")
def walrus(x, w):
    if (s := jnp.sum(x)) > 2:
        x = x / s
    return x + s


@case("walrus in a conditional expression")
def walrus_conditional(x, w):
    return (y * 2 if jnp.sum(y := x @ w) > 0.5 else y - 1) + y


@case("walrus in an and")
def walrus_and(x, w):
    if (s := jnp.sum(x)) > 1 and (t := s * 2) > 4:
        return x * t
    return x * s


@case("assert that holds")
def asserted(x, w):
    assert jnp.sum(x) >= 0, "negative"
    assert x.ndim == 2
    return x @ w


@case("assert with a formatted message")
def asserted_with_format(x, w):
    while jnp.sum(x) > 1:
        x = x * 0.5
        assert jnp.all(x >= 0), f"negative in {x.shape}"
    return x


@case("built-in max and min of arrays")
def max_min(x, w):
    return x / max(jnp.sum(x), 1.0) + min(jnp.sum(x), 2.0, 3.0)


@case("built-in abs and pow")
def absolute(x, w):
    return abs(x @ w) + pow(x, 2) - (-x)


@case("built-in sum over rows and over a list")
def summed(x, w):
    return sum(x) + sum([row * 2 for row in w], start=x[0])


@case("built-in any over conditions")
def any_of(x, w):
    if any(jnp.sum(row) > 1 for row in x):
        x = x * 0.5
    return x


@case("built-in all over conditions")
def all_of(x, w):
    if all([jnp.sum(row) < 2 for row in x]):
        return x @ w
    return x


@case("len, shape, indices and slices stay Python")
def lengths(x, w):
    for i in range(len(x)):
        if jnp.sum(x[i]) > 1:
            x = x * 0.5
    return x[:, : len(w) - 1]


@case("conditional expression in a list comprehension")
def comprehension(x, w):
    return jnp.stack([row * 2 if jnp.sum(row) > 1 else row - 1 for row in x])


@case("comprehension with a static filter")
def filtered(x, w):
    return sum(x * i for i in range(5) if i % 2)


@case("dict comprehension and conditional expressions")
def dict_comprehension(x, w):
    scaled = {k: x * k if jnp.sum(x) > 2 else x @ w for k in (1, 2)}
    return scaled[1] + scaled[2]


@case("comprehension in the body of a while")
def comprehension_in_while(x, w):
    while jnp.sum(x) > 1:
        x = jnp.stack([row * 0.5 for row in x])
    return x


@case("augmented assignment of each kind")
def augmented(x, w):
    y = x
    while jnp.sum(jnp.abs(y)) > 1:
        y += 0.1
        y *= 0.5
        y -= 0.05
        y /= 1.5
        y **= 1
    y @= w
    return y


@case("unpacked rows")
def unpacked(x, w):
    first, second = x
    a, *rest = w
    if jnp.sum(first) > jnp.sum(second) * 1.1:
        first = first + a
    return first - second + rest[0]
