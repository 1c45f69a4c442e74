"""Branches and loops as functions that share the variables of the function they stand in.

The body of an `if` or a loop becomes a function that assigns its enclosing function's variables
(`nonlocal`), and an operator gets it with `get()` and `set(values)` over these variables.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from kuai.hybrid.convert import scopes
from kuai.hybrid.convert.build import (
    PRIVATE,
    assign,
    at,
    constant,
    function,
    hook,
    load,
    names,
    run,
    thunk,
    unpack,
)
from kuai.hybrid.convert.expressions import Expressions, assigns
from kuai.hybrid.convert.scopes import assigned, contains

DONE = f"{PRIVATE}done"  # the flag of a `return`
Flags = tuple[str, str]  # of the innermost loop: break, continue


class Regions(Expressions):
    """Rewrites branches and loops.

    Args:
        place: (file, name of the function), for messages.
        first: name of the first parameter of the function, for `super()`.
        inside: whether it stands in another function that is converted.

    Attributes:
        flags: names of the flags of its loops.
        globals, nonlocals: the names that it declares so.
        shared: its variables that functions nested in it assign.
    """

    def __init__(self, place: tuple[str, str], first: str | None, inside: bool = False) -> None:
        super().__init__(place, first)
        self.inside = inside
        self.flags: set[str] = set()
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        self.shared: set[str] = set()

    def block(self, body: Sequence[ast.stmt], loop: Flags | None) -> list[ast.stmt]:
        """Rewrite statements in order."""
        raise NotImplementedError

    def _taken(self) -> list[ast.stmt]:
        """The statements that must run in front of the current one."""
        taken, self.before = self.before, []
        return taken

    # ---- branches and loops

    def _if(self, node: ast.If, loop: Flags | None) -> list[ast.stmt]:
        if _assigns_late(node.test):
            return self._if_nested(node, node.test, loop)  # type: ignore[arg-type]  # a BoolOp
        test = self.visit(node.test)
        before = self._taken()
        yes, no = self.block(node.body, loop), self.block(node.orelse, loop)
        return before + self._branch(node, test, yes, no)

    def _branch(
        self, place: ast.stmt, test: ast.expr, yes: list[ast.stmt], no: list[ast.stmt]
    ) -> list[ast.stmt]:
        shared = self._shared([*yes, *no])
        get, put, y, n = (self.name(kind) for kind in ("get", "set", "yes", "no"))
        call = hook("branch", test, *map(load, (y, n, get, put)), names(shared), self.where(place))
        new: list[ast.stmt] = [
            *self._access(get, put, shared),
            function(y, [], self._declarations(shared) + yes),
            function(n, [], self._declarations(shared) + no),
            run(call),
        ]
        return [at(s, place) for s in new]

    def _if_nested(self, node: ast.If, test: ast.BoolOp, loop: Flags | None) -> list[ast.stmt]:
        """`if a and (b := c): ...` as one `if` in another, so that the body knows `b`."""
        taken = self.name("taken")
        body: list[ast.stmt] = [assign(taken, constant(True)), *node.body]
        for value in reversed(test.values):
            body = [ast.If(value, body, [])]
        new: list[ast.stmt] = [assign(taken, constant(False)), *body]
        if node.orelse:
            new.append(ast.If(ast.UnaryOp(ast.Not(), load(taken)), node.orelse, []))
        return self.block([at(s, node) for s in new], loop)

    def _while(self, node: ast.While, outer: Flags | None) -> list[ast.stmt]:
        if _assigns_late(node.test) and not node.orelse:
            first, *rest = node.test.values  # type: ignore[attr-defined]  # a BoolOp
            stop = [ast.If(ast.UnaryOp(ast.Not(), v), [ast.Break()], []) for v in rest]
            node.test, node.body = first, [*(at(s, node) for s in stop), *node.body]
        stops, flags = self._stops(node.body)
        test = self.visit(node.test)
        before = self._taken()
        body = self._again(node, flags) + self.block(node.body, flags)
        tested = self._tested(node, test, before, stops)
        shared = self._shared([*body, *tested])
        get, put, t, b = (self.name(kind) for kind in ("get", "set", "test", "body"))
        call = hook(
            "repeat",
            *map(load, (t, b, get, put)),
            names(shared),
            self._counted(node),
            self.where(node),
        )
        new: list[ast.stmt] = [
            *self._reset(stops),
            *self._access(get, put, shared),
            function(t, [], self._declarations(shared) + tested),
            function(b, [], self._declarations(shared) + body),
            run(call),
        ]
        return [at(s, node) for s in new] + self._else(node, stops, outer)

    def _tested(
        self, node: ast.While, test: ast.expr, before: list[ast.stmt], stops: list[str]
    ) -> list[ast.stmt]:
        """What the test of a loop runs: nothing once a flag has ended it."""
        if not stops:
            return [*before, ast.Return(test)]
        go = self._go(stops, node)
        if not before and not assigned(test):
            return [ast.Return(hook("and_", go, thunk(test), self.where(node)))]
        value = self.name("value")
        guarded = self._branch(node, load(value), [*before, assign(value, test)], [])
        return [assign(value, go), *guarded, ast.Return(load(value))]

    def _for(self, node: ast.For, outer: Flags | None) -> list[ast.stmt]:
        stops, flags = self._stops(node.body)
        iterable = self.visit(node.iter)
        before = self._taken()
        element = f"{PRIVATE}element"
        first = at(ast.Assign([node.target], load(element)), node)
        body = [*self.block([first], flags), *self._again(node, flags)]
        body += self.block(node.body, flags)
        shared = self._shared(body)
        get, put, b = (self.name(kind) for kind in ("get", "set", "body"))
        go = thunk(self._go(stops, node)) if stops else constant(None)
        call = hook(
            "each", iterable, go, *map(load, (b, get, put)), names(shared),
            self._counted(node), self.where(node),
        )  # fmt: skip
        new: list[ast.stmt] = [
            *self._reset(stops),
            *self._access(get, put, shared),
            function(b, [element], self._declarations(shared) + body),
            run(call),
        ]
        return before + [at(s, node) for s in new] + self._else(node, stops, outer)

    def _stops(self, body: list[ast.stmt]) -> tuple[list[str], Flags]:
        """(the flags that end a loop, its break and continue flags)."""
        flags = self.name("break"), self.name("continue")
        stops = [flags[0]] if contains(body, ast.Break, in_loops=False) else []
        self.flags.update(flags)
        return stops + ([DONE] if contains(body, ast.Return) else []), flags

    def _reset(self, stops: list[str]) -> list[ast.stmt]:
        return [assign(flag, constant(False)) for flag in stops if flag != DONE]

    def _again(self, node: ast.While | ast.For, flags: Flags) -> list[ast.stmt]:
        """At the start of each trip no `continue` has been met."""
        if not contains(node.body, ast.Continue, in_loops=False):
            return []
        return [at(assign(flags[1], constant(False)), node)]

    def _go(self, stops: list[str], node: ast.stmt) -> ast.expr:
        return unset(stops, self.where(node)) if stops else constant(True)

    def _else(
        self, node: ast.While | ast.For, stops: list[str], outer: Flags | None
    ) -> list[ast.stmt]:
        if not node.orelse:
            return []
        body = self.block(node.orelse, outer)
        if not stops:
            return body
        place = node.orelse[0]
        return self._branch(place, unset(stops, self.where(place)), body, [])

    def _counted(self, node: ast.While | ast.For) -> ast.expr:
        return names(sorted(scopes.counted(node.body)))

    # ---- the variables of a region

    def _shared(self, body: Sequence[ast.AST]) -> list[str]:
        """The variables that a region assigns, also through functions that it may call."""
        own = assigned(body)
        calls = any(isinstance(n, ast.Call) for s in body for n in ast.walk(s))
        return sorted(own | (self.shared if calls else set()))

    def _declarations(self, shared: Iterable[str]) -> list[ast.stmt]:
        """Let a generated function assign its enclosing function's variables."""
        outside = [name for name in shared if name in self.globals]
        local = [name for name in shared if name not in self.globals]
        new: list[ast.stmt] = [ast.Global(outside)] if outside else []
        return new + ([ast.Nonlocal(local)] if local else [])

    def _access(self, get: str, put: str, shared: list[str]) -> list[ast.stmt]:
        values = hook("values", *(thunk(load(name)) for name in shared))
        setter = self._declarations(shared) + unpack(shared, load(f"{PRIVATE}new"))
        return [function(get, [], [ast.Return(values)]), function(put, [f"{PRIVATE}new"], setter)]


def unset(flags: list[str], where: ast.expr) -> ast.expr:
    """Whether none of the flags is set."""
    first, *rest = map(load, flags)
    either: ast.expr = first
    for flag in rest:
        either = hook("or_", either, thunk(flag), where)
    return hook("not_", either, where)


def _assigns_late(test: ast.expr) -> bool:
    """Whether a test is an `and` that assigns with a walrus behind its first operand."""
    return (
        isinstance(test, ast.BoolOp)
        and isinstance(test.op, ast.And)
        and any(map(assigns, test.values[1:]))
    )
