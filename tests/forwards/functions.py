"""Helpers, closures, lambdas and generators: what a forward calls is converted too."""

from __future__ import annotations

import functools

import jax.numpy as jnp

from kuai import nn
from tests.forwards.case import Family

case = CASES = Family()


def shrunk(x, k=0.5):
    while jnp.sum(x) > 1:
        x = x * k
    return x


def doubled(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs) * 2

    return wrapper


@doubled
def signed(x, *, scale=1.0):
    if jnp.sum(x) > 1:
        return x * scale
    return -x


def when_large(threshold):
    def decorate(function):
        def wrapper(x):
            return function(x) if jnp.sum(x) > threshold else x

        return wrapper

    return decorate


@when_large(2.0)
def squared(x):
    return x * x


def multiples(x):
    for i in range(3):
        yield x * i


first, second = (lambda v: v * 2 if jnp.sum(v) > 2 else v), (lambda v: v * 3 if v.sum() > 2 else -v)


@case("helper of the module")
def helper(x, w):
    return shrunk(x) @ w


@case("helper with keywords and defaults")
def helper_with_keywords(x, w):
    return shrunk(x, k=0.7) + shrunk(k=0.3, x=x + 1)


@case("helper called in a loop and in a branch")
def helper_in_loop(x, w):
    n = 0
    while n < 3 and jnp.sum(x) < 20:
        x = shrunk(x + 1) if jnp.sum(x) > 0.8 else x + 2
        n += 1
    return x


@case("decorated helper")
def decorated(x, w):
    return signed(x, scale=3.0)


@case("decorator with arguments that branches")
def decorated_with_arguments(x, w):
    return squared(x) + x


@case("functools.partial")
def partial(x, w):
    return functools.partial(signed, scale=4.0)(x) + functools.partial(shrunk, x)(0.25)


@case("function defined in forward")
def nested_function(x, w):
    def inner(y, k=0.5):
        while jnp.sum(y) > 1:
            y = y * k
        return y

    return inner(x) + inner(x + 1, k=0.3)


@case("closure that reads a variable of a loop")
def closure_reads(x, w):
    def step():
        return x * 0.5

    while jnp.sum(x) > 1:
        x = step()
    return x


@case("nonlocal written in a loop")
def nonlocal_in_loop(x, w):
    c = 1.0

    def bump():
        nonlocal c
        c = c + 1.0

    while jnp.sum(x) > 1:
        bump()
        x = x / c
    return x * c


@case("nonlocal written in a branch")
def nonlocal_in_branch(x, w):
    c = x

    def bump():
        nonlocal c
        c = c @ w

    if jnp.sum(x) > 2:
        bump()
    return c + x


@case("nonlocal of a counter factory")
def counter_factory(x, w):
    def make():
        n = 0

        def increment():
            nonlocal n
            n += 1
            return n

        return increment

    increment = make()
    while jnp.sum(x) > 1:
        x = x * 0.6 - 0.01 * increment()
    return x


@case("lambda with a conditional expression")
def lambda_conditional(x, w):
    halve = lambda v: v * 0.5 if jnp.sum(v) > 2 else v @ w  # noqa: E731
    return halve(x) + halve(x + 1)


@case("two lambdas on a line")
def lambdas_on_a_line(x, w):
    f, g = (lambda v: v * 2 if jnp.sum(v) > 2 else v), (lambda v: v + 1 if v.sum() > 2 else -v)
    return f(x) + g(x)


@case("two lambdas on a line of the module")
def lambdas_of_module(x, w):
    return first(x) + second(x)


@case("list of functions")
def list_of_functions(x, w):
    for function in [shrunk, jnp.tanh, lambda v: v @ w if jnp.sum(v) > 0.5 else v]:
        x = function(x + 0.3)
    return x


@case("function chosen by a branch")
def chosen_by_branch(x, w):
    if x.shape[0] == 2:
        step = shrunk
    else:
        step = signed
    return step(x)


@case("built-in map over a helper")
def mapped(x, w):
    return sum(map(shrunk, [x, x + 1]))


@case("helper in a comprehension")
def helper_in_comprehension(x, w):
    return sum([shrunk(x * i) for i in range(1, 4) if i != 2])


@case("generator of a static number of values")
def generator(x, w):
    total = 0.0
    for value in multiples(x):
        total = total + (value if jnp.sum(x) > 2 else value @ w)
    return total


@case("generator expression with a helper")
def generator_expression(x, w):
    return sum(shrunk(part) for part in (x, x @ w, x * 3))


@case("recursion that ends on a Python value")
def recursion(x, w):
    def power(v, n):
        if n == 0:
            return v
        v = v * 0.5 if jnp.sum(v) > 1 else v
        return power(v @ w, n - 1)

    return power(x, 3)


@case("*args and **kwargs")
def variadic(x, w):
    def total(*parts, scale=1.0, **named):
        result = sum(parts) + named["extra"]
        return result * scale if jnp.sum(result) > 2 else result

    return total(x, x @ w, scale=0.5, **{"extra": x})


@case("default argument that is an array")
def array_default(x, w):
    def add(y, bias=w[:2]):
        return y + bias if jnp.sum(y) > 1 else y - bias

    return add(x)


@case("activation from kuai.nn in a loop")
def activation(x, w):
    while jnp.sum(x) > 1:
        x = nn.relu(x @ w) * 0.5
    return nn.sigmoid(x)


@case("nonlocal through two functions")
def nonlocal_of_two_levels(x, w):
    count = 0

    def outer():
        steps = 0

        def inner():
            nonlocal count, steps
            count = count + 1
            steps = steps + 2

        while x.sum() * (steps + 1) < 4:
            inner()
        return steps

    return x.sum() + outer() + count


@case("operands that change an object by the way")
def operands_with_effects(x, w):
    seen = Counting()

    def noted(value):
        seen.count += 1
        return value

    first = (noted(x.sum() > 1) and noted(x.sum() > 2)) or noted(x.sum() > 100)
    return x.sum() + seen.count + (10 if first else 20)


class Counting:
    """Made where it is used."""

    def __init__(self):
        self.count = 0
