"""What layers ask of their arguments and inputs, so that every layer says it the same way."""

from __future__ import annotations

import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.block import Block
from kuai.core.kinds import check_switched_on
from kuai.core.parameter import Parameter
from kuai.core.tree import here, members
from kuai.errors import ArgumentError, DtypeError, ShapeError


def as_array(x: Any) -> jax.Array:
    """`x` as a JAX array, if it is an array or a float.

    Floats are taken because a compiled call traces them: it would see an array.

    Raises:
        ArgumentError: it is a list, None, or anything else.
    """
    if isinstance(x, jax.Array):
        return x
    if isinstance(x, (np.ndarray, np.generic, float)):
        return jnp.asarray(x)
    convertible = isinstance(x, (list, tuple, int))
    remedy = "wrap it in jnp.asarray(...)" if convertible else "pass an array"
    raise ArgumentError(f"{here()}: expected an array, got {_described(x)}; {remedy}")


def as_floating(x: Any) -> jax.Array:
    """`x` as a JAX array, if its elements are floating.

    Raises:
        DtypeError: its dtype is another.
    """
    array = as_array(x)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise DtypeError(
            f"{here()}: expected a floating input, got {array.dtype} of shape {array.shape}; "
            "cast it with x.astype('float32')"
        )
    return array


def as_ordered(x: Any) -> jax.Array:
    """`x` as a JAX array, if its elements have an order.

    Raises:
        DtypeError: they are complex.
    """
    array = as_array(x)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise DtypeError(
            f"{here()}: expected an input of floats or integers, got {array.dtype} of shape "
            f"{array.shape}; take its real part or its absolute value"
        )
    return array


def as_integers(x: Any, what: str = "indices") -> jax.Array:
    """`x` as a JAX array, if its elements are integers.

    Args:
        x: what a caller passed.
        what: its name in an error.

    Raises:
        DtypeError: its dtype is another.
    """
    array = as_array(x)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise DtypeError(
            f"{here()}: expected integer {what}, got {array.dtype} of shape {array.shape}; "
            "cast them with x.astype('int32')"
        )
    return array


def outside(integers: jax.Array, most: int) -> int | None:
    """One that is below 0 or above `most`; None where all are inside, or only a program knows."""
    if isinstance(integers, jax.core.Tracer) or integers.size == 0:
        return None
    low, high = int(integers.min()), int(integers.max())
    return low if low < 0 else high if high > most else None


def check_axes(x: jax.Array, at_least: int) -> None:
    """Check the number of axes.

    Raises:
        ShapeError: there are fewer.
    """
    if x.ndim < at_least:
        raise ShapeError(
            f"{here()}: expected an input of at least {at_least} "
            f"{'axis' if at_least == 1 else 'axes'}, got shape {x.shape}; "
            "add a batch axis with x[None]"
        )


def check_last_axes(x: jax.Array, axes: int) -> None:
    """Check that a first axis stays where a norm takes several of the last ones together.

    A vector has no axis to mix examples over, so that the last one alone is always allowed.

    Raises:
        ShapeError: `axes` reaches the first one, or there are fewer.
    """
    if axes == 1:
        check_axes(x, 1)
    elif x.ndim <= axes:
        raise ShapeError(
            f"{here()}: expected an input of more than {axes} axes, got shape {x.shape}: the "
            f"argument axes={axes} counts the axes that are normalized together, from the last "
            "on, and the first one stays; features are inferred, so leave it out to normalize "
            "over the last axis"
        )


def checked_axis(x: jax.Array, axis: int) -> int:
    """`axis` counted from the front.

    Raises:
        ShapeError: `x` has no such axis.
    """
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(
            f"{here()}: expected an input with an axis {axis}, got shape {x.shape}; "
            "choose another axis, or add one with x[None]"
        )
    return axis % x.ndim


def check_width(x: jax.Array, axis: int, width: int) -> None:
    """Check the size of the axis that the layer's parameters were made for.

    Raises:
        ShapeError: it differs.
    """
    if x.shape[axis] != width:
        raise ShapeError(
            f"{here()}: expected an input with {width} features on axis {axis}, got shape "
            f"{x.shape}; give it that width, or make a new layer for the new one"
        )


def check_count(where: str, name: str, value: Any, *, at_least: int = 1) -> int:
    """A whole number.

    Raises:
        ArgumentError: `value` is anything else, or too small.
    """
    number = whole_number(value)
    if number is None or number < at_least:
        raise ArgumentError(
            f"{where}: expected {name} to be an integer of at least {at_least}, got {value!r}; "
            f"write for example {name}={at_least + 1}"
        )
    return number


def check_index(where: str, name: str, value: Any) -> int:
    """The number of an axis, from the front or from the back.

    Raises:
        ArgumentError: `value` is no integer.
    """
    number = whole_number(value)
    if number is None:
        raise ArgumentError(
            f"{where}: expected {name} to be an integer, got {value!r}; write for example -1"
        )
    return number


def check_number(where: str, name: str, value: Any, below: float, *, itself: bool = False) -> float:
    """A number from 0 up to `below`, which is allowed `itself` or not.

    Raises:
        ArgumentError: `value` is anything else.
    """
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not real or not (0 <= value < below or (itself and value == below)):
        bound = f"from 0 to {below:g}" if itself else f"from 0 up to below {below:g}"
        raise ArgumentError(
            f"{where}: expected {name} to be a number {bound}, got {value!r}; "
            f"write for example {name}=0.1"
        )
    return value


def check_truth(where: str, name: str, value: Any) -> bool:
    """True or False.

    Raises:
        ArgumentError: `value` is anything else, which Python would take for one of them.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{where}: expected {name} to be True or False, got {value!r}")
    return bool(value)


def check_positive(where: str, name: str, value: Any) -> Any:
    """A number above 0.

    Raises:
        ArgumentError: `value` is anything else.
    """
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not real or not 0 < value < math.inf:
        raise ArgumentError(
            f"{where}: expected {name} to be a number above 0, got {value!r}; "
            f"write for example {name}=2.0"
        )
    return value


def check_sequence(x: jax.Array) -> None:
    """Check that the axes are batch, time and features.

    Raises:
        ShapeError: there are more or fewer.
    """
    if x.ndim != 3:
        raise ShapeError(
            f"{here()}: expected an input (batch, time, features), got shape {x.shape}; add a "
            "batch axis with x[None]"
        )


def floating_name(where: str, dtype: Any) -> str:
    """The name of a floating dtype, for the parameters of a layer.

    Raises:
        ArgumentError: `dtype` is no dtype, not floating, or of 64 bits where JAX has none.
    """
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise ArgumentError(
            f"{where}: expected a floating dtype, got {dtype!r}; write for example "
            "dtype='float32' or dtype=jnp.bfloat16"
        )
    check_switched_on(where, found)
    return str(found.name)


def dtype_of(block: Block, given: str) -> str:
    """The name of the dtype that a layer's parameters have now; `given` where it has none."""
    own = (holder for _, holder in members(block) if isinstance(holder, Parameter))
    return next((str(holder.dtype) for holder in own), given)


def whole_number(value: Any) -> int | None:
    """`value` as a Python integer, None where it is none."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def _described(x: Any) -> str:
    if x is None:
        return "None"
    if isinstance(x, (list, tuple)):
        return f"a {type(x).__name__} of length {len(x)}"
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) < 40 else text[:37] + '...'}"
