"""Small algorithms, as they stand in textbooks."""

from __future__ import annotations

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


@case("Newton's method")
def newton(x, w):
    goal = jnp.sum(x)
    root = goal + 1.0
    while jnp.abs(root * root * root - goal) > 1e-2:
        root = root - (root * root * root - goal) / (3 * root * root)
    return root


@case("while on an integer array")
def collatz(x, w):
    n, steps = (jnp.sum(x) * 4 + 0.3).astype(int) + 6, 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return x * steps


@case("sampling loop with early stop")
def sampling(x, w):
    tokens, n, token = jnp.zeros(6), 0, jnp.argmax(x[0])
    while n < 6:
        token = jnp.argmax(w[token] + jnp.sum(x) * 0.1 * n)
        if token == 3:
            break
        tokens = tokens.at[n].set(jnp.max(w[token]))
        n += 1
    return tokens + n


@case("power iteration with a tolerance")
def power_iteration(x, w):
    matrix = w @ w.T + jnp.sum(x) * 0.1
    v, change, n = x[0], jnp.ones(()), 0
    while change > 1e-2 and n < 25:
        u = matrix @ v
        u = u / jnp.sqrt(jnp.sum(u * u))
        change, v = jnp.max(jnp.abs(u - v)), u
        n += 1
    return v @ matrix @ v


@case("sorting step of an object by comparison")
def compare_and_swap(x, w):
    values = [x[0, 0], x[0, 1], x[1, 0]]
    for i in range(2):
        for j in range(2 - i):
            if values[j] > values[j + 1]:
                values = [*values[:j], values[j + 1], values[j], *values[j + 2 :]]
    return values[0] + 2 * values[1] + 4 * values[2]
