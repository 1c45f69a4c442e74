"""`BlockList` and `BlockDict`: blocks in a list or a dict, which one calls oneself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from kuai.core.block import Block
from kuai.core.collection import Collection, items_of
from kuai.core.steps import as_block
from kuai.errors import ArgumentError, BlockLookupError, RegistrationError


class BlockList(Collection):
    """A list of blocks that one calls oneself. A plain list on a block does as well.

    Args:
        blocks: blocks or functions, `(name, block)` pairs, or one iterable or dict of them.

    Shape:
        None of its own: it is not called, its blocks are.

    Raises:
        ForwardNotDefinedError: it is called.
        RegistrationError: something is neither a block nor a function, or a name cannot be had.

    Example:
        >>> layers = nn.BlockList([nn.Dense(2), nn.Dense(1)])
        >>> len(layers), layers[-1], layers[:1]
        (2, Dense(1), BlockList(Dense(2)))
    """

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self._kuai_like(self._kuai_pairs()[key])
        return self._kuai_blocks()[self._kuai_index(key)]

    def __setitem__(self, key: Any, block: Any) -> None:
        if not isinstance(key, slice):
            super().__setitem__(key, block)
            return
        where = type(self).__name__
        self._kuai_steps[key] = [(None, as_block(step, where)) for step in block]

    def append(self, block: Any) -> Self:
        """Add a block at the end.

        Args:
            block: a block, a function, or a `(name, block)` pair.

        Returns:
            This container.

        Raises:
            RegistrationError: it is none of these, or the name cannot be had.

        Example:
            >>> nn.Sequential(nn.Dense(2)).append(nn.Dense(1))
            Sequential(Dense(2), Dense(1))
        """
        self._kuai_insert(len(self), [block])
        return self

    def add(self, *blocks: Any) -> Self:
        """Add blocks at the end, all of them or none.

        Args:
            blocks: each as in `append`.

        Returns:
            This container.

        Raises:
            RegistrationError: one cannot be added; nothing has changed.

        Example:
            >>> nn.Sequential().add(nn.Dense(2), nn.relu)
            Sequential(Dense(2), Lambda(relu))
        """
        self._kuai_insert(len(self), blocks)
        return self

    def extend(self, blocks: Any) -> Self:
        """Add the blocks of a list, a dict or another container at the end, names included.

        Args:
            blocks: an iterable of what `append` takes, or a dict name → block.

        Returns:
            This container.

        Raises:
            RegistrationError: one cannot be added; nothing has changed.

        Example:
            >>> nn.Sequential(nn.Dense(2)).extend({"out": nn.Dense(1)}).out
            Dense(1)
        """
        self._kuai_insert(len(self), items_of(blocks))
        return self

    def insert(self, index: int, block: Any) -> Self:
        """Add a block before an index, as `list.insert` does.

        Args:
            index: may be negative; past the ends it is the end.
            block: as in `append`.

        Returns:
            This container.

        Raises:
            RegistrationError: it cannot be added.

        Example:
            >>> nn.Sequential(nn.Dense(1)).insert(0, nn.Flatten())
            Sequential(Flatten(), Dense(1))
        """
        self._kuai_insert(index, [block])
        return self

    def pop(self, key: int | str = -1) -> Block:
        """Remove a block and return it.

        Args:
            key: its position or name; default the last.

        Raises:
            BlockLookupError: nothing stands there (also an IndexError or KeyError).

        Example:
            >>> net = nn.Sequential(nn.Dense(2), nn.Dense(1))
            >>> net.pop(), net
            (Dense(1), Sequential(Dense(2)))
        """
        index = self._kuai_index(key)
        block = self._kuai_blocks()[index]
        del self[index]
        return block

    def index(self, block: Block) -> int:
        """The first position of a block.

        Args:
            block: told by identity.

        Raises:
            ValueError: it is not here, as `list.index` says it.

        Example:
            >>> last = nn.Dense(1)
            >>> nn.Sequential(nn.Dense(2), last).index(last)
            1
        """
        for index, own in enumerate(self._kuai_blocks()):
            if own is block:
                return index
        raise ArgumentError(f"{type(block).__name__} is not in this {type(self).__name__}")

    def __add__(self, other: Any) -> Self:
        return self._kuai_like(self._kuai_pairs()).extend(other)

    def __iadd__(self, other: Any) -> Self:
        return self.extend(other)


class BlockDict(Collection):
    """A dict of blocks that one calls oneself. A plain dict on a block does as well.

    Args:
        blocks: a dict, or `(name, block)` pairs.

    Shape:
        None of its own: it is not called, its blocks are.

    Raises:
        ForwardNotDefinedError: it is called.
        RegistrationError: a block has no name, or a name cannot be had.

    Example:
        >>> heads = nn.BlockDict({"mean": nn.Dense(1), "scale": nn.Dense(1)})
        >>> list(heads), heads["mean"]
        (['mean', 'scale'], Dense(1))
    """

    def __init__(self, *blocks: Any) -> None:
        super().__init__(*blocks)
        if any(name is None for name, _ in self._kuai_pairs()):
            raise RegistrationError(
                f"{type(self).__name__}: expected a dict or (name, block) pairs, got a block "
                "without a name; use nn.BlockList for those"
            )

    def __getitem__(self, name: str) -> Block:
        return self._kuai_blocks()[self._kuai_named(name)]

    def __setitem__(self, name: Any, block: Any) -> None:
        self.update({name: block})

    def __delitem__(self, name: Any) -> None:
        super().__delitem__(self._kuai_named(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def _kuai_named(self, name: Any) -> int:
        if not isinstance(name, str):
            raise BlockLookupError(
                f"{type(self).__name__}: expected the name of a block, got {name!r}; it has "
                f"{', '.join(self.names()) or 'none'}"
            )
        return self._kuai_index(name)

    def keys(self) -> list[str]:
        """The names, as `names()` gives them.

        Example:
            >>> nn.BlockDict({"mean": nn.Dense(1)}).keys()
            ['mean']
        """
        return self.names()

    def values(self) -> list[Block]:
        """The blocks.

        Example:
            >>> nn.BlockDict({"mean": nn.Dense(1)}).values()
            [Dense(1)]
        """
        return self._kuai_blocks()

    def items(self) -> list[tuple[str, Block]]:
        """The (name, block) pairs.

        Example:
            >>> nn.BlockDict({"mean": nn.Dense(1)}).items()
            [('mean', Dense(1))]
        """
        return list(zip(self.names(), self._kuai_blocks(), strict=True))

    def get(self, name: str, default: Any = None) -> Any:
        """The block of a name, or `default` where there is none.

        Example:
            >>> nn.BlockDict({"mean": nn.Dense(1)}).get("scale", 0)
            0
        """
        return dict(self.items()).get(name, default)

    def update(self, other: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Set several blocks, all of them or none.

        Args:
            other: a dict name → block, or pairs.

        Raises:
            RegistrationError: one cannot be set; nothing has changed.

        Example:
            >>> heads = nn.BlockDict({"mean": nn.Dense(1)})
            >>> heads.update({"mean": nn.Dense(2), "scale": nn.Dense(3)})
            >>> heads
            BlockDict(('mean', Dense(2)), ('scale', Dense(3)))
        """
        given = dict(other.items() if isinstance(other, (Mapping, BlockDict)) else other)
        known = self.names()
        fresh = {name: given[name] for name in given if name not in known}
        added = self._kuai_admitted([(str(name), step) for name, step in fresh.items()])
        replaced = {n: as_block(given[n], type(self).__name__) for n in given if n in known}
        kept = [(name, replaced.get(str(name), block)) for name, block in self._kuai_pairs()]
        self._kuai_steps[:] = [*kept, *added]

    def pop(self, name: str) -> Block:
        """Remove a block and return it.

        Args:
            name: of the block.

        Raises:
            BlockLookupError: there is none of that name (also a KeyError).

        Example:
            >>> heads = nn.BlockDict({"mean": nn.Dense(1)})
            >>> heads.pop("mean"), len(heads)
            (Dense(1), 0)
        """
        block = self[name]
        del self[name]
        return block
