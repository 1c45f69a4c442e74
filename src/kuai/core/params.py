"""`block.params`: the holders behind the arrays that a block's attributes read as."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from kuai.core.parameter import Holder
from kuai.core.tree import Node, canonical, members, walk
from kuai.errors import BlockLookupError


class Params:
    """The holders that stand directly on a block: `block.params.weight`.

    Those further down are had by path: `net.params["0.weight"]`.

    Example:
        >>> nn.Dense(2).params.weight
        Parameter(shape=(None, 2), dtype=float32)
        >>> nn.Sequential(nn.Dense(2)).params["0.bias"]
        Parameter(shape=(2,), dtype=float32, init=zeros())
    """

    __slots__ = ("_block",)

    def __init__(self, block: Node) -> None:
        object.__setattr__(self, "_block", block)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._own()
        if name in found:
            return found[name]
        if any(path.startswith(f"{name}.") for path in found):
            return _holders_of(dict(self._block._kuai_stored())[name])
        known = ", ".join(found) or "none; those of the blocks below are params['path']"
        raise AttributeError(
            f"{type(self._block).__name__} has no parameter {name!r}; it has {known}"
        )

    def __getitem__(self, path: str) -> Holder:
        found = walk(self._block)
        first = canonical(path, found.aliases)
        if first in found.holders:
            return found.holders[first]
        near = difflib.get_close_matches(path, found.holders, n=3) or list(found.holders)[:5]
        raise BlockLookupError(
            f"{type(self._block).__name__}: no parameter stands at {path!r}; near it are "
            f"{', '.join(near) or 'none'}"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._block, name, value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._own())

    def __len__(self) -> int:
        return len(self._own())

    def __contains__(self, name: object) -> bool:
        return name in self._own()

    def __dir__(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"Params({', '.join(f'{name}={item!r}' for name, item in self._own().items())})"

    def _own(self) -> dict[str, Holder]:
        return {path: item for path, item in members(self._block) if isinstance(item, Holder)}


def _holders_of(value: Any) -> Any:
    """A stored container as a plain one of holders."""
    if isinstance(value, dict):
        return {key: _holders_of(item) for key, item in dict.items(value)}
    if isinstance(value, list):
        return [_holders_of(item) for item in list.__iter__(value)]
    return value
