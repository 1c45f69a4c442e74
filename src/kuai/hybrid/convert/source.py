"""The syntax tree of a live function.

The source is what `linecache` has for the function's file, which covers notebooks. It may have been
edited since it was imported: what is found there counts only if it compiles to the function's code.
"""

from __future__ import annotations

import ast
import copy
import dis
import linecache
import threading
import types
from dataclasses import dataclass
from typing import Any

from kuai.hybrid.convert import build
from kuai.hybrid.convert.codes import Codes

Definition = ast.FunctionDef | ast.Lambda
# CPython counts the depth of a syntax tree for all threads together (gh-106905): two that go
# through one at the same time may fail with "AST constructor recursion depth mismatch".
AST_ALONE = threading.Lock()


class SourceError(Exception):
    """There is no source of a function, or not the one that it was made from.

    Args:
        what: is the matter.
        remedy: what to do about it.
    """

    def __init__(self, what: str, remedy: str = "move it to a file") -> None:
        super().__init__(what)
        self.remedy = remedy


@dataclass
class File:
    """A parsed file, by the first line of each definition (or of its decorators)."""

    text: str
    definitions: dict[int, list[Definition]]
    codes: dict[int, list[types.CodeType]]


_files: dict[str, File] = {}
# Code of functions inside converted ones: it was compiled apart from its module, which the compiler
# lets show in the instructions.
trusted: Codes[bool] = Codes()


def definition(function: types.FunctionType) -> Definition:
    """The definition of a function, as a tree of its own, with private names mangled.

    Raises:
        SourceError: there is none, or it has been edited since.
    """
    code = function.__code__
    file = _parsed(code.co_filename, function.__globals__)
    line = code.co_firstlineno
    found = [node for node in file.definitions.get(line, []) if _named(node, code)]
    if not found:
        raise SourceError(f"{function.__qualname__} is not in {code.co_filename}")
    same = any(_same(other, code) for other in file.codes.get(line, []))
    if not same and code not in trusted:
        raise SourceError(
            f"{code.co_filename} has been edited since {function.__qualname__} was imported",
            "import it anew",
        )
    node = found[0] if len(found) == 1 else _by_columns(found, code)
    return _Mangler(_class_of(function)).visit(copy.deepcopy(node))


def _by_columns(found: list[Definition], code: types.CodeType) -> Definition:
    """The one of several lambdas in a line that a code object comes from: its body has the code."""
    spans = {
        ((line, first), (end, last))
        for line, end, first, last in code.co_positions()
        if None not in (line, end, first, last) and (line, first) != (end, last)
    }
    around = [node for node in found if all(_inside(node.body, *span) for span in spans)]
    if not around or not spans:
        raise SourceError(f"which lambda of line {code.co_firstlineno} this is cannot be told")
    return max(around, key=lambda node: (node.lineno, node.col_offset))  # the innermost


def _inside(body: Any, start: Any, stop: Any) -> bool:
    first = body.lineno, body.col_offset
    return first <= start and stop <= (body.end_lineno, body.end_col_offset)


def _parsed(filename: str, namespace: dict[str, object]) -> File:
    lines = linecache.getlines(filename, namespace)
    text = "".join(lines)
    known = _files.get(filename)
    if known is not None and known.text == text:
        return known
    if not lines:
        raise SourceError(f"there is no source of {filename}")
    try:
        with AST_ALONE:
            tree = ast.parse(text)
    except SyntaxError:
        raise SourceError(f"{filename} does not parse any more") from None
    definitions = _by_line(tree)
    with AST_ALONE:
        codes = _codes(compile(tree, filename, "exec", dont_inherit=True))
    _files[filename] = File(text, definitions, codes)
    return _files[filename]


