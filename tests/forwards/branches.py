"""`if` on arrays."""

from __future__ import annotations

import jax.numpy as jnp

from tests.forwards.case import Family

case = CASES = Family()


@case("if and else")
def either(x, w):
    if jnp.sum(x) > 2:
        y = x @ w
    else:
        y = x + 1
    return y


@case("if without else")
def maybe(x, w):
    if jnp.sum(x) > 2:
        x = x * 10
    return x


@case("if, elif and else")
def several(x, w):
    s = jnp.sum(x)
    if s < 1:
        y = x * 2
    elif s < 4:
        y = x @ w
    else:
        y = jnp.tanh(x)
    return y


@case("return in each branch")
def returns(x, w):
    s = jnp.sum(x)
    if s < 1:
        return x * 2
    elif s < 4:
        return x * 3
    else:
        return x @ w


@case("return in one branch only")
def early_return(x, w):
    if jnp.sum(x) > 2:
        return x @ w
    x = x + 1
    return x * 3


@case("returns in nested ifs")
def nested_returns(x, w):
    if jnp.sum(x) > 1:
        if jnp.sum(x) > 4:
            return x * 5
        x = x + 1
    else:
        return x - 1
    return x * 7


@case("return in a nested if, and code after both")
def fall_through(x, w):
    if jnp.sum(x) > 1:
        x = x * 2
        if jnp.sum(x) > 10:
            return x * 5
    x = x + 1
    return x


@case("four levels of if")
def deep(x, w):
    s = jnp.sum(x)
    if s > 0.5:
        if s > 1:
            if s > 2:
                x = x @ w if s > 4 else x * 3
            else:
                x = x + 1
        else:
            x = x - 1
    return x


@case("variable of one branch, not used after it")
def local_of_a_branch(x, w):
    if jnp.sum(x) > 2:
        double = x * 2
        x = double + 1
    return x


@case("variable that both branches define")
def defined_in_both(x, w):
    if jnp.sum(x) > 2:
        scale, shift = 2.0, x[0]
    else:
        scale, shift = 0.5, w[0]
    return x * scale + shift


@case("int in one branch, float in the other")
def int_or_float(x, w):
    if jnp.sum(x) > 2:
        scale = 1
    else:
        scale = 2.5
    return x * scale


@case("Python number or array")
def number_or_array(x, w):
    if jnp.sum(x) > 2:
        scale = jnp.max(x)
    else:
        scale = 2.0
    return x * scale


@case("tuples and dicts returned from branches")
def structures(x, w):
    if jnp.sum(x) > 2:
        return {"a": x, "b": (x * 2, 1.0)}
    return {"a": x + 1, "b": (x @ w, 2.0)}


@case("if on `is None`, `isinstance` and shapes stays Python")
def static_conditions(x, w, h=None):
    if h is None and isinstance(x, jnp.ndarray) and x.ndim == 2:
        h = x * 2
    if h is not None and x.shape[0] == 2:
        h = h @ w
    return h


@case("static and dynamic conditions in one test")
def mixed_conditions(x, w, flag=True):
    if not flag:
        return x
    if jnp.sum(x) > 2 and flag:
        return x * 2
    if w.shape[0] == 4:
        return x * 4
    return x * 5


@case("if with pass")
def passing(x, w):
    if jnp.sum(x) > 2:
        pass
    else:
        x = x @ w
    return x


@case("augmented assignment in a branch")
def augmented(x, w):
    y = x
    if jnp.sum(x) > 2:
        y *= 3
    else:
        y -= 1
    return y + x


@case("swap in a branch")
def swap(x, w):
    a, b = x, x @ w
    if jnp.sum(x) > 2:
        a, b = b, a
    return a - 2 * b


@case("del in a branch")
def delete(x, w):
    if jnp.sum(x) > 2:
        product = x @ w
        x = x + product
        del product
    return x


@case("branch not taken has no gradient, even an infinite one", inputs=(0.0, 1.0))
def guarded(x, w):
    s = jnp.sum(x)
    if s > 0.5:
        return jnp.sqrt(s)
    return s * 2.0


@case("if on the truth of an integer array")
def truth_of_integer(x, w):
    n = jnp.sum(x).astype(int)
    if n:
        x = x * 2
    if not n:
        x = x - 1
    return x


@case("if on jnp.any and jnp.all")
def any_and_all(x, w):
    if jnp.any(x > 0.4):
        x = x * 0.5
    if jnp.all(x < 0.4):
        x = x @ w
    return x


@case("if on a bool array kept in a variable")
def named_condition(x, w):
    large = jnp.sum(x) > 2
    if large:
        x = x * 0.5
    y = x @ w
    if not large:
        y = y + x
    return y


@case("None in both branches, value after")
def none_in_both(x, w):
    rest = None
    if jnp.sum(x) > 2:
        x = x * 2
        rest = None
    return x if rest is None else rest


@case("static value changed alike in both branches")
def same_static_value(x, w):
    if jnp.sum(x) > 2:
        axis, y = 1, x * 2
    else:
        axis, y = 1, x
    return y.sum(axis=axis)
