"""Loops whose variables cannot be carried: each is an error with a line and a remedy."""

from __future__ import annotations

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


@case(
    "carry that changes shape",
    error=r"`x`.*float32\[2, ?4\].*float32\[4, ?4\]",
)
def shape_changes(x, w):
    while jnp.sum(x) < 30:  # here
        x = jnp.concatenate([x, x + 1])  # here
    return jnp.sum(x)


@case(
    "carry that changes its number of axes",
    inputs=(5.0,),
    error=r"`y`.*float32\[2, ?4\].*float32\[\]",
)
def axes_change(x, w):
    y = x
    while jnp.sum(y) > 10 or y.ndim == 2:  # here
        y = jnp.sum(y)  # here
    return y


@case("carry whose dtype narrows", error=r"`x`.*float32.*bfloat16")
def dtype_narrows(x, w):
    while jnp.sum(x) > 1:  # here
        x = (x * 0.5).astype(jnp.bfloat16)  # here
    return x.astype(jnp.float32)


@case("float array that becomes an integer array", error=r"`s`.*float32.*int32")
def float_to_integer(x, w):
    s = jnp.sum(x)
    while s > 1:  # here
        s = (s * jnp.asarray(0.5, s.dtype)).astype(jnp.int32)  # here
    return s


@case("tuple that changes length", error=r"`parts`.*(length|structure|tuple)")
def tuple_grows(x, w):
    parts = (x,)
    while jnp.sum(parts[-1]) > 1:  # here
        parts = (*parts, parts[-1] * 0.5)  # here
    return parts[-1]


@case("dict that gains a key", error=r"`state`.*(key|structure|dict)")
def dict_gains_key(x, w):
    state = {"x": x}
    while jnp.sum(state["x"]) > 1:  # here
        state = {"x": state["x"] * 0.5, "last": x}  # here
    return state["x"]


@case("carry that is None before and an array after a trip", error=r"`memory`.*None.*float32")
def none_to_array(x, w):
    memory = None
    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        memory = x if memory is None else memory + x  # here
    return x


@case("carry that is an array before and None after a trip", error=r"`memory`.*float32.*None")
def array_to_none(x, w):
    memory = x
    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        memory = None  # here
    return x if memory is None else memory  # here


@case("variable only assigned in a while", inputs=(5.0,), error=r"`half`.*before the loop")
def assigned_in_while(x, w):
    while jnp.sum(x) > 1:  # here
        half = x * 0.5
        x = half
    return half  # here


@case("variable only assigned in a for", inputs=(5.0,), error=r"`square`.*before the loop")
def assigned_in_for(x, w):
    for i in range(jnp.sum(x).astype(int)):  # here
        square = x * i
    return square  # here


@case("target of a for that may run zero times", inputs=(5.0,), error=r"`i`.*before the loop")
def target_of_for(x, w):
    for i in range(jnp.sum(x).astype(int)):  # here
        x = x * 0.5
    return x * i  # here


@case("string that changes in a while", error=r"`name`.*(str|'a')")
def string_changes(x, w):
    name = "a"
    while jnp.sum(x) > 1:  # here
        x = x * 0.5
        name = name + "b"  # here
    return x * len(name)


@case("function that changes in a while", error=r"`step`")
def function_changes(x, w):
    step = jnp.tanh
    while jnp.sum(x) > 1:  # here
        x = step(x) * 0.5
        step = jnp.sin  # here
    return x
