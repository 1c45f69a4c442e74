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
from kuai.errors import MismatchError
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
    stream = random.Stream(state["seed"], state["count"])
    with muted(), entered(inline=True):
        output, writes = bound_call(lambda: call(*args, **kwargs), {}, stream=stream)
    effects = isinstance(result, Effects)
    _compare("the output", result.output() if effects else result, output, name)
    written = result.writes() if effects else {}
    for holder, value in written.items():
        if not isinstance(holder, Report):
            expected = writes.get(holder, holder._array)
            _compare(f"a new value of a {type(holder).__name__}", value, expected, name)
    return program._applied(result)


def _compare(what: str, found: Any, expected: Any, name: str) -> None:
    ours: list[Any] = []
    theirs: list[Any] = []
    same = flatten(found, ours).key == flatten(expected, theirs).key
    if not same:
        raise _mismatch(what, name, "another structure")
    for a, b in zip(ours, theirs, strict=True):
        difference = _difference(a, b)
        if difference is not None:
            raise _mismatch(what, name, difference)


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


def _mismatch(what: str, name: str, how: str) -> MismatchError:
    return MismatchError(
        f"{name}: compiled, {what} differs from plain Python: {how}. If rounding is amplified (a "
        'loop that stops at a threshold), hybridize(verify="never"); otherwise run it with '
        "hybridize(False) and tell us"
    )