def _by_line(tree: ast.AST) -> dict[int, list[Definition]]:
    found: dict[int, list[Definition]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            found.setdefault(first, []).append(node)
    return found


def _codes(outer: types.CodeType) -> dict[int, list[types.CodeType]]:
    found: dict[int, list[types.CodeType]] = {}
    pending = [outer]
    while pending:
        code = pending.pop()
        found.setdefault(code.co_firstlineno, []).append(code)
        pending += [inner for inner in code.co_consts if isinstance(inner, types.CodeType)]
    return found


def _named(node: Definition, code: types.CodeType) -> bool:
    name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    return name == code.co_name


def _class_of(function: types.FunctionType) -> str | None:
    """The class that a function was defined in, for the mangling of its private names."""
    parts = function.__qualname__.split(".")
    return parts[-2] if len(parts) > 1 and parts[-2] != "<locals>" else None


class _Mangler(ast.NodeTransformer):
    """`__name` in a class becomes `_Class__name`, as the compiler makes it."""

    def __init__(self, owner: str | None) -> None:
        self._owner = (owner or "").lstrip("_")

    def _mangled(self, name: str) -> str:
        private = name.startswith("__") and not name.endswith("__")
        return f"_{self._owner}{name}" if private and self._owner else name

    def visit_Name(self, node: ast.Name) -> ast.AST:  # ast's name
        node.id = self._mangled(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # ast's name
        self.generic_visit(node)
        node.attr = self._mangled(node.attr)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._mangled(node.arg)
        return node


def code_of(node: Definition, code: types.CodeType, parameters: tuple[str, ...]) -> types.CodeType:
    """Compile a definition whose free variables are `parameters`; its code object."""
    name = code.co_name
    body: list[ast.stmt] = [ast.Return(node)] if isinstance(node, ast.Lambda) else []
    if isinstance(node, ast.FunctionDef):
        # By its own name it would be a variable of the factory, and hide the global one.
        name = node.name = f"{build.PRIVATE}function"
        body = [node, ast.Return(build.load(name))]
    factory = build.at(build.function("factory", parameters, body), node)
    module = ast.Module([factory], [])
    with AST_ALONE:
        outer = compile(module, code.co_filename, "exec", _future(code), dont_inherit=True)
    inner = next(c for c in outer.co_consts if isinstance(c, types.CodeType))
    return next(c for c in inner.co_consts if isinstance(c, types.CodeType) and c.co_name == name)


def _future(code: types.CodeType) -> int:
    import __future__

    return code.co_flags & __future__.annotations.compiler_flag


def undecorated(node: Definition) -> Definition:
    """The definition alone: decorators and defaults were run when the function was made."""
    arguments = node.args
    arguments.defaults = [build.constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [
        None if d is None else build.constant(None) for d in arguments.kw_defaults
    ]
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    if isinstance(node, ast.FunctionDef):
        node.decorator_list, node.returns = [], None
        node.type_params = []  # type: ignore[attr-defined]  # Python 3.12 has it
    return node


def _same(found: types.CodeType, code: types.CodeType) -> bool:
    if found.co_name != code.co_name:
        return False
    if found.co_names == code.co_names and _steps(found) == _steps(code):
        return _same_constants(found, code)
    # pytest rewrites the assert statements of test modules; what is left must agree
    rewritten = "@pytest_ar" in code.co_names
    return rewritten and set(found.co_names) <= {*code.co_names, "AssertionError"}


def _steps(code: types.CodeType) -> list[tuple[str, Any]]:
    """What the instructions do.

    A notebook compiles each statement of a cell by itself, where the compiler does not see that a
    name was imported and calls its functions in another way.
    """
    return [
        (step.opname.replace("METHOD", "ATTR"), None if step.opname in _PLACED else step.argval)
        for step in dis.get_instructions(code)
        if step.opname not in _IDLE and not isinstance(step.argval, types.CodeType)
    ]


_IDLE = frozenset(["CACHE", "NOP", "PUSH_NULL", "PRECALL", "EXTENDED_ARG", "RESUME"])
_PLACED = frozenset(name for number in dis.hasjrel + dis.hasjabs for name in [dis.opname[number]])


def _same_constants(found: types.CodeType, code: types.CodeType) -> bool:
    if len(found.co_consts) != len(code.co_consts):
        return False
    return all(map(_same_constant, found.co_consts, code.co_consts))


def _same_constant(found: object, constant: object) -> bool:
    if isinstance(found, types.CodeType) and isinstance(constant, types.CodeType):
        return _same(found, constant)
    if isinstance(found, frozenset):
        return found == constant
    return repr(found) == repr(constant)  # 1 is not 1.0
