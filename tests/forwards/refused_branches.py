"""Branches on arrays that cannot be compiled."""

from __future__ import annotations

import jax.numpy as jnp

import kuai
from tests.forwards.case import Family

case = CASES = Family()


@case("variable defined in one branch only", inputs=(5.0,), error=r"`y`.*(one|only|other)")
def one_branch(x, w):
    if jnp.sum(x) > 2:  # here
        y = x * 2
    return y  # here


@case("variable deleted in one branch", inputs=(0.1,), error=r"`y`")
def deleted_in_one_branch(x, w):
    y = x * 2
    if jnp.sum(x) > 2:  # here
        del y  # here
    return y  # here


@case("branches of different shapes", error=r"`y`.*float32\[2, ?4\].*float32\[4, ?4\]")
def shapes_differ(x, w):
    if jnp.sum(x) > 2:  # here
        y = x
    else:
        y = w
    return jnp.sum(y)


@case("branches that return different shapes", error=r"return.*\[2, ?4\].*\[4, ?4\]")
def returns_differ(x, w):
    if jnp.sum(x) > 2:  # here
        return x
    return w  # here


@case("branches of different dtypes", error=r"`y`.*(float32.*int32|int32.*float32)")
def dtypes_differ(x, w):
    if jnp.sum(x) > 2:  # here
        y = x
    else:
        y = x.astype(jnp.int32)
    return y


@case("branches of different structures", error=r"`y`.*(tuple|dict|structure)")
def structures_differ(x, w):
    if jnp.sum(x) > 2:  # here
        y = (x, x)
    else:
        y = {"a": x}
    return y


@case("array on one path, None on another", error=r"return.*None|None.*return")
def returns_none(x, w):
    if jnp.sum(x) > 2:  # here
        return x  # here


@case("array in one branch, None in the other", error=r"`y`.*None")
def none_in_one_branch(x, w):
    y = None
    if jnp.sum(x) > 2:  # here
        y = x * 2
    return x if y is None else y


@case("strings that differ between branches", error=r"`name`.*str|`name`.*'(large|small)'")
def strings_differ(x, w):
    if jnp.sum(x) > 2:  # here
        name = "large"
    else:
        name = "small"
    return x * len(name)


@case("conditional expression of different shapes", error=r"\[2, ?4\].*\[4, ?4\]")
def conditional_shapes(x, w):
    y = x if jnp.sum(x) > 2 else w  # here
    return jnp.sum(y)


@case("condition of an if that is no scalar", eager=False, error=r"scalar|\(2, ?4\)|\[2, ?4\]")
def array_condition(x, w):
    if x > 1:  # here
        x = x / 2
    return x


@case("and of arrays that are no scalars", eager=False, error=r"scalar|\(2, ?4\)|\[2, ?4\]")
def array_and(x, w):
    return x * (x > 0 and x < 1)  # here


@case("raise under a condition on an array", error=r"raise")
def dynamic_raise(x, w):
    if jnp.sum(x) > 1e9:  # here
        raise ValueError("too large")  # here
    return x


@case("match on an array", error=r"match")
def match_on_array(x, w):
    match jnp.sum(x):  # here
        case 0:  # here
            return x
        case _:
            return x * 2


@case("item of an outside dict set in a branch", error=r"dict|item")
def dict_item_in_branch(x, w):
    state = {"k": x}
    if jnp.sum(x) > 2:  # here
        state["k"] = x * 2  # here
    return state["k"]


@case("list that grows in a branch", error=r"list|append")
def list_grows_in_branch(x, w):
    parts = [x]
    if jnp.sum(x) > 2:  # here
        parts.append(x * 2)  # here
    return sum(parts)


@case("attribute of self, a string, changed in a branch", error=r"size")
class StringOnSelf(kuai.Block):
    def __init__(self):
        super().__init__()
        self.size = "small"

    def forward(self, x):
        if jnp.sum(x) > 2:  # here
            self.size = "large"  # here
        return x
