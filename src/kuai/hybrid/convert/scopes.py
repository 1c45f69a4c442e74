"""What a piece of syntax assigns and contains, and whether it can fall through."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from kuai.hybrid.convert.build import PRIVATE

LOOPS = (ast.While, ast.For)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (*FUNCTIONS, ast.ClassDef, ast.Lambda, *COMPREHENSIONS)
GENERATORS = (ast.Yield, ast.YieldFrom, ast.Await)

Nodes = ast.AST | Sequence[ast.AST]


def walk_scope(nodes: Nodes) -> Iterator[ast.AST]:
    """Every node of one scope: not inside nested functions, but inside generated ones."""
    pending = list(nodes) if isinstance(nodes, Sequence) else [nodes]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.FunctionDef) and node.name.startswith(PRIVATE):
            pending += node.body
        elif isinstance(node, COMPREHENSIONS):  # a walrus there binds here
            pending += [inner for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)]
        elif not isinstance(node, SCOPES):
            pending += ast.iter_child_nodes(node)


def assigned(nodes: Nodes) -> set[str]:
    """The names that a scope's nodes bind or delete."""
    return {name for node in walk_scope(nodes) for name in _bound_by(node)}


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield node.id
    elif isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith(PRIVATE):
        yield node.name
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name  # mypy tells the two kinds of name apart
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).split(".")[0]
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def declared(nodes: Nodes, kind: type[ast.Global] | type[ast.Nonlocal]) -> set[str]:
    """The names that a scope declares global or nonlocal."""
    return {name for node in walk_scope(nodes) if isinstance(node, kind) for name in node.names}


def written_by_closures(nodes: Nodes) -> set[str]:
    """The names that functions nested in a scope assign through `nonlocal`."""
    inner = [node for node in walk_scope(nodes) if isinstance(node, FUNCTIONS)]
    return {
        name
        for function in inner
        for node in ast.walk(function)
        if isinstance(node, ast.Nonlocal)
        for name in node.names
    }


def counted(nodes: Nodes) -> set[str]:
    """The names that a scope changes by `+=` and the like."""
    return {
        node.target.id
        for node in walk_scope(nodes)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    }


def contains(
    nodes: Nodes, kinds: type[ast.AST] | tuple[type[ast.AST], ...], *, in_loops: bool = True
) -> bool:
    """Whether nodes of these kinds are in this scope.

    Args:
        nodes: where to look.
        kinds: what to look for.
        in_loops: whether the bodies of loops count; the `break` of an inner loop is its own.
    """
    for node in nodes if isinstance(nodes, Sequence) else [nodes]:
        if isinstance(node, kinds):
            return True
        if isinstance(node, SCOPES):
            continue
        if isinstance(node, LOOPS) and not in_loops:
            inner: Nodes = node.orelse
        else:
            inner = list(ast.iter_child_nodes(node))
        if contains(inner, kinds, in_loops=in_loops):
            return True
    return False


def always_exits(body: Sequence[ast.stmt]) -> bool:
    """Whether every way through a body ends in return, break, continue or raise."""
    return any(map(_exits, body))


def _exits(node: ast.stmt) -> bool:
    if isinstance(node, (ast.Return, ast.Break, ast.Continue, ast.Raise)):
        return True
    if isinstance(node, ast.If):
        return bool(node.orelse) and always_exits(node.body) and always_exits(node.orelse)
    if isinstance(node, ast.With):
        return always_exits(node.body)
    if isinstance(node, ast.Try):
        handled = all(always_exits(handler.body) for handler in node.handlers)
        return always_exits(node.finalbody) or (always_exits(node.body) and handled)
    if isinstance(node, ast.While):
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        return endless and not contains(node.body, ast.Break, in_loops=False)
    return False
