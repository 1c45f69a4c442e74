"""`while` on arrays."""

from __future__ import annotations

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


@case("while")
def halve(x, w):
    while jnp.abs(x).sum() > 1:
        x = x / 2
    return x


@case("while with augmented assignment")
def halve_in_place(x, w):
    kept = x
    while jnp.abs(x).sum() > 1:
        x /= 2
    return x + kept


@case("while whose body uses a closed-over weight")
def contract(x, w):
    while jnp.square(x).sum() > 0.02:
        x = jnp.tanh(x @ w) * 0.7
    return x


@case("while with a counter")
def count(x, w):
    n = 0
    while jnp.sum(x) > 0.4 and n < 6:
        x = x * 0.7
        n += 1
    return x * n


@case("while with break")
def stop(x, w):
    n = 0
    while n < 10:
        x = x * 0.7
        if jnp.sum(x) < 0.5:
            break
        n += 1
    return x + n


@case("while with continue")
def skip(x, w):
    n = 0
    while n < 6 and jnp.sum(x) < 1e6:
        n += 1
        if jnp.sum(x) > 2:
            x = x * 0.3
            continue
        x = x + 0.1
    return x


@case("early return in a while")
def early_return(x, w):
    n = 0
    while n < 5:
        x = x * 0.7
        if jnp.sum(x) < 0.5:
            return x * 100
        n += 1
    return x @ w


@case("while True with break")
def forever_break(x, w):
    while True:
        x = x * 0.8
        if jnp.sum(jnp.abs(x)) < 1:
            break
    return x @ w


@case("while True with return")
def forever_return(x, w):
    while True:
        x = x * 0.8
        if jnp.sum(jnp.abs(x)) < 1:
            return x @ w


@case("while with else")
def otherwise(x, w):
    while jnp.sum(x) > 1:
        x = x * 0.5
    else:
        x = x + w[:2]
    return x


@case("while with break and else")
def otherwise_unless_stopped(x, w):
    n = 0
    while jnp.sum(x) > 0.5:
        x = x * 0.7
        n += 1
        if n > 4:
            break
    else:
        x = x + 100
    return x


@case("while in while")
def nested(x, w):
    n = 0
    while n < 3 and jnp.sum(x) > -1e9:
        y = x + 3
        while jnp.sum(y) > 1:
            y = y * 0.5
        x = x + y
        n += 1
    return x


@case("while on a flag that starts as a Python bool")
def until_done(x, w):
    done = False
    while not done:
        x = x * 0.5
        done = jnp.sum(x) < 1
    return x


@case("while on a variable set in its body")
def go_on(x, w):
    go = jnp.sum(x) > 1
    while go:
        x = x * 0.6
        go = jnp.sum(x) > 1
    return x


@case("walrus in the condition of a while")
def walrus(x, w):
    while (total := jnp.sum(x)) > 1:
        x = x / total * 0.9 + x * 0.01
    return x * total


@case("while that runs zero times", inputs=(0.0, 0.5))
def never(x, w):
    while jnp.sum(x) > 1:
        x = x @ w
    return x * 2 + w.sum()


@case("while on NaN, which is never greater", inputs=(float("nan"), 2.0), grad=False)
def not_a_number(x, w):
    while jnp.abs(x).sum() > 1:
        x = x / 2
    return x


@case("while that starts on Python values and goes on with arrays")
def from_static_to_dynamic(x, w):
    i = 0
    while i < 3 or jnp.sum(x) > 0.5:
        x = x * 0.6
        i += 1
    return x * i


@case("while on Python values, unrolled")
def unrolled(x, w):
    parts, n = [], 0
    while n < 3:
        parts.append(x * n)
        n += 1
    return jnp.stack(parts)


@case("variable of the body only")
def temporary(x, w):
    while jnp.sum(x) > 1:
        half = x * 0.5
        x = half * 0.9
    return x


@case("del in the body of a while")
def delete(x, w):
    while jnp.sum(x) > 1:
        half = x * 0.5
        x = half
        del half
    return x


@case("number that starts as an int and becomes a float")
def int_to_float(x, w):
    k = 0
    while jnp.sum(x) > 1:
        x = x * 0.5
        k = k + 0.5
    return x * k


@case("bool that changes in a while")
def first_time(x, w):
    first = True
    while jnp.sum(x) > 1:
        x = x * 0.5
        if first:
            x = x + 0.2
            first = False
    return x


@case("two variables swapped in a while")
def swap(x, w):
    a, b = x, x * 0.5
    n = 0
    while jnp.sum(a) > 1 and n < 9:
        a, b = b, a * 0.5
        n += 1
    return a - b


@case("one while after another")
def two_in_a_row(x, w):
    while jnp.sum(x) > 1:
        x = x * 0.5
    while jnp.sum(x) < 3:
        x = x + 0.4
    return x


@case("while with pass as its body", inputs=(1.0,))
def empty_body(x, w):
    while jnp.sum(x) < 0:
        pass
    return x @ w
