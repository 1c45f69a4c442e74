"""A loop of known length over calls of blocks, one XLA loop where a program is being traced.

Invariants a maintainer must not break:

* What the calls change is carried from trip to trip: holders (through a `Scope` of each trip) and
  the count of random keys. What a trace finds changed first joins, and it is traced again.
* Keys are drawn as a Python loop would draw them: trip after trip from one stream.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from kuai.core.binding import KEY_COUNT, bound_call, commit
from kuai.core.context import context
from kuai.core.parameter import Holder
from kuai.core.tree import here
from kuai.errors import DeferredInitError
from kuai.random import current_stream

Step = Callable[[Any, Any], tuple[Any, Any]]


def scan(step: Step, carry: Any, xs: Any, *, reverse: bool = False) -> tuple[Any, Any]:
    """`jax.lax.scan` for a step that calls blocks; a Python loop where nothing is being traced.

    Args:
        step: (carry, what a trip is given) → (carry of the same structure, what it leaves).
        carry: before the first trip.
        xs: arrays of which each trip is given its row; at least one row.
        reverse: whether the last row comes first.

    Returns:
        (carry after the last trip, what the trips leave, stacked).
    """
    if context.trace is None:
        return _in_python(step, carry, xs, reverse)
    loop = _Scan(step, reverse)
    while True:
        found = loop.run(carry, xs)
        if found is not None:
            return found


def _in_python(step: Step, carry: Any, xs: Any, reverse: bool) -> tuple[Any, Any]:
    rows = range(jax.tree.leaves(xs)[0].shape[0])
    left = []
    for row in reversed(rows) if reverse else rows:
        carry, out = step(carry, jax.tree.map(lambda x, row=row: x[row], xs))
        left.append(out)
    left = left[::-1] if reverse else left
    return carry, jax.tree.map(lambda *outs: jnp.stack(outs), *left)


class _Scan:
    """One scan: what its trips change is known better after each trace."""

    def __init__(self, step: Step, reverse: bool) -> None:
        self._step = step
        self._reverse = reverse
        self._holders: list[Holder] = []
        self._grown = False
        self._drawn: int | None = 0  # keys that a trip draws; None: only the program knows

    def run(self, carry: Any, xs: Any) -> tuple[Any, Any] | None:
        """The result; None if the trips changed more than was known."""
        self._grown = False
        stream = current_stream()
        count = jnp.zeros((), jnp.uint32) if stream is None else stream.count()
        start = carry, [_value(holder) for holder in self._holders], count
        (carry, values, count), left = lax.scan(self._trip, start, xs, reverse=self._reverse)
        if self._grown:
            return None
        commit(dict(zip(self._holders, values, strict=True)))
        if stream is not None and self._drawn is None:
            stream.move(count)
        elif stream is not None and self._drawn:
            stream.draws += self._drawn * jax.tree.leaves(xs)[0].shape[0]
        return carry, left

    def _trip(self, state: Any, x: Any) -> tuple[Any, Any]:
        carry, values, count = state
        stream = current_stream()
        with nullcontext() if stream is None else stream.starting_at(count):
            bound = dict(zip(self._holders, values, strict=True))
            (carry, left), writes = bound_call(lambda: self._deeper(carry, x), bound)
            moved = writes.pop(KEY_COUNT, None)
            if stream is not None:
                self._drawn = stream.draws if moved is None and self._drawn is not None else None
                count = stream.count() if moved is None else moved
        new = [holder for holder in writes if holder not in self._holders]
        self._holders += new
        if new:
            self._grown = True
            return state, left
        values = [writes.get(h, v) for h, v in zip(self._holders, values, strict=True)]
        return (carry, values, count), left

    def _deeper(self, carry: Any, x: Any) -> tuple[Any, Any]:
        with context.trace.deeper():
            return self._step(carry, x)


def _value(holder: Holder) -> jax.Array:
    try:
        return holder.read()
    except DeferredInitError:
        raise DeferredInitError(
            f"{here()}: an attribute of a block gets its first value inside a loop over the steps "
            "of a sequence; expected it to have one before: make it kuai.State in __init__"
        ) from None
