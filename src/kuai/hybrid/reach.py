"""The names that code reads."""

from __future__ import annotations

import dis
import types


def global_names(code: types.CodeType) -> frozenset[str]:
    """The global names that a code object reads, and the functions inside it."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return frozenset(own).union(*map(global_names, _inner(code)))


def names_of(code: types.CodeType) -> frozenset[str]:
    """The names of globals and attributes in it."""
    return frozenset(code.co_names).union(*map(names_of, _inner(code)))


def _inner(code: types.CodeType) -> list[types.CodeType]:
    return [c for c in code.co_consts if isinstance(c, types.CodeType)]
