"""Finding and replacing blocks by path."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from kuai.core.tree import Node, members, walk
from kuai.errors import ArgumentError, BlockLookupError


def get_block(root: Node, path: str) -> Node:
    """The block at `path` below `root`, by its first path or an alias."""
    found = walk(root)
    first = _canonical(path, found.aliases)
    if first in found.blocks:
        return found.blocks[first]
    near = difflib.get_close_matches(path, list(found.blocks), n=3) or list(found.blocks)[1:6]
    raise BlockLookupError(
        f"{type(root).__name__}: no block stands at {path!r}; near it are {', '.join(near) or 'none'}"
    )


def _canonical(path: str, aliases: dict[str, str]) -> str:
    """The first path of what stands at `path`, whose leading part may be an alias."""
    for _ in range(path.count(".") + 2):
        head = path
        while head and head not in aliases:
            head = head.rpartition(".")[0]
        if not head:
            return path
        path = (aliases[head] + path[len(head) :]).lstrip(".")
    return path


def replace(root: Node, path: str, new: Node | Callable[[Any], Any]) -> None:
    """Put `new`, or what it makes of the old block, at `path`."""
    old = get_block(root, path)
    if path == "":
        raise ArgumentError("replace: expected the path of a block below this one, got ''")
    block = new if isinstance(new, Node) else new(old)
    if not isinstance(block, Node):
        raise ArgumentError(f"replace {path!r}: expected a Block, got {type(block).__name__}")
    owner, rest = _owner(root, path)
    name, _, inner = rest.partition(".")
    stored = dict(owner.stored())
    setattr(owner, name, _with(stored[name], inner, block) if inner else block)


def _owner(root: Node, path: str) -> tuple[Node, str]:
    """The block that the last step of `path` starts from, and the path below it."""
    node, rest = root, path
    while True:
        for name, item in members(node):
            if isinstance(item, Node) and rest.startswith(f"{name}."):
                node, rest = item, rest[len(name) + 1 :]
                break
        else:
            return node, rest


def _with(container: Any, path: str, block: Node) -> Any:
    """`container` with `block` at `path`: changed in place, or rebuilt where it is a tuple."""
    key, _, rest = path.partition(".")
    if isinstance(container, dict):
        key = next(k for k in container if str(k) == key)
    elif not hasattr(container, "_fields"):
        key = int(key)  # type: ignore[assignment]  # an index
    if isinstance(container, tuple):
        return _with_in_tuple(container, key, rest, block)
    stored = dict.__getitem__(container, key) if isinstance(container, dict) else list.__getitem__(container, key)  # type: ignore[call-overload]  # an index
    container[key] = _with(stored, rest, block) if rest else block
    return container


def _with_in_tuple(container: tuple[Any, ...], key: Any, rest: str, block: Node) -> tuple[Any, ...]:
    names = list(getattr(container, "_fields", range(len(container))))
    items = list(container)
    place = names.index(key)
    items[place] = _with(items[place], rest, block) if rest else block
    make = getattr(type(container), "_make", None)
    return make(items) if make else tuple(items)

