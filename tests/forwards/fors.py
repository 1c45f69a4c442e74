"""`for` over arrays, ranges of arrays, and what Python iterates over."""

from __future__ import annotations

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


@case("for over a range of Python ints, unrolled")
def unrolled(x, w):
    for i in range(3):
        x = jnp.tanh(x @ w) + i
    return x


@case("for over range(array)")
def range_of_array(x, w):
    total = 0.0
    for i in range(jnp.sum(x).astype(int)):
        total = total + jnp.sum(x) * i
    return x + total


@case("for over range(start, array)")
def range_from(x, w):
    n = jnp.sum(x).astype(int) + 2
    for i in range(1, n):
        x = jnp.tanh(x) + i
    return x


@case("for over range(array, stop, step)")
def range_down(x, w):
    n = jnp.sum(x).astype(int)
    for i in range(n, -3, -2):
        x = x * 0.5 + i
    return x


@case("for with break")
def stop(x, w):
    for i in range(8):
        x = x * 0.7
        if jnp.sum(x) < 1:
            break
    return x * i


@case("for with continue")
def skip(x, w):
    for i in range(4):
        if jnp.sum(x) > 2:
            x = x * 0.4
            continue
        x = x + i
    return x


@case("early return in a for")
def early_return(x, w):
    for i in range(5):
        x = x * 0.7
        if jnp.sum(x) < 1:
            return x * 10 + i
    return x - 1


@case("for with break and else")
def otherwise(x, w):
    for _ in range(4):
        x = x * 0.7
        if jnp.sum(x) < 1:
            break
    else:
        x = x + 50
    return x


@case("for over the rows of an array")
def rows(x, w):
    total = 0.0
    for row in w:
        total = total + jnp.sum(jnp.tanh(row * x))
    return total


@case("for over the rows of an array, with a branch")
def rows_with_branch(x, w):
    total = 0.0
    for row in w:
        if jnp.sum(row) > 0:
            total = total + jnp.sum(row * x)
    return total


@case("for over the rows of an array, with break")
def rows_until(x, w):
    total = jnp.sum(x) * 0
    for row in w:
        total = total + jnp.sum(jnp.abs(row) * x)
        if total > 2:
            break
    return total


@case("for over the elements of a vector")
def elements(x, w):
    total = 0.0
    for value in x[0]:
        total = total * 0.5 + jnp.sin(value)
    return total


@case("for over enumerate(array)")
def enumerate_rows(x, w):
    for i, row in enumerate(w):
        x = jnp.tanh(x * i + row)
    return x


@case("for over enumerate from 1")
def enumerate_from_one(x, w):
    for i, row in enumerate(w, start=1):
        x = x + row / i
    return x


@case("for over zip of arrays")
def zip_arrays(x, w):
    total = 0.0
    for row, column in zip(w, w.T, strict=True):
        total = total + jnp.sum(row * column * x)
    return total


@case("for over zip of a list and an array")
def zip_list_and_array(x, w):
    for scale, row in zip([1.0, 0.5, 2.0], w, strict=False):
        x = x * scale + row
    return x


@case("for over reversed(array)")
def reversed_rows(x, w):
    for row in reversed(w):
        x = jnp.tanh(x + row)
    return x


@case("for over reversed(range(...))")
def reversed_range(x, w):
    for i in reversed(range(3)):
        x = x * 0.5 + i
        if jnp.sum(x) > 7:
            break
    return x


@case("for over enumerate(zip(lists))")
def enumerate_zip(x, w):
    for i, (a, b) in enumerate(zip([1.0, 2.0], (3.0, 4.0), strict=True)):
        x = x * a + b * i
    return x


@case("for over a list of arrays")
def list_of_arrays(x, w):
    for part in [x, x * 2, w[:2]]:
        if jnp.sum(part) > 2:
            x = x + part
    return x


@case("for over the items of a dict")
def dict_items(x, w):
    for name, scale in {"a": 0.5, "b": 2.0}.items():
        x = x * scale if jnp.sum(x) > 1 else x + len(name)
    return x


@case("for over an empty list", inputs=(1.0,))
def nothing(x, w):
    for scale in []:
        x = x * scale
    else:
        x = x + 1
    return x


@case("for over a range that may be empty")
def range_maybe_empty(x, w):
    for _ in range(jnp.sum(x).astype(int) - 1):
        x = x @ w
    return x


@case("for over range(array), with break")
def range_of_array_until(x, w):
    n, i = jnp.sum(x).astype(int) + 4, 0
    for i in range(n):
        x = x + 0.1
        if jnp.sum(x) > 3:
            break
    return x * i


@case("target of a for, used after it")
def target_afterwards(x, w):
    for i in range(6):
        x = x * 0.6
        if jnp.sum(x) < 1:
            break
    return x + i


@case("list that grows in an unrolled for")
def grow(x, w):
    parts = []
    for i in range(3):
        if jnp.sum(x) > 1:
            x = x * 0.5
        parts.append(x * i)
    return jnp.stack(parts)


@case("for with a starred target")
def starred(x, w):
    for first, *rest in [(1.0, 2.0, 3.0), (0.5, 4.0)]:
        x = x * first + sum(rest) if jnp.sum(x) > 1 else x - first
    return x


@case("for whose target is a variable of before")
def reuse_target(x, w):
    for x in [x, x * 2, x @ w]:  # noqa: B020
        if jnp.sum(x) > 2:
            break
    return x
