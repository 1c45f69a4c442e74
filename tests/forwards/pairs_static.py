"""Constructs in pairs: functions, structures and static code with loops and branches."""

from __future__ import annotations

import contextlib

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


@case("try and finally with a while inside and a return")
def finally_and_return(x, w):
    try:
        while jnp.sum(x) > 1:
            x = x * 0.5
            if jnp.sum(x) < 0.9:
                return x @ w
    finally:
        w = w * 2
    return x @ w


@case("with in the body of a while")
def with_in_while(x, w):
    while jnp.sum(x) > 1:
        with contextlib.nullcontext(0.5) as k:
            x = x * k
    return x


@case("with and break")
def with_and_break(x, w):
    for i in range(5):
        with contextlib.suppress(KeyError):
            x = x * 0.7
            if jnp.sum(x) < 1:
                break
    return x * i


@case("try in the body of a while")
def try_in_while(x, w):
    scales = {"half": 0.5}
    while jnp.sum(x) > 1:
        try:
            x = x * scales["third"]
        except KeyError:
            x = x * scales["half"]
    return x


@case("match on a static value in a while")
def match_in_while(x, w):
    mode = "shrink"
    while jnp.sum(x) > 1:
        match mode:
            case "grow":
                x = x * 2
            case "shrink":
                x = x * 0.5
    return x


@case("match and return in a for over rows")
def match_and_return(x, w):
    for i, mode in enumerate(["add", "multiply", "stop"]):
        match mode:
            case "add":
                x = x + w[i]
            case "multiply" if x.ndim == 2:
                x = x * 2
            case _:
                if jnp.sum(x) > 2:
                    return x
    return -x


@case("static loop around a dynamic one, with a growing list")
def list_around_while(x, w):
    parts = []
    for scale in (1.0, 2.0, 3.0):
        y = x * scale
        while jnp.sum(y) > 1:
            y = y * 0.5
        parts.append(y)
    return jnp.stack(parts)


@case("static loop that turns dynamic by a break")
def turns_dynamic(x, w):
    n = 0
    for i in range(6):
        n = n + i
        if i > 2 and jnp.sum(x) > 2:
            break
        x = x * 1.2
    return x * n


@case("tuple carry and continue")
def tuple_and_continue(x, w):
    state, n = (x, 0.0), 0
    while n < 4:
        n += 1
        if jnp.sum(state[0]) > 2:
            state = (state[0] * 0.5, state[1] + 1)
            continue
        state = (state[0] + 0.1, state[1])
    return state[0] * state[1]


@case("dict carry and early return")
def dict_and_return(x, w):
    state = {"x": x, "n": 0}
    while state["n"] < 5:
        state = {"x": state["x"] * 0.7, "n": state["n"] + 1}
        if jnp.sum(state["x"]) < 1:
            return state
    return {"x": state["x"] @ w, "n": state["n"]}


@case("helper with an early return, in a while with break")
def helper_and_break(x, w):
    def step(y):
        if jnp.sum(y) > 4:
            return y * 0.3
        return y * 0.8

    n = 0
    while True:
        x = step(x)
        n += 1
        if jnp.sum(x) < 0.8 or n == 5:
            break
    return x * n


@case("closure made in a loop")
def closure_in_loop(x, w):
    for k in (0.5, 0.7):

        def step(y, k=k):
            return y * k if jnp.sum(y) > 1 else y

        x = step(x)
    return x


@case("nonlocal and break")
def nonlocal_and_break(x, w):
    trips = 0

    def enough():
        nonlocal trips
        trips += 1
        return jnp.sum(x) < 1

    for _ in range(6):
        if enough():
            break
        x = x * 0.6
    return x * trips


@case("recursion around a while")
def recursion_and_while(x, w):
    def descend(y, depth):
        while jnp.sum(y) > depth + 1:
            y = y * 0.6
        return y if depth == 0 else descend(y @ w + 0.3, depth - 1)

    return descend(x, 2)


@case("lambda called in a while's condition")
def lambda_in_condition(x, w):
    large = lambda y: jnp.sum(y) > 1 and jnp.max(y) > 0.1  # noqa: E731
    while large(x):
        x = x * 0.5
    return x


@case("comprehension over helpers with loops, in a branch")
def comprehension_in_branch(x, w):
    def shrink(y, k):
        while jnp.sum(y) > 1:
            y = y * k
        return y

    if jnp.sum(x) > 2:
        parts = [shrink(x, k) for k in (0.5, 0.7)]
    else:
        parts = [x, x @ w]
    return parts[0] + 2 * parts[1]


@case("assert in a branch in a loop")
def assert_in_branch(x, w):
    for row in w:
        if jnp.sum(x) > 2:
            assert jnp.all(x > -1e3), "too low"
            x = x * 0.5
        x = x + row
    return x


@case("del and walrus in a loop with else")
def del_and_walrus(x, w):
    while (total := jnp.sum(x)) > 1:
        scaled = x / total
        x = scaled * 0.9
        del scaled
    else:
        x = x + total
    return x


@case("any over conditions in a while")
def any_in_while(x, w):
    while any(jnp.sum(row) > 0.5 for row in x):
        x = x * 0.7
    return x


@case("max of arrays in a for with continue")
def max_in_for(x, w):
    best = jnp.sum(x) * 0
    for row in w:
        score = jnp.sum(jnp.abs(row) * x)
        if score < 0.1:
            continue
        best = max(best, score)
    return best
