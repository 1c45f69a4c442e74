"""What JAX says when Python needs an array's value in a trace, told in the user's terms."""

from __future__ import annotations

import traceback
from typing import Any

import jax

from kuai.core.initialize import CONCRETIZATION
from kuai.errors import (
    ConditionError,
    ConversionError,
    HybridizeError,
    ValueNeededError,
)
from kuai.hybrid.convert import conversion_of
from kuai.hybrid.following import is_library_file
from kuai.hybrid.places import short

UNCOMPILABLE = (*CONCRETIZATION, jax.errors.UnexpectedTracerError)


def explained(error: Exception, name: str) -> HybridizeError:
    """The error of ours for a concretization error that stopped a trace."""
    kind, what, remedy = _WHAT.get(type(error), _OTHER)
    frame = _users_frame(error)
    place = getattr(error, "_kuai_place", name)
    line = ""
    if frame is not None:
        code = frame.f_code
        line = f"{short(code.co_filename)}:{_line(error, frame)} in {code.co_name}: "
        problem = conversion_of(code)
        if isinstance(error, jax.errors.TracerBoolConversionError) and problem is not None:
            kind, what, remedy = ConversionError, f"{what}, and {problem}", "move it to a file"
    return kind(
        f"{place}: {line}{what}, so it cannot be compiled as it is written; {remedy}, or run it "
        "without hybridize()"
    )


_WHAT: dict[type, tuple[type[HybridizeError], str, str]] = {
    jax.errors.TracerBoolConversionError: (
        ConditionError,
        "Python branches on the value of an array where kuai cannot convert it (a generator, "
        "match, `in`, code without source, a library)",
        "write the branch in a function of your own, or jnp.where, jax.lax.cond",
    ),
    jax.errors.TracerArrayConversionError: (
        ValueNeededError,
        "an array is turned into a NumPy array",
        "use jax.numpy instead of numpy",
    ),
    jax.errors.TracerIntegerConversionError: (
        ValueNeededError,
        "an array is used as a Python integer (an index, a shape, a range)",
        "index with jnp.take, or pass the number as a static int argument",
    ),
    jax.errors.NonConcreteBooleanIndexError: (
        ValueNeededError,
        "a boolean mask selects a number of elements that depends on values",
        "write jnp.where(mask, x, 0)",
    ),
    jax.errors.UnexpectedTracerError: (
        HybridizeError,
        "a value made inside a loop, a branch, jax.lax.scan, cond or jax.checkpoint is kept "
        "outside it",
        "return it from the inner function and assign it outside",
    ),
}
_OTHER = (
    ValueNeededError,
    "Python needs the value of an array (.item(), float(), int(), a shape)",
    "keep it an array",
)


def _users_frame(error: Exception) -> Any:
    """The innermost frame of the user's own code."""
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if not is_library_file(frame.f_code.co_filename):
            found = frame
    return found


def _line(error: Exception, wanted: Any) -> int:
    return next(line for frame, line in traceback.walk_tb(error.__traceback__) if frame is wanted)
