"""Finding and replacing blocks by path."""

from __future__ import annotations

import difflib
from typing import Any

from kuai.core.stored import rebuilt
from kuai.core.tree import Node, canonical, members, walk
from kuai.errors import ArgumentError, BlockLookupError


def get_block(root: Node, path: str) -> Any:
    """The block at `path` below `root`, by its first path or an alias."""
    found = walk(root)
    first = canonical(path, found.aliases)
    if first in found.blocks:
        return found.blocks[first]
    near = difflib.get_close_matches(path, list(found.blocks), n=3) or list(found.blocks)[1:6]
    raise BlockLookupError(
        f"{type(root).__name__}: no block stands at {path!r}; near it are "
        f"{', '.join(near) or 'none'}"
    )


def replace(root: Node, path: str, new: Any) -> None:
    """Put `new`, a block or what a function makes of the old one, at `path`."""
    old = get_block(root, path)
    if path == "":
        raise ArgumentError("replace: expected the path of a block below this one, got ''")
    if not isinstance(new, Node) and not callable(new):
        kind = type(new).__name__
        raise ArgumentError(f"replace {path!r}: expected a Block or a function, got {kind}")
    block = new if isinstance(new, Node) else new(old)
    if not isinstance(block, Node):
        raise ArgumentError(f"replace {path!r}: expected a Block, got {type(block).__name__}")
    owner, rest = _owner(root, path)
    name, _, inner = rest.partition(".")
    if not inner:
        setattr(owner, name, block)
        return
    container = dict(owner._kuai_stored())[name]
    changed = _with(container, inner, block)
    if changed is not container:
        setattr(owner, name, changed)


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
    step, _, rest = path.partition(".")
    key = _key(container, step)
    stored = _base(container).__getitem__(container, key)
    new = _with(stored, rest, block) if rest else block
    if isinstance(container, tuple):
        return rebuilt(container, [new if i == key else x for i, x in enumerate(_raw(container))])
    if new is not stored:
        container[key] = new
    return container


def _base(container: Any) -> Any:
    """The class whose methods give items as they are stored."""
    return next(kind for kind in (dict, list, tuple) if isinstance(container, kind))


def _raw(container: tuple[Any, ...]) -> list[Any]:
    return list(tuple.__iter__(container))


def _key(container: Any, step: str) -> Any:
    """The key or index that a step of a path stands for."""
    if isinstance(container, dict):
        return next(key for key in container if str(key) == step)
    names = getattr(container, "_fields", None)
    return names.index(step) if names else int(step)
