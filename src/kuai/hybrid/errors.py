"""What JAX says when Python needs an array's value in a trace, told in the user's terms."""

from __future__ import annotations

import traceback
from pathlib import Path

import jax

import kuai.errors
from kuai.core.initialize import CONCRETIZATION

UNCOMPILABLE = (*CONCRETIZATION, jax.errors.UnexpectedTracerError)
_HERE = Path(__file__).parents[1]
_LIBRARIES = ("site-packages", "dist-packages", "<frozen")


def explained(error: Exception, name: str) -> kuai.errors.HybridizeError:
    """The error of ours for a concretization error that stopped a trace."""
    what, remedy = _WHAT.get(type(error), _OTHER)
    place = getattr(error, "_kuai_place", name)
    return kuai.errors.HybridizeError(
        f"{place}: {_line(error)}{what}, so it cannot be compiled as it is written; "
        f"{remedy}, or run it without hybridize()"
    )


_WHAT: dict[type, tuple[str, str]] = {
    jax.errors.TracerBoolConversionError: (
        "Python branches on the value of an array (if, while, and, or, not, assert)",
        "write jnp.where, jax.lax.cond or jax.lax.while_loop",
    ),
    jax.errors.TracerArrayConversionError: (
        "an array is turned into a NumPy array",
        "use jax.numpy instead of numpy",
    ),
    jax.errors.TracerIntegerConversionError: (
        "an array is used as a Python integer (an index, a shape, a range)",
        "index with jnp.take, or pass the number as a static int argument",
    ),
    jax.errors.NonConcreteBooleanIndexError: (
        "a boolean mask selects a number of elements that depends on values",
        "write jnp.where(mask, x, 0)",
    ),
    jax.errors.UnexpectedTracerError: (
        "a value made inside jax.lax.scan, cond or jax.checkpoint is kept in a State outside it",
        "return it from the inner function and assign it outside",
    ),
}
_OTHER = (
    "Python needs the value of an array (.item(), float(), int(), a shape)",
    "keep it an array",
)


def _line(error: Exception) -> str:
    """The user's own file and line in a traceback."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if not any(part in frame.filename for part in _LIBRARIES) and _HERE not in path.parents:
            return f"{path.name}:{frame.lineno} in {frame.name}: "
    return ""
