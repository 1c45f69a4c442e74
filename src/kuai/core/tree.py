"""Walking a tree of blocks: paths, selection, and the fingerprint that a compiled program rests on.

A tree may share blocks and holders, and may have cycles. Each thing is listed once, at the first
path on which a depth-first walk meets it; further paths are its aliases.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from kuai.core.context import context
from kuai.core.parameter import Holder
from kuai.errors import ArgumentError, RegistrationError

Select = "str | re.Pattern[str] | type | tuple[type, ...] | Callable[[str, Any], bool] | None"


class Node:
    """What this module knows of a Block: its stored attributes."""

    _kuai_repeats: ClassVar[bool] = False  # whether it may keep its layers' arrays in stacks

    def _kuai_stored(self) -> Iterator[tuple[str, Any]]:
        """Every attribute of the user's, (name, stored value): holders, not arrays."""
        raise NotImplementedError

    def _kuai_settings(self) -> tuple[Any, ...]:
        """What else shapes a call: mode, hooks."""
        raise NotImplementedError


@dataclass
class Walk:
    """All that stands below some roots.

    Attributes:
        blocks: path → block, each block once, the roots included.
        holders: path → holder, each holder once.
        aliases: further path → first path, of blocks and holders.
    """

    blocks: dict[str, Node]
    holders: dict[str, Holder]
    aliases: dict[str, str]


def join(prefix: str, name: Any) -> str:
    return f"{prefix}.{name}" if prefix else str(name)


def members(node: Node) -> Iterator[tuple[str, Node | Holder]]:
    """The blocks and holders that stand directly on a block, with their names below it."""
    for name, value in node._kuai_stored():
        yield from _leaves(name, value)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Node | Holder]]:
    if isinstance(value, (Node, Holder)):
        yield path, value
    elif isinstance(value, tuple):
        names = getattr(value, "_fields", range(len(value)))
        for name, item in zip(names, tuple.__iter__(value), strict=True):
            yield from _leaves(join(path, name), item)
    elif isinstance(value, list):
        for index, item in enumerate(list.__iter__(value)):
            yield from _leaves(join(path, index), item)
    elif isinstance(value, dict):
        for key, item in dict.items(value):
            yield from _leaves(join(path, key), item)
    elif isinstance(value, (set, frozenset, deque)):
        _check_closed(path, value)


def _check_closed(path: str, container: Any) -> None:
    found = next((item for item in container if isinstance(item, (Node, Holder))), None)
    if found is not None:
        raise RegistrationError(
            f"{path}: a {type(container).__name__} cannot hold a {type(found).__name__}: it would "
            "not be registered; use a list, a tuple or a dict"
        )


def walk(root: Node, prefix: str = "") -> Walk:
    """Everything below `root`, with an explicit stack so that depth has no limit.

    Raises:
        RegistrationError: two different things have the same path.
    """
    found = Walk({}, {}, {})
    first: dict[int, str] = {}
    taken: set[str] = set()
    pending: list[tuple[str, Node | Holder]] = [(prefix, root)]
    while pending:
        path, item = pending.pop()
        if path in taken:
            raise RegistrationError(f"two members have the path {path!r}; rename one of them")
        taken.add(path)
        if id(item) in first:
            found.aliases[path] = first[id(item)]
            continue
        first[id(item)] = path
        if isinstance(item, Holder):
            found.holders[path] = item
        else:
            found.blocks[path] = item
            below = [(join(path, name), child) for name, child in members(item)]
            pending.extend(reversed(below))
    return found


def canonical(path: str, aliases: dict[str, str]) -> str:
    """The path under which a thing is listed, from one whose leading part may be an alias."""
    for _ in range(path.count(".") + 2):
        head = path
        while head and head not in aliases:
            head = head.rpartition(".")[0]
        if not head:
            return path
        path = (aliases[head] + path[len(head) :]).lstrip(".")
    return path


def selected(items: dict[str, Any], select: Any) -> list[tuple[str, Any]]:
    """The (path, thing) pairs that a selection admits."""
    return [(path, item) for path, item in items.items() if matches(select, path, item)]


def matches(select: Any, path: str, item: Any) -> bool:
    """Whether a glob, a regular expression, a type or a predicate (path, thing) admits a thing."""
    if select is None:
        return True
    if isinstance(select, str):
        return fnmatch.fnmatchcase(path, select)
    if isinstance(select, re.Pattern):
        return select.search(path) is not None
    if isinstance(select, (type, tuple)):
        return isinstance(item, select)
    if not callable(select):
        raise ArgumentError(
            "select: expected a glob, a compiled regular expression, a type or a function (path, "
            f"item), got {type(select).__name__} {select!r}"
        )
    return bool(select(path, item))


