"""Rewriting expressions, so that what Python decides by a truth value is decided by an operator.

Operands that Python may leave unevaluated become functions without arguments. Those that assign
with a walrus cannot: they become statements in front of the one they stand in.
"""

from __future__ import annotations

import ast

from kuai.hybrid.convert.build import assign, at, constant, hook, load, thunk
from kuai.hybrid.convert.scopes import PRIVATE, SCOPES

# Names that look at the frame they are called from: a hook between would be that frame.
_FRAME_READERS = ("super", "locals", "globals", "eval", "exec", "breakpoint", "vars", "dir")


class UnsupportedError(Exception):
    """A construct that has no compiled form.

    Args:
        node: where it stands.
        what: what it is.
        remedy: how to write it instead.
    """

    def __init__(self, node: ast.AST, what: str, remedy: str) -> None:
        super().__init__(f"line {getattr(node, 'lineno', 0)} has {what}, which cannot be compiled")
        self.remedy = remedy


class Expressions(ast.NodeTransformer):
    """Rewrites expressions. `before` collects statements that must run in front.

    Args:
        place: (file, name of the function), for messages.
        first: name of the first parameter of the function, for `super()`.
    """

    def __init__(self, place: tuple[str, str], first: str | None) -> None:
        self.place = place
        self.first = first
        self.before: list[ast.stmt] = []
        self.comprehensions = 0
        self.count = 0

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{PRIVATE}{kind}{self.count}"

    def where(self, node: ast.AST) -> ast.Constant:
        return constant((self.place[0], getattr(node, "lineno", 0), self.place[1]))

    # ---- what is decided by truth values

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        kind = "and_" if isinstance(node.op, ast.And) else "or_"
        if any(map(assigns, node.values[1:])):
            return self._as_statements(node, kind)
        values = [self.visit(value) for value in node.values]
        result = values[-1]
        for value in reversed(values[:-1]):
            result = hook(kind, value, thunk(result), self.where(node))
        return at(result, node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return at(hook("not_", operand, self.where(node)), node)
        node.operand = operand
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        if assigns(node.body) or assigns(node.orelse):
            return self._choice_as_statements(node)
        choice = hook(
            "choose",
            self.visit(node.test),
            thunk(self.visit(node.body)),
            thunk(self.visit(node.orelse)),
            self.where(node),
        )
        return at(choice, node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if any(map(assigns, node.comparators[1:])):
            raise UnsupportedError(
                node,
                "a walrus in the later part of a chained comparison",
                "assign in a statement of its own, or write `a < b and b < c`",
            )
        self.generic_visit(node)
        if len(node.ops) == 1:
            return self._comparison(node)
        later = [
            ast.Tuple([constant(type(op).__name__), thunk(value)], ast.Load())
            for op, value in zip(node.ops[1:], node.comparators[1:], strict=True)
        ]
        first = constant(type(node.ops[0]).__name__)
        chain = hook("chain", node.left, first, node.comparators[0], *later)
        chain.args.append(self.where(node))
        return at(chain, node)

    def _comparison(self, node: ast.Compare) -> ast.expr:
        kind = constant(type(node.ops[0]).__name__)
        left, right = node.left, node.comparators[0]
        return at(hook("compare", kind, left, right, self.where(node)), node)

    # ---- walrus in operands

    def _as_statements(self, node: ast.BoolOp, kind: str) -> ast.expr:
        """`a and b` as `t = a; if t: t = b`."""
        self._no_comprehension(node)
        result = self.name("value")
        self._in_front(assign(result, node.values[0]), node)
        rest = node.values[1] if len(node.values) == 2 else ast.BoolOp(node.op, node.values[1:])
        test: ast.expr = load(result)
        if kind == "or_":
            test = ast.UnaryOp(ast.Not(), test)
        self._in_front(ast.If(test, [assign(result, rest)], []), node)
        return at(load(result), node)

    def _choice_as_statements(self, node: ast.IfExp) -> ast.expr:
        self._no_comprehension(node)
        result = self.name("value")
        branches = [assign(result, node.body)], [assign(result, node.orelse)]
        self._in_front(ast.If(node.test, *branches), node)
        return at(load(result), node)

    def _in_front(self, statement: ast.stmt, node: ast.AST) -> None:
        """Let a statement, not rewritten yet, run in front of the current one."""
        raise NotImplementedError

    def _no_comprehension(self, node: ast.AST) -> None:
        if self.comprehensions:
            raise UnsupportedError(
                node,
                "a walrus in an operand inside a comprehension or lambda",
                "write it as a loop or a function",
            )

    # ---- what reads from outside

    def visit_Call(self, node: ast.Call) -> ast.expr:
        function = node.func
        if isinstance(function, ast.Name) and _reads_frame(function.id, node):
            return self._frame_reader(node, function.id)
        self.generic_visit(node)
        called = hook("call", self.where(node), node.func, *node.args)
        called.keywords = node.keywords
        return at(called, node)

    def _frame_reader(self, node: ast.Call, name: str) -> ast.expr:
        self.generic_visit(node)
        if name == "super" and not node.args and self.first is not None:
            node.args = [at(load("__class__"), node), at(load(self.first), node)]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            return node
        return at(hook("attribute", node.value, constant(node.attr)), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        slices = any(isinstance(part, ast.Slice) for part in parts)
        if slices or not isinstance(node.ctx, ast.Load):
            return node
        return at(hook("item", node.value, node.slice, self.where(node)), node)

    # ---- containers made here may be changed here

    def visit_List(self, node: ast.List) -> ast.expr:
        self.generic_visit(node)
        return at(hook("made", node), node) if isinstance(node.ctx, ast.Load) else node

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        self.generic_visit(node)
        return at(hook("made", node), node)

    def visit_Set(self, node: ast.Set) -> ast.expr:
        self.generic_visit(node)
        return at(hook("made", node), node)

    def _comprehension(self, node: ast.expr) -> ast.expr:
        self.comprehensions += 1
        self.generic_visit(node)
        self.comprehensions -= 1
        return at(hook("made", node), node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        self.generic_visit(node)
        node.iter = at(hook("iterate", node.iter, self.where(node.iter)), node.iter)
        node.ifs = [at(hook("decide", test, self.where(test)), test) for test in node.ifs]
        return node

    visit_ListComp = _comprehension  # noqa: N815  # ast's names
    visit_SetComp = _comprehension  # noqa: N815
    visit_DictComp = _comprehension  # noqa: N815
    visit_GeneratorExp = _comprehension  # noqa: N815

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        """An f-string may show arrays, whose values come later."""
        self.generic_visit(node)
        parts = [self._part(part) for part in node.values]
        return at(hook("joined_text", *parts), node)

    def _part(self, part: ast.expr) -> ast.expr:
        if not isinstance(part, ast.FormattedValue):
            return part
        spec = part.format_spec or constant("")
        return ast.Tuple([part.value, constant(part.conversion), spec], ast.Load())

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        outer, self.comprehensions = self.comprehensions, self.comprehensions + 1
        self.generic_visit(node)
        self.comprehensions = outer
        return at(hook("converted", node), node)


def _reads_frame(name: str, node: ast.Call) -> bool:
    """`vars` and `dir` with an argument look at that, not at the frame."""
    return name in _FRAME_READERS and not (name in ("vars", "dir") and node.args)


def assigns(node: ast.AST) -> bool:
    """Whether an operand assigns with a walrus in its own scope."""
    if isinstance(node, ast.NamedExpr):
        return True
    if isinstance(node, (ast.Lambda, *SCOPES[:3])):
        return False
    return any(map(assigns, ast.iter_child_nodes(node)))
