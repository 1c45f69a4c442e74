"""Rewriting statements into operators on the variables that they assign.

`return`, `break` and `continue` become flags first; what follows a statement that may set one is
guarded by it. Then branches and loops become operators (`regions`).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence

from kuai.hybrid.convert import scopes
from kuai.hybrid.convert.build import (
    HOOKS,
    PRIVATE,
    assign,
    at,
    constant,
    declare,
    hook,
    load,
    run,
    thunk,
)
from kuai.hybrid.convert.regions import DONE, Flags, Regions, unset
from kuai.hybrid.convert.scopes import always_exits, assigned, contains

RESULT = f"{PRIVATE}result"
_LEFT_ALONE = (ast.AsyncFunctionDef, ast.ClassDef, ast.AsyncFor, ast.AsyncWith)


class Statements(Regions):
    """Rewrites one function; arguments as for `Regions`."""

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
        return self._branch(place, unset(flags, self.where(place)), self.block(rest, loop), [])

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

    # ---- statements in front

    def _in_front(self, statement: ast.stmt, node: ast.AST) -> None:
        earlier = self._taken()
        self.before = earlier + [at(s, node) for s in self.block([at(statement, node)], None)]


def _parameters(node: ast.FunctionDef) -> set[str]:
    return {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}


def first_parameter(arguments: ast.arguments) -> str | None:
    parameters = [*arguments.posonlyargs, *arguments.args]
    return parameters[0].arg if parameters else None


def _is_doc(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
