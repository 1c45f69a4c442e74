"""Small pieces of syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, TypeVar

PRIVATE = "_kuai_"  # of names in generated code
HOOKS = f"{PRIVATE}hooks"  # the name under which generated code finds its operators
T = TypeVar("T", bound=ast.AST)


def load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def constant(value: Any) -> ast.Constant:
    return ast.Constant(value)


def hook(name: str, *args: ast.expr) -> ast.Call:
    """A call of one of the operators."""
    return ast.Call(ast.Attribute(load(HOOKS), name, ast.Load()), list(args), [])


def run(call: ast.expr) -> ast.stmt:
    return ast.Expr(call)


def thunk(expression: ast.expr) -> ast.Lambda:
    return ast.Lambda(arguments(), expression)


def arguments(*names: str) -> ast.arguments:
    return ast.arguments(
        posonlyargs=[],
        args=[ast.arg(name) for name in names],
        vararg=None,
        kwonlyargs=[],
        kw_defaults=[],
        kwarg=None,
        defaults=[],
    )


def assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def declare(name: str) -> ast.stmt:
    """Make a name local to its function without giving it a value."""
    return ast.AnnAssign(ast.Name(name, ast.Store()), constant(0), None, simple=1)


def names(values: Iterable[str]) -> ast.expr:
    return ast.Tuple([constant(value) for value in values], ast.Load())


def unpack(targets: Iterable[str], value: ast.expr) -> list[ast.stmt]:
    stores: list[ast.expr] = [ast.Name(name, ast.Store()) for name in targets]
    return [ast.Assign([ast.Tuple(stores, ast.Store())], value)] if stores else []


def function(name: str, parameters: Iterable[str], body: list[ast.stmt]) -> ast.FunctionDef:
    node = ast.FunctionDef(name, arguments(*parameters), body or [ast.Pass()], [], None)
    node.type_params = []  # type: ignore[attr-defined]  # Python 3.12 wants it
    return node


def at(node: T, place: ast.AST) -> T:
    """Give a new node, and what is new inside it, the line on which an old one begins."""
    _put(node, place)
    _fill(node, place)
    return node


def _put(node: Any, place: Any) -> None:
    ast.copy_location(node, place)
    if place.end_lineno != place.lineno:  # the compiler names the last line of a call's function
        node.end_lineno, node.end_col_offset = place.lineno, place.col_offset


def _fill(node: ast.AST, place: ast.AST) -> None:
    for child in ast.iter_child_nodes(node):
        if "lineno" in child._attributes and getattr(child, "lineno", None) is None:
            _put(child, place)
        _fill(child, child if hasattr(child, "lineno") else place)
