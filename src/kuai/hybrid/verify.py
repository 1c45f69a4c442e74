"""Comparing what a compiled program gives with what plain Python gives, on the same keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai import random
from kuai.core.binding import bound_call
from kuai.core.context import entered
from kuai.core.silence import muted
from kuai.core.tree import Node
from kuai.errors import MismatchError
from kuai.hybrid.errors import UNCOMPILABLE
from kuai.hybrid.leaves import flatten, is_numeric
from kuai.hybrid.program import Effects, Program
from kuai.hybrid.reports import Report

# Rounding differs between the two, and a loop may add it up; a wrong branch differs by far more.
_RELATIVE = {2: 5e-2, 4: 1e-3, 8: 1e-7}  # bytes of a float → difference to the largest element


def verified(
    program: Program,
    arrays: tuple[Any, ...],
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    when: str,
    name: str,
) -> Any:
    """Run a program and compare its result with plain Python's, where there is reason to.

    Raises:
        MismatchError: they differ; nothing has changed then.
    """
    state = random.get_state()
    result = program.run_pure(arrays)
    if when == "auto" and not any(trace.staged for trace in program.traces):
        return program._applied(result)
    if isinstance(result, Effects):
        result.raise_failed()
    plain = _Plain(call, args, kwargs, state)
    try:
        difference = _differences(result, *plain.run())
    except UNCOMPILABLE:  # plain Python cannot run it: a branch in a function under jax.vmap
        return program._applied(result)
    if difference is not None:
        block = _first_block(program, arrays, plain)
        raise _mismatch(f"in {block}, {difference}" if block else difference, name)
    return program._applied(result)


class _Plain:
    """The call in plain Python, on the keys that the program had."""

    def __init__(
        self,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        state: dict[str, int],
    ) -> None:
        self._call, self._args, self._kwargs = call, args, kwargs
        self.state = state

    def run(self, outputs: list[Any] | None = None) -> tuple[Any, dict[Any, Any]]:
        """(output, what was written); nothing is stored."""
        stream = random.Stream(self.state["seed"], self.state["count"])
        with muted(), entered(inline=True, outputs=outputs):
            return bound_call(lambda: self._call(*self._args, **self._kwargs), {}, stream=stream)


def _differences(result: Any, output: Any, writes: dict[Any, Any]) -> str | None:
    effects = isinstance(result, Effects)
    how = _compared(result.output() if effects else result, output)
    if how is not None:
        return f"the output: {how}"
    for holder, value in (result.writes() if effects else {}).items():
        if not isinstance(holder, Report):
            how = _compared(value, writes.get(holder, holder._array))
            if how is not None:
                return f"a new value of a {type(holder).__name__}: {how}"
    return None


def _first_block(program: Program, arrays: tuple[Any, ...], plain: _Plain) -> str | None:
    """Where the first block is whose output differs; None where that cannot be told."""
    expected: list[tuple[str, Any]] = []
    plain.run(expected)
    try:
        found = program.outputs(arrays, plain.state)
    except (jax.errors.UnexpectedTracerError, TypeError):
        return None  # an output is a tracer of a transform inside, or no array
    for (place, ours), (other, theirs) in zip(found, expected, strict=False):
        if place == other and _compared(ours, theirs) is not None:
            return place
    return None


def _data(value: Any) -> Any:
    """A value without the functions in it: the pullback of a `vjp` is another in each run."""
    if type(value) is tuple:
        return tuple(map(_data, value))
    return None if callable(value) and not isinstance(value, Node) else value


def _compared(found: Any, expected: Any) -> str | None:
    """How two values differ; None: they do not."""
    ours: list[Any] = []
    theirs: list[Any] = []
    if flatten(_data(found), ours).key != flatten(_data(expected), theirs).key:
        return "another structure"
    differences = (_difference(a, b) for a, b in zip(ours, theirs, strict=True))
    return next((how for how in differences if how is not None), None)


def _difference(a: Any, b: Any) -> str | None:
    if not is_numeric(a) or not is_numeric(b) or _is_key(a):
        return None
    one, other = np.asarray(a), np.asarray(b)
    if one.shape != other.shape:
        return f"shape {one.shape} instead of {other.shape}"
    if one.size == 0:
        return None
    return _far(one, other)


def _far(one: np.ndarray, other: np.ndarray) -> str | None:
    width = min(one.dtype.itemsize, other.dtype.itemsize) if _floating(one) else 8
    kind = np.complex128 if np.iscomplexobj(one) else np.float64
    x, y = one.astype(kind), other.astype(kind)
    scale = max(float(np.max(np.abs(y[np.isfinite(y)]), initial=0.0)), 1.0)
    relative = _RELATIVE.get(width, 1e-7)
    close = np.isclose(x, y, rtol=relative, atol=relative * scale, equal_nan=True)
    if close.all():
        return None
    place = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"{x[place]:.6g} instead of {y[place]:.6g} at {place}"


def _floating(array: np.ndarray) -> bool:
    return bool(jnp.issubdtype(array.dtype, jnp.inexact))


def _is_key(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def _mismatch(how: str, name: str) -> MismatchError:
    return MismatchError(
        f"{name}: compiled, it gives something else than plain Python: {how}. If rounding is "
        'amplified (a loop that stops at a threshold), hybridize(verify="never"); otherwise run it '
        "with hybridize(False)"
    )
