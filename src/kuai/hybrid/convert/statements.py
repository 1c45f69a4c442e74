"""Rewriting statements into operators on the variables that they assign.

`return`, `break` and `continue` become flags first; what follows a statement that may set one is
guarded by it. Then the body of an `if` or a loop becomes a function that shares the variables of
the function it stands in (`nonlocal`), and an operator gets it with `get()` and `set(values)`.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Sequence

from kuai.hybrid.convert import scopes
from kuai.hybrid.convert.build import (
    HOOKS,
    PRIVATE,
    assign,
    at,
    constant,
    declare,
    function,
    hook,
    load,
    names,
    run,
    thunk,
    unpack,
)
from kuai.hybrid.convert.expressions import Expressions, assigns
from kuai.hybrid.convert.scopes import always_exits, assigned, contains

RESULT, DONE = f"{PRIVATE}result", f"{PRIVATE}done"
_LEFT_ALONE = (ast.AsyncFunctionDef, ast.ClassDef, ast.AsyncFor, ast.AsyncWith)
Flags = tuple[str, str]  # of the innermost loop: break, continue


class Statements(Expressions):
    """Rewrites one function."""

    def __init__(self, place: tuple[str, str], first: str | None, inside: bool = False) -> None:
        super().__init__(place, first)
        self.inside = inside  # another function that is converted
        self.flags: set[str] = set()
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        self.shared: set[str] = set()

    def body(self, node: ast.FunctionDef) -> list[ast.stmt]:
        """The new body of a function."""
        self.globals = scopes.declared(node.body, ast.Global)
        self.nonlocals = scopes.declared(node.body, ast.Nonlocal)
        own = scopes.assigned(node.body) | _parameters(node)
        self.shared = scopes.written_by_closures(node.body) & own - self.nonlocals
        head = [s for s in node.body if isinstance(s, (ast.Global, ast.Nonlocal))]
        body = [s for s in node.body if s not in head]
        doc = [body.pop(0)] if _is_doc(body) else []
        self.early = contains([s for s in body if not isinstance(s, ast.Return)], ast.Return)
        total = always_exits(body)
        new = self.block(body, None)
        start: list[ast.stmt] = [declare(name) for name in sorted(self._locals(node, new))]
        start += [assign(flag, constant(False)) for flag in sorted(self.flags)]
        if self.early:
            start += [assign(RESULT, hook("nothing")), assign(DONE, constant(False))]
            end = self.where(node.body[-1])
            final = hook("final", load(RESULT), load(DONE), constant(total), end)
            new.append(ast.Return(final))
        return doc + head + [at(s, node) for s in start] + [at(s, node) for s in new]

    def _locals(self, node: ast.FunctionDef, body: Sequence[ast.stmt]) -> set[str]:
        """What generated functions share with this one must be local to it, even when unbound."""
        shared = scopes.declared(body, ast.Nonlocal)
        return shared - _parameters(node) - self.nonlocals - self.flags - {RESULT, DONE}

    # ---- blocks of statements

    def block(self, body: Sequence[ast.stmt], loop: Flags | None) -> list[ast.stmt]:
        """Rewrite statements in order, guarding what follows one that may leave early."""
        new: list[ast.stmt] = []
        for index, statement in enumerate(body):
            rest = list(body[index + 1 :])
            if isinstance(statement, ast.Return):
                return new + self._return(statement)
            if isinstance(statement, (ast.Break, ast.Continue)):
                assert loop is not None  # noqa: S101  # the parser saw to it
                flag = loop[isinstance(statement, ast.Continue)]
                return [*new, at(assign(flag, constant(True)), statement)]
            flags = self._may_set(statement, loop)
            if flags and rest and isinstance(statement, ast.If) and self._absorb(statement, rest):
                rest = []
            new += self.statement(statement, loop)
            if flags and rest:
                return new + self._guarded(flags, rest, loop)
            if not rest:
                break
        return new

    def _return(self, node: ast.Return) -> list[ast.stmt]:
        value = self.visit(node.value) if node.value else constant(None)
        new: list[ast.stmt] = [*self._taken()]
        if self.early:
            new += [assign(RESULT, value), assign(DONE, constant(True))]
        else:
            new.append(ast.Return(hook("returned", value)))
        return [at(s, node) for s in new]

    def _may_set(self, node: ast.stmt, loop: Flags | None) -> list[str]:
        """The flags that a statement may set."""
        flags = [DONE] if contains(node, ast.Return) else []
        if loop:
            flags += [loop[0]] if contains(node, ast.Break, in_loops=False) else []
            flags += [loop[1]] if contains(node, ast.Continue, in_loops=False) else []
        return flags

    def _absorb(self, node: ast.If, rest: list[ast.stmt]) -> bool:
        """Put what follows an `if` into the branch that falls through, where the other exits."""
        if always_exits(node.body):
            node.orelse = node.orelse + rest
        elif node.orelse and always_exits(node.orelse):
            node.body = node.body + rest
        else:
            return False
        return True

    def _guarded(
        self, flags: list[str], rest: list[ast.stmt], loop: Flags | None
    ) -> list[ast.stmt]:
        place = rest[0]
        return self._branch(place, _unset(flags, self.where(place)), self.block(rest, loop), [])

    # ---- one statement

    def statement(self, node: ast.stmt, loop: Flags | None) -> list[ast.stmt]:
        new = self._statement(node, loop)
        return [*self._taken(), *new]

    def _statement(self, node: ast.stmt, loop: Flags | None) -> list[ast.stmt]:
        if isinstance(node, _LEFT_ALONE):
            return [node]
        rewrite = {
            ast.If: self._if,
            ast.While: self._while,
            ast.For: self._for,
            ast.With: self._with,
            ast.Try: self._try,
            ast.Match: self._match,
            ast.FunctionDef: self._function,
            ast.Assert: self._assert,
            ast.Raise: self._raise,
        }.get(type(node), self._simple)
        new: list[ast.stmt] = rewrite(node, loop)  # type: ignore[operator]  # each takes its own kind
        return new

    def _with(self, node: ast.With, loop: Flags | None) -> list[ast.stmt]:
        targets = [item.optional_vars for item in node.items if item.optional_vars is not None]
        stores = [at(run(call), node) for call in self._stores(targets)]
        node.items = [self.visit(item) for item in node.items]
        node.body = self.block(node.body, loop)
        return [*stores, node]

    def _raise(self, node: ast.Raise, _: Flags | None) -> list[ast.stmt]:
        self.generic_visit(node)
        return [at(run(hook("raising", self.where(node))), node), node]

    def _simple(self, node: ast.stmt, _: Flags | None) -> list[ast.stmt]:
        bound = assigned(node)
        outside = bound & (self.globals | (set() if self.inside else self.nonlocals))
        checks = [
            hook("outside", constant(name), constant(name in self.globals), self.where(node))
            for name in sorted(outside)
        ]
        for name in sorted(bound & self.nonlocals - outside):
            checks.append(hook("rebinding", thunk(load(name))))
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
            plural = isinstance(node, (ast.Assign, ast.Delete))
            checks += self._stores(node.targets if plural else [node.target])  # type: ignore[union-attr]  # each has one of the two
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            checks.append(hook("changing", load(node.target.id), self.where(node)))
        if isinstance(node, ast.AnnAssign):
            node.annotation = constant(0)
        self.generic_visit(node)
        after = self._imported(node) if isinstance(node, ast.ImportFrom) else []
        return [*(at(run(check), node) for check in checks), node, *after]

    def _imported(self, node: ast.ImportFrom) -> list[ast.stmt]:
        """What is imported is an attribute of a module, and may change there."""
        module = constant("." * node.level + (node.module or ""))
        package = load("__package__") if node.level else constant(None)
        calls = [
            hook("imported", thunk(load(a.asname or a.name)), module, package, constant(a.name))
            for a in node.names
        ]
        return [at(run(call), node) for call in calls]

    def _stores(self, targets: Sequence[ast.expr]) -> list[ast.Call]:
        """Tell the operators of attributes and items that are about to be set."""
        found = [n for target in targets for n in ast.walk(target)]
        calls = []
        for target in found:
            if isinstance(target, (ast.Attribute, ast.Subscript)) and not isinstance(
                target.ctx, ast.Load
            ):
                calls.append(self._store(target))
        return calls

    def _store(self, target: ast.Attribute | ast.Subscript) -> ast.Call:
        if contains(target.value, (ast.Call, ast.NamedExpr)):  # not to be evaluated twice
            owner = self.name("owner")
            self.before.append(at(assign(owner, self.visit(target.value)), target))
            target.value = at(load(owner), target)
        owner_node = self.visit(copy.deepcopy(target.value))
        if isinstance(target, ast.Attribute):
            return hook("setting", owner_node, constant(target.attr), self.where(target))
        return hook("changing", owner_node, self.where(target))

    def _assert(self, node: ast.Assert, _: Flags | None) -> list[ast.stmt]:
        message = self.visit(node.msg) if node.msg else constant(None)
        check = hook("check", self.visit(node.test), thunk(message), self.where(node))
        return [at(run(check), node)]

    def _try(self, node: ast.Try, loop: Flags | None) -> list[ast.stmt]:
        node.body = self.block(node.body, loop) or [ast.Pass()]
        for handler in node.handlers:
            first = at(run(hook("caught")), handler)
            handler.body = [first, *self.block(handler.body, loop)]
        node.orelse = self.block(node.orelse, loop)
        node.finalbody = self.block(node.finalbody, loop)
        return [node]

    def _match(self, node: ast.Match, loop: Flags | None) -> list[ast.stmt]:
        node.subject = at(hook("matched", self.visit(node.subject)), node.subject)
        for case in node.cases:
            if case.guard:
                case.guard = self.visit(case.guard)
            case.body = self.block(case.body, loop) or [ast.Pass()]
        return [node]

    def _function(self, node: ast.FunctionDef, _: Flags | None) -> list[ast.stmt]:
        """A nested function is converted where it stands."""
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        node.args.kw_defaults = [d and self.visit(d) for d in node.args.kw_defaults]
        if not contains(node.body, scopes.GENERATORS):
            place = (self.place[0], f"{self.place[1]}.<locals>.{node.name}")
            inner = Statements(place, first_parameter(node.args), inside=True)
            inner.count = self.count + 1000
            node.body = inner.body(node)
            mark = ast.Attribute(load(HOOKS), "converted", ast.Load())
            node.decorator_list.append(at(mark, node))
        return [node]

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
        body = [*self.statement(first, flags), *self._again(node, flags)]
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
        return _unset(stops, self.where(node)) if stops else constant(True)

    def _else(
        self, node: ast.While | ast.For, stops: list[str], outer: Flags | None
    ) -> list[ast.stmt]:
        if not node.orelse:
            return []
        body = self.block(node.orelse, outer)
        if not stops:
            return body
        place = node.orelse[0]
        return self._branch(place, _unset(stops, self.where(place)), body, [])

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

    # ---- statements in front

    def _taken(self) -> list[ast.stmt]:
        taken, self.before = self.before, []
        return taken

    def _in_front(self, statement: ast.stmt, node: ast.AST) -> None:
        earlier = self._taken()
        self.before = earlier + [at(s, node) for s in self.block([at(statement, node)], None)]


def _parameters(node: ast.FunctionDef) -> set[str]:
    return {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}


def first_parameter(arguments: ast.arguments) -> str | None:
    parameters = [*arguments.posonlyargs, *arguments.args]
    return parameters[0].arg if parameters else None


def _unset(flags: list[str], where: ast.expr) -> ast.expr:
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


def _is_doc(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
