"""Branches and uses of an array's value that cannot be compiled."""

from __future__ import annotations

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

import kuai
from tests.forwards.case import Family

case = CASES = Family()

latest = None
record = SimpleNamespace(total=0.0)
made: dict = {"jnp": jnp}
exec("def shrink(x):\n    while jnp.sum(x) > 1:\n        x = x * 0.5\n    return x\n", made)


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


@case(".item()", error=r"item\(\)")
def item(x, w):
    while jnp.sum(x).item() > 1:  # here
        x = x * 0.5
    return x


@case("float(array)", error=r"float\(")
def to_float(x, w):
    scale = float(jnp.sum(x))  # here
    return x * scale


@case("int(array)", error=r"int\(")
def to_int(x, w):
    n = int(jnp.sum(x))  # here
    return x * n


@case("int(array) in a loop", error=r"int\(")
def to_int_in_loop(x, w):
    while jnp.sum(x) > 1:
        x = x * 0.5 if int(jnp.max(x)) < 9 else x * 0.1  # here
    return x


@case("float(array) in a try that catches everything", error=r"float\(")
def swallowed(x, w):
    try:
        scale = float(jnp.sum(x))  # here
    except Exception:
        scale = 0.0
    return x * scale


@case("array used as a shape", error=r"shape")
def as_shape(x, w):
    n = jnp.sum(x).astype(int) + 1
    return jnp.sum(x) * jnp.ones(n)  # here


@case("array used as a slice's bound", error=r"index|slice")
def as_slice(x, w):
    n = jnp.sum(x).astype(int)
    return jnp.sum(x[:, :n])  # here


@case("array used as a list index", error=r"index")
def as_list_index(x, w):
    n = jnp.sum(x).astype(int) % 2
    return x * [0.5, 2.0][n]  # here


@case("array used as a dict key", eager=False, error=r"key|hash", raises=Exception)
def as_dict_key(x, w):
    return x * {1: 0.5}[jnp.sum(x).astype(int)]  # here


@case("array given to NumPy", error=r"numpy|NumPy")
def given_to_numpy(x, w):
    return x * np.sum(np.asarray(x), dtype=np.float32)  # here


@case("truth of an array asked in library code", error=r"condition|branch|truth|bool")
def truth_in_library(x, w):
    order = sorted([jnp.sum(x), jnp.sum(w)])  # here
    return x * order[0]


@case("boolean mask as an index", error=r"mask")
def boolean_mask(x, w):
    return jnp.sum(x[x > 0.2])  # here


@case("item assignment to an array", eager=False, raises=TypeError, error=r"\.at\[")
def array_item(x, w):
    x[0] = 1.0  # here
    return x


@case("match on an array", error=r"match")
def match_on_array(x, w):
    match jnp.sum(x):  # here
        case 0:  # here
            return x
        case _:
            return x * 2


@case("function without source", error=r"source")
def without_source(x, w):
    return made["shrink"](x)  # here


@case("array written to a global", error=r"global.*`latest`|`latest`.*global")
def global_write(x, w):
    global latest
    latest = jnp.sum(x)  # here
    return x


@case("attribute of an outside object written", error=r"total")
def outside_attribute(x, w):
    record.total = jnp.sum(x)  # here
    return x


@case("attribute of an outside object written in a while", error=r"total")
def outside_attribute_in_while(x, w):
    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        record.total = record.total + 1.0  # here
    return x


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


@case("assert that fails", eager=False, raises=AssertionError, error=r"^too large")
def failing_assert(x, w):
    assert jnp.sum(x) < 0, "too large"  # here
    return x


@case("assert that fails in a loop", eager=False, raises=AssertionError, inputs=(5.0,),
      error=r"below 2")  # fmt: skip
def failing_assert_in_loop(x, w):
    while jnp.sum(x) > 1:
        x = x * 0.5
        assert jnp.sum(x) > 2, f"below {2}"  # here
    return x


@case("assert that fails in a branch", eager=False, raises=AssertionError, inputs=(5.0,),
      error=r"large and wrong")  # fmt: skip
def failing_assert_in_branch(x, w):
    if jnp.sum(x) > 2:
        assert jnp.max(x) < 1, "large and wrong"  # here
    return x


@case("attribute of self, a string, changed in a branch", error=r"size")
class StringOnSelf(kuai.Block):
    def __init__(self):
        super().__init__()
        self.size = "small"

    def forward(self, x):
        if jnp.sum(x) > 2:  # here
            self.size = "large"  # here
        return x
