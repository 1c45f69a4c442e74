"""What JAX says when Python needs an array's value in a trace, told in the user's terms."""

from __future__ import annotations

import linecache
import re
import traceback
import types
from collections.abc import Iterator
from pathlib import Path

import jax

from kuai.core.initialize import CONCRETIZATION
from kuai.errors import (
    ConditionError,
    ConversionError,
    HybridizeError,
    ValueNeededError,
)
from kuai.hybrid.convert import conversion_of
from kuai.hybrid.places import is_library_file, told_place

_PACKAGE = str(Path(__file__).parents[1])
UNCOMPILABLE = (*CONCRETIZATION, jax.errors.UnexpectedTracerError)
_SIZES = ("concrete values", "static integers", "must be static")


def is_uncompilable(error: Exception) -> bool:
    """Whether an error says that a trace cannot go on, and not that the code is wrong."""
    if isinstance(error, (HybridizeError, *UNCOMPILABLE)):
        return True
    told = isinstance(error, (TypeError, IndexError)) and "Tracer" in str(error)
    return told and any(words in str(error) for words in _SIZES)


def shortened(error: BaseException) -> None:
    """Leave only frames outside kuai in a traceback: the user's, and those of libraries below."""
    kept = [
        entry
        for entry in _entries(error.__traceback__)
        if not entry.tb_frame.f_code.co_filename.startswith(_PACKAGE)
    ]
    short: types.TracebackType | None = None
    for entry in reversed(kept):
        short = types.TracebackType(short, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    if short is not None:
        error.__traceback__ = short


def _entries(entry: types.TracebackType | None) -> Iterator[types.TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


def explained(error: Exception, name: str) -> HybridizeError:
    """The error of ours, with the user's line, for an error that stopped a trace."""
    line = _place(error)
    if isinstance(error, HybridizeError):
        if line and not _has_place(str(error)):
            error.args = (f"{line}{error}", *error.args[1:])
        return error
    kind, what, remedy = _WHAT.get(type(error), _OTHER)
    place = getattr(error, "_kuai_place", name)
    problem = _problem(error)
    if problem is not None:
        kind, what = ConversionError, f"Python branches on the value of an array, and {problem}"
        remedy = getattr(problem, "remedy", remedy)
    return kind(
        f"{place}: {line}{what}, so it cannot be compiled as it is written; {remedy}, or run it "
        "without hybridize()"
    )


def _has_place(text: str) -> bool:
    return re.match(r"\S+:\d+ in ", text) is not None


def _problem(error: Exception) -> Exception | None:
    """Why the function in which Python asked an array for its truth value was not converted."""
    if not isinstance(error, jax.errors.TracerBoolConversionError):
        return None
    codes = [frame.f_code for frame, _ in _users_frames(error)]
    return conversion_of(codes[-1]) if codes else None


_WHAT: dict[type, tuple[type[HybridizeError], str, str]] = {
    jax.errors.TracerBoolConversionError: (
        ConditionError,
        (
            "Python branches on the value of an array where kuai cannot convert it (a generator, "
            "match, `in`, code without source, a library)"
        ),
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
        (
            "a value made inside a loop, a branch, jax.lax.scan, cond or jax.checkpoint is kept in "
            "a State outside it, or in a variable"
        ),
        "return it from the inner function and assign it outside",
    ),
}
_OTHER = (
    ValueNeededError,
    "Python needs the value of an array (.item(), float(), int(), a shape)",
    "keep it an array",
)


def _users_frames(error: Exception) -> list[tuple[types.FrameType, int]]:
    """The frames of the user's own code, the innermost last."""
    frames = traceback.walk_tb(error.__traceback__)
    return [(f, line) for f, line in frames if not is_library_file(f.f_code.co_filename)]


def _place(error: Exception) -> str:
    """The innermost line of the user's that has a source."""
    for frame, line in reversed(_users_frames(error)):
        code = frame.f_code
        if linecache.getline(code.co_filename, line, frame.f_globals):
            return told_place((code.co_filename, line, code.co_qualname))
    return ""
