"""Converting functions: Python whose control flow asks arrays, rewritten to operators.

Invariants a maintainer must not break:

* A converted function keeps the file, lines, names, cells and globals of the original, so that
  tracebacks, debuggers and coverage point at the user's own source.
* Nothing of the user's is changed: the converted code is another code object.
* A function that cannot be converted runs as it is; where it then asks an array for its truth
  value, JAX's error becomes ours.
"""

from __future__ import annotations

import ast
import inspect
import types
from typing import Any

from kuai.hybrid.convert.build import HOOKS, PRIVATE, at, function
from kuai.hybrid.convert.codes import Codes
from kuai.hybrid.convert.expressions import UnsupportedError
from kuai.hybrid.convert.scopes import GENERATORS, contains
from kuai.hybrid.convert.source import (
    Definition,
    SourceError,
    code_of,
    definition,
    trusted,
    undecorated,
)
from kuai.hybrid.convert.statements import Statements, first_parameter

_RESUMABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Conversion:
    """What became of one code object.

    Attributes:
        code: the converted code, or None where the function runs as it is.
        problem: why it was not converted, or None.
    """

    def __init__(self, code: types.CodeType | None, problem: Exception | None = None) -> None:
        self.code = code
        self.problem = problem


_conversions: Codes[Conversion] = Codes()


def converted_code(original: types.FunctionType) -> Conversion:
    """The conversion of a function's code, made once."""
    code = original.__code__
    known = _conversions.get(code)
    return _conversions.set(code, _convert(original)) if known is None else known


def conversion_of(code: types.CodeType) -> Exception | None:
    """Why the function of a code object runs as it is; None: it was not tried, or was converted."""
    known = _conversions.get(code)
    return None if known is None else known.problem


def _convert(original: types.FunctionType) -> Conversion:
    code = original.__code__
    if code.co_flags & _RESUMABLE:
        return Conversion(None)
    try:
        node = definition(original)
        return Conversion(_compiled(_rewritten(node, original), code))
    except (SourceError, UnsupportedError) as problem:
        return Conversion(None, problem.with_traceback(None))  # it would keep the function alive


def _rewritten(node: Definition, original: types.FunctionType) -> ast.FunctionDef:
    """The definition with a new body; a lambda becomes a function."""
    place = (original.__code__.co_filename, original.__qualname__)
    node = undecorated(node)
    if isinstance(node, ast.Lambda):
        lambda_body: list[ast.stmt] = [at(ast.Return(node.body), node.body)]
        made = at(function(f"{PRIVATE}lambda", [], lambda_body), node)
        made.args = node.args
        node = made
    if contains(node.body, GENERATORS):
        raise SourceError(f"{original.__qualname__} is a generator", "write it as a loop")
    node.body = Statements(place, first_parameter(node.args)).body(node)
    return node


def _compiled(node: ast.FunctionDef, code: types.CodeType) -> types.CodeType:
    compiled = code_of(node, code, (*code.co_freevars, HOOKS))
    return _renamed(compiled.replace(co_name=code.co_name), code.co_name, code.co_qualname)


def _renamed(code: types.CodeType, name: str, qualname: str) -> types.CodeType:
    """Generated functions bear the name of the function they come from."""
    constants = tuple(
        _renamed(c, name, qualname) if isinstance(c, types.CodeType) and _is_generated(c) else c
        for c in code.co_consts
    )
    new = code.replace(co_consts=constants, co_name=name, co_qualname=qualname)
    _trust(new)
    return new


def _trust(code: types.CodeType) -> None:
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType) and inner not in trusted:
            trusted.set(inner, True)
            _trust(inner)


def _is_generated(code: types.CodeType) -> bool:
    return code.co_name.startswith(PRIVATE)


def bound(original: types.FunctionType, code: types.CodeType, hooks: Any) -> types.FunctionType:
    """A function of converted code that shares the cells, globals and defaults of the original."""
    cells = dict(zip(original.__code__.co_freevars, original.__closure__ or (), strict=True))
    cells[HOOKS] = types.CellType(hooks)
    closure = tuple(cells[name] for name in code.co_freevars)
    new = types.FunctionType(
        code, original.__globals__, original.__name__, original.__defaults__, closure
    )
    new.__kwdefaults__ = original.__kwdefaults__
    new.__qualname__, new.__module__ = original.__qualname__, original.__module__
    return new
