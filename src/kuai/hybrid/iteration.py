"""What a compiled loop can run over: things that an array can index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.hybrid.leaves import is_array, is_traced
from kuai.hybrid.upstream import weakened


class Stepped:
    """A sequence of computed elements.

    Args:
        length: a number, or a traced scalar.
        at: index → element.
    """

    def __init__(self, length: Any, at: Callable[[Any], Any]) -> None:
        self.length = length
        self.at = at

    def __iter__(self) -> Iterator[Any]:
        if is_traced(self.length):
            raise TypeError("a range over an array can only be looped over by a `for` statement")
        return (self.at(index) for index in range(self.length))

    def __len__(self) -> int:
        return int(self.length)


def stepped(iterable: Any) -> Stepped | None:
    """An array or a sequence of ours as such; None: Python iterates over it."""
    if isinstance(iterable, Stepped):
        return iterable
    if is_array(iterable) and iterable.ndim:
        return Stepped(iterable.shape[0], lambda i: _row(iterable, i))
    return None


def _row(array: jax.Array, index: Any) -> jax.Array:
    if is_traced(index):
        return jax.lax.dynamic_index_in_dim(array, index, keepdims=False)
    return array[index]


def range_(*bounds: Any) -> Any:
    """`range`, also up to an array."""
    if not any(map(is_traced, bounds)):
        return range(*bounds)
    start, stop, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    span = stop - start
    length = jnp.maximum(-((-span) // step), 0) if _positive(step) else _length(span, step)
    return Stepped(length, lambda i: _weak(start + i * step))


def _positive(step: Any) -> bool:
    return not is_traced(step) and step > 0


def _length(span: Any, step: Any) -> Any:
    return jnp.maximum(-((-span) // step), 0)


def _weak(value: Any) -> Any:
    """A counter is a Python number to its reader: it changes no dtype."""
    return weakened(value, value.dtype) if is_traced(value) else value


def enumerate_(iterable: Any, start: int = 0) -> Any:
    steps = stepped(iterable)
    if steps is None:
        return enumerate(iterable, start)
    return Stepped(steps.length, lambda i: (start + i, steps.at(i)))


def reversed_(iterable: Any) -> Any:
    steps = stepped(iterable)
    if steps is None:
        return reversed(iterable)
    return Stepped(steps.length, lambda i: steps.at(steps.length - 1 - i))


def zip_(*iterables: Any, strict: bool = False) -> Any:
    """`zip`; over arrays and ranges alone it is one sequence of ours."""
    parts = [stepped(it) or _known(it) for it in iterables]
    if not any(map(is_array, iterables)) and not any(isinstance(i, Stepped) for i in iterables):
        return zip(*iterables, strict=strict)
    if any(part is None for part in parts):
        return zip(*iterables, strict=strict)
    lengths = [part.length for part in parts if part is not None]
    if strict and not any(map(is_traced, lengths)) and len(set(lengths)) > 1:
        raise ValueError(f"zip(): expected arguments of equal lengths, got {lengths}")
    return Stepped(_shortest(lengths), lambda i: tuple(part.at(i) for part in parts if part))


def _known(iterable: Any) -> Stepped | None:
    if isinstance(iterable, range):
        return Stepped(len(iterable), lambda i: iterable.start + i * iterable.step)
    if isinstance(iterable, np.ndarray) and iterable.ndim:
        return stepped(jnp.asarray(iterable))
    return None


def _shortest(lengths: list[Any]) -> Any:
    if not any(map(is_traced, lengths)):
        return min(lengths)
    shortest = jnp.asarray(lengths[0])
    for length in lengths[1:]:
        shortest = jnp.minimum(shortest, length)
    return shortest
