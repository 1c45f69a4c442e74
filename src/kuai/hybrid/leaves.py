"""The values of variables taken apart: arrays and numbers, and everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.parameter import Holder
from kuai.core.signature import Template, children
from kuai.core.tree import Node, same_value
from kuai.hybrid.undefined import Nothing, Undefined
from kuai.hybrid.upstream import weakened

NUMBERS = (bool, int, float, complex, np.generic)
_EQUAL = (np.generic, np.dtype, type, range, slice)  # compared, as scalars of Python are
_LEAF = Template(("leaf",), next)


def is_traced(value: Any) -> bool:
    return isinstance(value, jax.core.Tracer)


def is_array(value: Any) -> bool:
    return isinstance(value, jax.Array)


def is_numeric(value: Any) -> bool:
    """Whether a program can hold the value."""
    return isinstance(value, (jax.Array, np.ndarray, *NUMBERS))


def flatten(value: Any, leaves: list[Any]) -> Template:
    """Take a value apart, appending its leaves: what no container of ours holds."""
    if value is None or isinstance(
        value, (jax.Array, np.ndarray, Node, Holder, Undefined, Nothing)
    ):
        leaves.append(value)
        return _LEAF
    parts = None if isinstance(value, (*NUMBERS, str)) else children(value)
    if parts is None:
        leaves.append(value)
        return _LEAF
    kind, rebuild, items = parts
    below = [flatten(item, leaves) for item in items]
    return Template((kind, *(part.key for part in below)), _builder(rebuild, below))


def _builder(rebuild: Callable[[list[Any]], Any], parts: list[Template]) -> Callable[..., Any]:
    def build(leaves: Iterator[Any]) -> Any:
        return rebuild([part.build(leaves) for part in parts])

    return build


def same_static(a: Any, b: Any) -> bool:
    """Whether two values that are no arrays are one for Python."""
    kinds = type(a) is type(b) and isinstance(a, _EQUAL)
    return bool(a == b) if kinds else same_value(a, b)


class Type:
    """Shape, dtype and weakness of an array."""

    __slots__ = ("dtype", "shape", "weak")

    def __init__(self, shape: tuple[int, ...], dtype: Any, weak: bool) -> None:
        self.shape = shape
        self.dtype = dtype
        self.weak = weak

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and (self.shape, self.dtype, self.weak) == (
            other.shape,
            other.dtype,
            other.weak,
        )

    __hash__ = None  # type: ignore[assignment]  # compared, never looked up

    @property
    def strong(self) -> Type:
        """The same, not weak."""
        return Type(self.shape, self.dtype, False)

    @property
    def extended(self) -> bool:
        """Whether it is a random key or the like."""
        return bool(jnp.issubdtype(self.dtype, jax.dtypes.extended))

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def type_of(value: Any) -> Type:
    """The type of an array, of a number as an array, or of a `jax.core.ShapedArray`."""
    if not hasattr(value, "dtype"):
        value = jnp.asarray(value)
    aval = value if isinstance(value, jax.core.ShapedArray) else jax.typeof(value)
    return Type(tuple(aval.shape), aval.dtype, bool(getattr(aval, "weak_type", False)))


def joined(a: Type, b: Type) -> Type | None:
    """The type that holds values of both; None where the shapes differ or nothing does."""
    if a == b:
        return a
    if a.shape != b.shape or a.extended or b.extended:
        return None
    if a.dtype == b.dtype:
        return Type(a.shape, a.dtype, False)
    with jax.numpy_dtype_promotion("standard"):
        both = [jnp.zeros((), t.dtype) if not t.weak else _weak(t.dtype) for t in (a, b)]
        dtype, weak = jnp.result_type(*both), a.weak and b.weak
    return Type(a.shape, dtype, weak)


def _weak(dtype: Any) -> Any:
    """A Python number of the kind of a weak dtype."""
    return np.zeros((), dtype).item()


def cast(value: Any, to: Type) -> jax.Array:
    """A value as an array of a type that holds it."""
    array = jnp.asarray(value)
    have = type_of(array)
    if have == to or to.extended:
        return array
    if to.weak:
        return weakened(array, to.dtype)
    return jax.lax.convert_element_type(array, to.dtype)


def told(value: Any) -> str:
    """What a value is, for messages."""
    if isinstance(value, Type):
        return str(value)
    if isinstance(value, Undefined):
        return "without a value"
    if isinstance(value, (jax.Array, np.ndarray)):
        return str(type_of(value))
    if value is None or isinstance(value, (str, bool, int, float)):
        return repr(value)
    return f"a {type(value).__name__}"