def nothing_selected(where: str, select: Any, paths: list[str]) -> str:
    """The message for a selection that selects nothing."""
    near = difflib.get_close_matches(str(select), paths, n=3) or paths[:5]
    return f"{where}: {select!r} selects no parameter; there are {', '.join(near) or 'none'}"


def path_of(root: Node, item: Node | Holder) -> str | None:
    """The path of a block or holder below `root`, or None."""
    found = walk(root)
    table: dict[str, Any] = found.holders if isinstance(item, Holder) else found.blocks
    return next((path for path, other in table.items() if other is item), None)


class Here(str):
    """A place in a tree whose words are found when a message takes it up: that walks the tree.

    Checks are handed it before they know whether they will complain. It is text to an f-string and
    to `str`, and to nothing else.
    """

    stack: tuple[Any, ...]

    def __str__(self) -> str:
        return _place_of(self.stack)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def here() -> Here:
    """Where this thread runs, for messages: "Net: encoder.0 (Dense)"."""
    place = Here()
    place.stack = context.stack
    return place


def _place_of(stack: tuple[Any, ...]) -> str:
    if not stack:
        return "outside any block"
    root, current = stack[0], stack[-1]
    if current is root:
        return type(root).__name__
    path = path_of(root, current)
    inner = type(current).__name__
    return (
        f"{type(root).__name__}: {path} ({inner})"
        if path is not None
        else f"{inner} in {type(root).__name__}"
    )


def fingerprint(roots: tuple[Node, ...]) -> tuple[list[Holder], list[Any]]:
    """The holders below `roots` in order, and tokens that stay the same while no forward changes.

    Blocks are held weakly, so that a fingerprint keeps no net alive.
    """
    holders: dict[Holder, int] = {}
    blocks: dict[int, int] = {}
    tokens: list[Any] = []
    pending: list[Any] = list(reversed(roots))
    while pending:
        value = pending.pop()
        if isinstance(value, Node):
            _block_tokens(value, blocks, tokens, pending)
        elif isinstance(value, Holder):
            home: Any = value
            rows: tuple[int, ...] = ()
            while home.row is not None:  # a program takes the stack that it stands in
                home, rows = home.row[0], (home.row[1], *rows)
            tokens += [
                holders.setdefault(home, len(holders)),
                rows,
                type(value),
                value.shape,
                str(value.dtype),
                value.trainable,
                weakref.ref(value),
                weakref.ref(home),
            ]
        elif isinstance(value, dict):
            tokens += [type(value), len(value), tuple(value)]
            pending.extend(reversed(list(dict.values(value))))
        elif isinstance(value, (list, tuple)):
            items = list(
                tuple.__iter__(value) if isinstance(value, tuple) else list.__iter__(value)
            )
            tokens += [type(value), len(items)]
            pending.extend(reversed(items))
        elif isinstance(value, (set, frozenset)):
            tokens.append(frozenset(value))
        else:
            tokens.append(value)
    return list(holders), tokens


def _block_tokens(block: Node, seen: dict[int, int], tokens: list[Any], pending: list[Any]) -> None:
    if id(block) in seen:
        tokens += [Node, seen[id(block)]]
        return
    seen[id(block)] = len(seen)
    tokens += [type(block), weakref.ref(block), *block._kuai_settings()]
    stored = list(block._kuai_stored())
    tokens.append(tuple(name for name, _ in stored))
    pending.extend(reversed([value for _, value in stored]))


def same_tokens(old: list[Any], new: list[Any]) -> bool:
    """Whether two fingerprints agree: scalars by value and type, everything else by identity."""
    return len(old) == len(new) and all(map(same_value, old, new))


def same_value(old: Any, new: Any) -> bool:
    """Whether two values are one for a program: scalars by value and type, the rest by identity."""
    if old is new:
        return True
    kind = type(old)
    if kind is not type(new):
        return False
    if kind is float:
        return bool(old.hex() == new.hex())  # 0.0 is not -0.0, and NaN is NaN
    return kind in _COMPARED and bool(old == new)


_COMPARED = (int, float, bool, str, bytes, complex, tuple, frozenset)
