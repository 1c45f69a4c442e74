"""Uses of an array's value that cannot be compiled."""

from __future__ import annotations

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

from tests.forwards.case import Family

case = CASES = Family()

latest = None
record = SimpleNamespace(total=0.0)
made: dict = {"jnp": jnp}
exec("def shrink(x):\n    while jnp.sum(x) > 1:\n        x = x * 0.5\n    return x\n", made)


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
