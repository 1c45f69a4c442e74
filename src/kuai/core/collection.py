"""An ordered collection of blocks, each with a name: what lists and dicts of blocks share.

The blocks are one list of (name, block) pairs, so that every change is one step that another thread
sees whole. A block without a name of its own is named by its position.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from kuai.core.block import Block
from kuai.core.representation import with_counts
from kuai.core.steps import as_block
from kuai.errors import NoBlockAtIndexError, NoBlockNamedError, RegistrationError

Pair = tuple[str | None, Block]


class Collection(Block):
    """An ordered collection of blocks with names."""

    _kuai_steps: list[Pair]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        collection = super().__new__(cls, *args, **kwargs)
        collection._kuai_steps = []
        return collection

    def __init__(self, *blocks: Any) -> None:
        super().__init__()
        self._kuai_steps = self._kuai_admitted(spread(blocks))

    def _kuai_admitted(self, items: Iterable[Any]) -> list[Pair]:
        """Items as pairs whose names are free here, or an error before anything changes."""
        where = type(self).__name__
        pairs: list[Pair] = []
        taken = {name for name, _ in self._kuai_stored()}
        for item in items:
            name, step = item if is_pair(item) else (None, item)
            if name is not None:
                _check_free(type(self), name, taken)
                taken.add(name)
            pairs.append((name, as_block(step, where)))
        return pairs

    def _kuai_insert(self, index: int, items: Iterable[Any]) -> None:
        self._kuai_steps[index:index] = self._kuai_admitted(items)

    def _kuai_pairs(self) -> list[Pair]:
        return list(list.__iter__(self._kuai_steps))

    def _kuai_blocks(self) -> list[Block]:
        return [block for _, block in list.__iter__(self._kuai_steps)]

    def names(self) -> list[str]:
        """The name of each block: its own, or its position.

        Example:
            >>> nn.BlockList(nn.Dense(2), ("out", nn.Dense(1))).names()
            ['0', 'out']
        """
        return [str(i) if name is None else name for i, (name, _) in enumerate(self._kuai_pairs())]

    def _kuai_stored(self) -> Iterator[tuple[str, Any]]:
        for name, value in super()._kuai_stored():
            if name != "_kuai_steps":
                yield name, value
        pairs = self._kuai_pairs()
        yield from ((str(i) if name is None else name, b) for i, (name, b) in enumerate(pairs))

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "_kuai_steps" and name in self.names():
            self[name] = value
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        steps = self.__dict__.get("_kuai_steps", [])
        for index, (own, block) in enumerate(list.__iter__(steps)):
            if name == (str(index) if own is None else own):
                return block
        return super().__getattr__(name)

    def __delattr__(self, name: str) -> None:
        if name in self.names():
            del self[name]
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.names()})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_kuai_steps": type(self._kuai_steps)(self._kuai_pairs())}

    def _kuai_index(self, key: Any) -> int:
        where = type(self).__name__
        if isinstance(key, str):
            names = self.names()
            if key not in names:
                known = ", ".join(names) or "none"
                raise NoBlockNamedError(f"{where} has no block {key!r}; it has {known}")
            return names.index(key)
        if not -len(self) <= key < len(self):
            raise NoBlockAtIndexError(
                f"{where}: index {key} is out of range for {len(self)} blocks"
            )
        return int(key) % len(self)

    def __len__(self) -> int:
        return len(self._kuai_steps)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._kuai_blocks())

    def __contains__(self, block: object) -> bool:
        return any(block is own for own in self._kuai_blocks())

    def __delitem__(self, key: Any) -> None:
        del self._kuai_steps[key if isinstance(key, slice) else self._kuai_index(key)]

    def __setitem__(self, key: int | str, block: Any) -> None:
        index = self._kuai_index(key)
        name = self._kuai_pairs()[index][0]
        self._kuai_steps[index] = (name, as_block(block, type(self).__name__))

    def _kuai_options(self) -> dict[str, Any]:
        """Keyword arguments of the constructor beside the blocks."""
        return {}

    def _kuai_like(self, pairs: Iterable[Any]) -> Self:
        """A container of the same kind and options; of kuai's own kind where `__init__` differs."""
        kind: Any = type(self)
        if not kind.__init__.__module__.startswith("kuai.core."):
            kind = next(base for base in kind.__mro__ if base.__module__.startswith("kuai.core."))
        return kind(
            *[block if n is None else (n, block) for n, block in pairs], **self._kuai_options()
        )

    def _kuai_parts(self) -> list[str]:
        pairs = self._kuai_pairs()
        options = [f"{name}={value}" for name, value in self._kuai_shown_options().items()]
        return [*with_counts([repr(b) if n is None else repr((n, b)) for n, b in pairs]), *options]

    def _kuai_shown_options(self) -> dict[str, str]:
        return {}


def spread(blocks: tuple[Any, ...]) -> Iterable[Any]:
    """The items of what a container was given: one dict or iterable stands for its items."""
    if len(blocks) != 1 or isinstance(blocks[0], Block) or is_pair(blocks[0]):
        return blocks
    only = blocks[0]
    if isinstance(only, Mapping):
        return only.items()
    return list(only) if isinstance(only, Iterable) and not isinstance(only, str) else blocks


def items_of(blocks: Any) -> Iterable[Any]:
    """The items of an iterable of blocks, with the names of a dict or of another container."""
    if isinstance(blocks, Collection):
        return [block if name is None else (name, block) for name, block in blocks._kuai_pairs()]
    if isinstance(blocks, Mapping):
        return blocks.items()
    if isinstance(blocks, (Block, str)) or not isinstance(blocks, Iterable):
        raise RegistrationError(
            f"expected a list or another container of blocks, got {type(blocks).__name__}; add one "
            "block by append(block)"
        )
    return list(blocks)


def is_pair(item: Any) -> bool:
    """Whether an item is a (name, block) pair."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def _check_free(kind: type, name: str, taken: set[str]) -> None:
    where = kind.__name__
    if name in taken:
        raise RegistrationError(
            f"{where}: expected a new name, got {name!r}, which stands already; choose another"
        )
    if not name or "." in name or name.isdigit():
        raise RegistrationError(
            f"{where}: expected a name without dots that is not a number, got {name!r}; rename it"
        )
    if hasattr(kind, name):
        raise RegistrationError(
            f"{where}: {name!r} is a method or attribute of {where} itself; choose another name"
        )
