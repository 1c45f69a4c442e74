"""Loops on arrays that cannot be compiled: each is an error that says where and what to do."""

from __future__ import annotations

import jax.numpy as jnp

import kuai
from tests.forwards.case import Family

case = CASES = Family()

calls = 0.0


@case("list that grows in a while", inputs=(5.0,), error=r"list.*(append|grow|length)")
def list_grows(x, w):
    history = []
    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        history.append(x)  # here
    return history[-1]


@case("list that grows by +=", inputs=(5.0,), error=r"list|`history`")
def list_extended(x, w):
    history = [x]
    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        history += [x]  # here
    return history[-1]


@case("list that grows in a for over range(array)", inputs=(5.0,), error=r"list.*(append|grow)")
def list_grows_in_for(x, w):
    history = []
    for i in range(jnp.sum(x).astype(int)):  # here
        history.append(x * i)  # here
    return history[-1]


@case("list that a helper appends to in a while", inputs=(5.0,), error=r"list.*(append|grow)")
def list_grows_in_helper(x, w):
    history = []

    def note(value):
        history.append(value)  # here

    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        note(jnp.sum(x))  # here
    return sum(history)


@case("list that shrinks in a while", inputs=(1.0, 5.0), error=r"list.*(pop|length)")
def list_shrinks(x, w):
    factors = [0.1, 0.3, 0.5, 0.7]
    while jnp.sum(x) > 1:  # here
        x = x * factors.pop()  # here
    return x


@case("item of an outside dict set in a while", error=r"(item|\[['\"]k['\"]\]).*dict|dict.*item")
def dict_item(x, w):
    state = {"k": x}
    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        state["k"] = x  # here
    return state["k"]


@case("item of an outside list set in a while", error=r"(item|\[0\]).*list|list.*item")
def list_item(x, w):
    parts = [x, x]
    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        parts[0] = x  # here
    return parts[0]


@case("array used as a list index in a while", error=r"index")
def list_index(x, w):
    factors, i = [0.9, 0.5, 0.7], 0
    while jnp.sum(x) > 1:
        x = x * factors[i]  # here
        i = (i + 1) % 3
    return x


@case("condition of a while that is no scalar", eager=False, error=r"scalar|\(2, ?4\)|\[2, ?4\]")
def array_condition(x, w):
    while x > 1:  # here
        x = x / 2
    return x


@case("generator with a loop on arrays", inputs=(5.0,), error=r"generator|yield")
def dynamic_generator(x, w):
    def halves(y):
        while jnp.sum(y) > 1:  # here
            y = y * 0.5
            yield y  # here

    for value in halves(x):  # here
        x = value
    return x


@case("global written in a while", error=r"global.*`calls`|`calls`.*global")
def global_in_while(x, w):
    global calls
    calls = 0.0  # here
    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        calls = calls + 1.0  # here
    return x * calls


@case("recursion that ends on an array", error=r"recurs")
def dynamic_recursion(x, w):
    def shrink(y):
        if jnp.sum(y) < 1:  # here
            return y
        return shrink(y * 0.5)  # here

    return shrink(x)


@case("raise in a while", error=r"raise")
def raise_in_while(x, w):
    n = 0
    while jnp.sum(x) > 1:
        x, n = x * 0.5, n + 1
        if n > 100:
            raise RuntimeError("too many trips")  # here
    return x


@case("list on self that grows in a while", error=r"list.*(append|grow)|`?(self\.)?history")
class HistoryOnSelf(kuai.Block):
    def __init__(self):
        super().__init__()
        self.history = []

    def forward(self, x):
        while jnp.sum(x) > 1:  # here
            x = x * 0.5
            self.history.append(x.ndim)  # here
        return x


@case("Python number on self changed in a while", error=r"`?(self\.)?count`?.*State")
class NumberOnSelf(kuai.Block):
    def __init__(self):
        super().__init__()
        self.count = 0

    def forward(self, x):
        while jnp.sum(x) > 1:  # here
            x = x * 0.5
            self.count += 1  # here
        return x


@case("error of JAX in the body of a while", eager=False, inputs=(5.0,), raises=Exception,
      error=r"4.*7|7.*4|dot_general|matmul")  # fmt: skip
def error_in_body(x, w):
    while jnp.sum(x) > 1:
        x = x @ jnp.ones((7, 7))  # here
    return x
