"""Constructs in pairs: loops in loops, and jumps out of them."""

from __future__ import annotations

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


@case("while in for")
def while_in_for(x, w):
    for i in range(3):
        while jnp.sum(x) > 1:
            x = x * 0.5
        x = x + i
    return x


@case("for in while")
def for_in_while(x, w):
    n = 0
    while jnp.sum(x) > 0.5 and n < 4:
        for row in w[:2]:
            x = jnp.tanh(x + row) * 0.5
        n += 1
    return x * n


@case("for over range(array) in for over rows")
def ranges_in_rows(x, w):
    n = jnp.sum(x).astype(int)
    total = 0.0
    for row in w:
        for i in range(n):
            total = total + jnp.sum(row * x[0]) * i
    return x + total


@case("if in while")
def if_in_while(x, w):
    while jnp.sum(x) > 1:
        if jnp.sum(x) > 3:
            x = x * 0.5
        else:
            x = x * 0.8 - 0.01
    return x


@case("while in if")
def while_in_if(x, w):
    if jnp.sum(x) > 2:
        while jnp.sum(x) > 1:
            x = x * 0.7
    else:
        x = x @ w
    return x


@case("while in each branch")
def while_in_branches(x, w):
    if jnp.sum(x) > 1:
        while jnp.sum(x) > 1:
            x = x * 0.7
    elif jnp.sum(x) > 0.5:
        x = x - 1
    else:
        while jnp.sum(x) < 2:
            x = x + 0.3
    return x


@case("break in nested loops")
def break_in_nested(x, w):
    for _ in range(3):
        for j in range(3):
            if jnp.sum(x) * j > 4:
                break
            x = x + 0.1
        x = x * 0.9
    return x


@case("break out of both loops by a flag")
def break_both(x, w):
    found = False
    for i in range(3):
        for j in range(3):
            if jnp.sum(x) * (i + 1) * (j + 1) > 4:
                found = True
                break
            x = x + 0.1
        if found:
            break
    return x * (i + j)


@case("break of the inner and continue of the outer loop")
def break_and_continue(x, w):
    total = 0.0
    for i in range(jnp.sum(x).astype(int) + 2):
        for j in range(3):
            if jnp.sum(x) * j > 4:
                break
            total = total + j * jnp.sum(x)
        if total > 20:
            continue
        total = total + i
    return total


@case("return in nested loops")
def return_in_nested(x, w):
    for i in range(3):
        while jnp.sum(x) < 4:
            x = x + 0.2
            if jnp.sum(x) > 3:
                return x * i
        x = x * 0.3
    return x


@case("early return in a loop in a branch")
def return_in_loop_in_branch(x, w):
    if jnp.sum(x) > 1:
        for i in range(4):
            x = x * 0.6
            if jnp.sum(x) < 1:
                return x + i
    return x @ w


@case("continue and else")
def continue_and_else(x, w):
    n = 0
    while n < 4 and jnp.sum(x) < 50:
        n += 1
        if jnp.sum(x) > 2:
            x = x * 0.4
            continue
        x = x + 0.2
    else:
        x = x - 1
    return x


@case("break, continue and else in one loop")
def every_jump(x, w):
    for i in range(6):
        if jnp.sum(x) > 4:
            x = x * 0.5
            continue
        if jnp.sum(x) < 0.5:
            break
        x = x * 0.8 + i * 0.01
    else:
        x = x + 10
    return x


@case("else of an inner loop that breaks the outer")
def else_breaks_outer(x, w):
    for i in range(3):
        for row in w:
            if jnp.sum(row * x[0]) > 0.4 + i:
                break
        else:
            break
        x = x * 0.7 + 0.05
    return x * i


@case("walrus in the test of a while with break")
def walrus_and_break(x, w):
    n = 0
    while (s := jnp.sum(x)) > 0.5:
        x = x * 0.7
        n += 1
        if s < 1:
            break
    return x * s + n


@case("walrus and chained comparison in a while")
def walrus_and_chain(x, w):
    while 0.3 < (s := jnp.sum(x)) < 10:
        x = x * 0.6 if s > 1 else x - 0.05
    return x + s


@case("conditional expression in a for with return")
def conditional_and_return(x, w):
    for row in w:
        x = x + row if jnp.sum(row) > 0 else x - row
        if jnp.sum(x) > 4:
            return x
    return -x


@case("and, or in the condition of a while with else")
def logic_and_else(x, w):
    n = 0
    while (jnp.sum(x) > 1 and n < 4) or n < 2:
        x = x * 0.6
        n += 1
    else:
        x = x + n
    return x


@case("three loops deep")
def three_deep(x, w):
    total = 0.0
    for i in range(2):
        for row in w[:2]:
            y = x + i
            while jnp.sum(y) > 1:
                y = y * 0.5
                if jnp.sum(y * row) > 0.3:
                    break
            total = total + jnp.sum(y * row)
    return total


@case("loop whose bound an inner loop changes")
def moving_bound(x, w):
    limit, n = 4.0, 0
    while n < limit:
        n += 1
        while limit > 2 and jnp.sum(x) > 1:
            limit = limit - 0.5
            x = x * 0.7
        x = x + 0.02
    return x * n
