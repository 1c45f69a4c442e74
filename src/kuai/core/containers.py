"""Blocks that hold other blocks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.parameter import Holder
from kuai.core.tree import here, walk
from kuai.errors import ArgumentError, RegistrationError


class Lambda(Block):
    """A function of arrays as a block.

    Args:
        function: takes the inputs, returns the output.

    Example:
        >>> nn.Lambda(jnp.square)(jnp.array(3.0))
        Array(9., dtype=float32, weak_type=True)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        if not callable(function):
            raise ArgumentError(f"Lambda: expected a function, got {type(function).__name__}")
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


class Identity(Block):
    """Returns its input; several inputs as a tuple.

    Example:
        >>> nn.Identity()(jnp.array(1.0))
        Array(1., dtype=float32, weak_type=True)
    """

    def forward(self, *inputs: Any) -> Any:
        return inputs[0] if len(inputs) == 1 else inputs


def as_block(step: Any, where: str) -> Block:
    """A block as it is, a function as a `Lambda`.

    Raises:
        RegistrationError: `step` is neither.
    """
    if isinstance(step, Block):
        return step
    if isinstance(step, type) and issubclass(step, Block):
        raise RegistrationError(f"{where}: expected a block, got the class {step.__name__}; write {step.__name__}(...)")
    if callable(step):
        return Lambda(step)
    raise RegistrationError(f"{where}: expected a block or a function, got {type(step).__name__} {step!r}")


class _Collection(Block):
    """An ordered collection of blocks with names; unnamed ones are named by their position."""

    _names: list[str | None]
    _blocks: list[Block]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        collection = super().__new__(cls, *args, **kwargs)
        collection._names, collection._blocks = [], []
        return collection

    def __init__(self, *blocks: Any) -> None:
        super().__init__()
        for item in _spread(blocks):
            self._insert(len(self._blocks), item)

    def _insert(self, index: int, item: Any) -> None:
        where = type(self).__name__
        name, step = item if _is_pair(item) else (None, item)
        block = as_block(step, where)
        if name is not None:
            _check_free(where, name, self.names())
        self._names.insert(index, name)
        self._blocks.insert(index, block)

    def names(self) -> list[str]:
        """The name of each block: its own, or its position."""
        return [str(i) if name is None else name for i, name in enumerate(self._names)]

    def _kuai_stored(self) -> Iterator[tuple[str, Any]]:
        for name, value in super()._kuai_stored():
            if name not in ("_names", "_blocks"):
                yield name, value
        yield from zip(self.names(), list.__iter__(self._blocks), strict=True)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_names", "_blocks") or name not in self.names():
            super().__setattr__(name, value)
        else:
            self[name] = value

    def __getattr__(self, name: str) -> Any:
        blocks = self.__dict__.get("_blocks")
        if blocks is not None and name in self.names():
            return blocks[self.names().index(name)]
        return super().__getattr__(name)

    def _index(self, key: int | str) -> int:
        if isinstance(key, str):
            if key not in self.names():
                raise KeyError(f"{type(self).__name__} has no block {key!r}; it has {', '.join(self.names())}")
            return self.names().index(key)
        if not -len(self) <= key < len(self):
            raise IndexError(f"{type(self).__name__}: index {key} is out of range for {len(self)} blocks")
        return key % len(self)

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._blocks)

    def __contains__(self, block: object) -> bool:
        return any(block is own for own in self._blocks)

    def __delitem__(self, key: int | str) -> None:
        index = self._index(key)
        del self._names[index]
        del self._blocks[index]

    def __setitem__(self, key: int | str, block: Any) -> None:
        self._blocks[self._index(key)] = as_block(block, type(self).__name__)

    def _kuai_parts(self) -> list[str]:
        texts = [repr(b) if n is None else repr((n, b)) for n, b in zip(self._names, self._blocks, strict=True)]
        return _with_counts(texts)


class BlockList(_Collection):
    """A list of blocks that one calls oneself. A plain list on a block does as well.

    Args:
        blocks: blocks or functions, `(name, block)` pairs, or one iterable or dict of them.

    Example:
        >>> layers = nn.BlockList([nn.Dense(2), nn.Dense(1)])
        >>> len(layers), layers[-1]
        (2, Dense(1))
    """

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            pairs = list(zip(self._names, self._blocks, strict=True))[key]
            return type(self)(*[block if name is None else (name, block) for name, block in pairs])
        return self._blocks[self._index(key)]

    def append(self, block: Any) -> BlockList:
        """Add a block at the end; return this block."""
        self._insert(len(self), block)
        return self

    def add(self, *blocks: Any) -> BlockList:
        """Add blocks at the end; return this block."""
        for block in blocks:
            self._insert(len(self), block)
        return self

    def extend(self, blocks: Iterable[Any]) -> BlockList:
        """Add the blocks of an iterable at the end; return this block."""
        return self.add(*blocks)

    def insert(self, index: int, block: Any) -> BlockList:
        """Add a block before `index`; return this block."""
        self._insert(index, block)
        return self

    def pop(self, key: int | str = -1) -> Block:
        """Remove a block and return it."""
        block = self[self._index(key)]
        del self[key]
        return block  # type: ignore[no-any-return]

    def index(self, block: Block) -> int:
        """The position of a block.

        Raises:
            ValueError: it is not here.
        """
        for index, own in enumerate(self._blocks):
            if own is block:
                return index
        raise ValueError(f"{type(block).__name__} is not in this {type(self).__name__}")

    def __add__(self, other: Iterable[Any]) -> BlockList:
        pairs = [b if n is None else (n, b) for n, b in zip(self._names, self._blocks, strict=True)]
        return type(self)(*pairs, *other)

    def __iadd__(self, other: Iterable[Any]) -> BlockList:
        return self.extend(other)


class Sequential(BlockList):
    """Blocks called one after the other, each on the output of the one before.

    A tuple that a block returns is passed on as positional arguments.

    Args:
        blocks: blocks or plain functions, `(name, block)` pairs, or one list or dict of them.

    Shape:
        That of the first block's input → that of the last block's output.

    Raises:
        RegistrationError: something is neither a block nor a function, or a name stands twice.

    Example:
        >>> net = nn.Sequential(nn.Dense(256, activation="relu"), nn.Dense(10))
        >>> net(jnp.ones((2, 20))).shape
        (2, 10)
        >>> nn.Sequential({"hidden": nn.Dense(4), "out": nn.Dense(1)}).hidden
        Dense(4)

    Reference:
        Zhang et al., "Dive into Deep Learning", section "Layers and Modules".
    """

    def forward(self, *inputs: Any) -> Any:
        value: Any = inputs if len(inputs) != 1 else inputs[0]
        for block in self._blocks:
            value = block(*value) if isinstance(value, tuple) else block(value)
        return value


class BlockDict(_Collection):
    """A dict of blocks that one calls oneself. A plain dict on a block does as well.

    Args:
        blocks: a dict, or `(name, block)` pairs.

    Example:
        >>> heads = nn.BlockDict({"mean": nn.Dense(1), "scale": nn.Dense(1)})
        >>> list(heads), heads["mean"]
        (['mean', 'scale'], Dense(1))
    """

    def __getitem__(self, name: str) -> Block:
        return self._blocks[self._index(name)]  # type: ignore[no-any-return]

    def __setitem__(self, name: Any, block: Any) -> None:
        if name in self.names():
            super().__setitem__(name, block)
        else:
            self._insert(len(self), (name, block))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def keys(self) -> list[str]:
        """The names."""
        return self.names()

    def values(self) -> list[Block]:
        """The blocks."""
        return list(self._blocks)

    def items(self) -> list[tuple[str, Block]]:
        """The (name, block) pairs."""
        return list(zip(self.names(), self._blocks, strict=True))

    def update(self, other: Mapping[str, Any]) -> None:
        """Set several blocks."""
        for name, block in other.items():
            self[name] = block

    def pop(self, name: str) -> Block:
        """Remove a block and return it."""
        block = self[name]
        del self[name]
        return block


Join = Literal["concat", "sum", "stack"]


class Parallel(BlockList):
    """Blocks called on the same inputs, their outputs joined.

    Args:
        blocks: as for `Sequential`.
        join: "concat" along `axis`, "sum", "stack" along a new `axis`, or a function of the outputs.
        axis: of concat and stack; default -1.

    Shape:
        What every block takes → their outputs joined.

    Raises:
        ArgumentError: `join` is none of these, or there is no block when called.

    Example:
        >>> nn.Parallel(nn.Dense(2), nn.Dense(3))(jnp.ones((4, 5))).shape
        (4, 5)
        >>> nn.Parallel(nn.Dense(2), nn.Dense(2), join="sum")(jnp.ones((4, 5))).shape
        (4, 2)
    """

    def __init__(self, *blocks: Any, join: Join | Callable[..., Any] = "concat", axis: int = -1) -> None:
        if not callable(join) and join not in ("concat", "sum", "stack"):
            raise ArgumentError(f"Parallel: expected join 'concat', 'sum', 'stack' or a function, got {join!r}")
        super().__init__(*blocks)
        self.join = join
        self.axis = axis

    def forward(self, *inputs: Any) -> Any:
        outputs = [block(*inputs) for block in self._blocks]
        if not outputs:
            raise ArgumentError(f"{here()}: expected at least one block, got none; add one")
        if callable(self.join):
            return self.join(*outputs)
        if self.join == "concat":
            return jnp.concatenate(outputs, self.axis)
        return sum(outputs[1:], outputs[0]) if self.join == "sum" else jnp.stack(outputs, self.axis)

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(key, slice):
            found.join, found.axis = self.join, self.axis
        return found

    def _kuai_parts(self) -> list[str]:
        join = [] if self.join == "concat" else [f"join={getattr(self.join, '__name__', repr(self.join)) if callable(self.join) else repr(self.join)}"]
        axis = [] if self.axis == -1 else [f"axis={self.axis}"]
        return [*super()._kuai_parts(), *join, *axis]


class Residual(Block):
    """A block with its input added: y = x + block(x).

    Args:
        block: keeps the shape of its input; several are a `Sequential`.

    Shape:
        Any → the same.

    Example:
        >>> nn.Residual(nn.Lambda(jnp.square))(jnp.array([3.0]))
        Array([12.], dtype=float32)

    Reference:
        He et al., "Deep residual learning for image recognition" (2015).
    """

    def __init__(self, *blocks: Any) -> None:
        super().__init__()
        self.block = as_block(blocks[0], "Residual") if len(blocks) == 1 else Sequential(*blocks)

    def forward(self, x: Any) -> Any:
        return x + self.block(x)

    def _kuai_parts(self) -> list[str]:
        return [repr(self.block)]


def replicate(block: Block, n: int, *, share: bool = False) -> Sequential:
    """Many instances of one block, one after the other.

    Args:
        block: the pattern. It is not among the instances, unless `share`.
        n: how many, at least 1.
        share: True: the same block n times, one set of parameters. False: instances of their own,
            whose values are made anew, independently.

    Returns:
        A `Sequential` of them.

    Raises:
        ArgumentError: `n` is not a positive integer.

    Example:
        >>> net = kuai.replicate(nn.Dense(4), 3)
        >>> len(net.parameters()), len(kuai.replicate(nn.Dense(4), 3, share=True).parameters())
        (6, 2)
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ArgumentError(f"replicate: expected a number of instances of at least 1, got {n!r}")
    if share:
        return Sequential(*[block] * n)
    return Sequential(*[_fresh(block) for _ in range(n)])


def _fresh(block: Block) -> Block:
    """A copy whose made values will be made anew."""
    twin = copy.deepcopy(block)
    for holder in walk(twin).holders.values():
        _forget(holder)
    return twin


def _forget(holder: Holder) -> None:
    if holder.made:
        holder.clear()
        holder.birth = None


def _spread(blocks: tuple[Any, ...]) -> Iterable[Any]:
    """The items of what a container was given: one dict or iterable stands for its items."""
    if len(blocks) != 1 or isinstance(blocks[0], Block) or _is_pair(blocks[0]):
        return blocks
    only = blocks[0]
    if isinstance(only, Mapping):
        return only.items()
    return list(only) if isinstance(only, Iterable) and not isinstance(only, str) else blocks


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def _check_free(where: str, name: str, taken: list[str]) -> None:
    if name in taken:
        raise RegistrationError(f"{where}: expected a new name, got {name!r}, which stands already; choose another")
    if not name or "." in name or name.isdigit():
        raise RegistrationError(f"{where}: expected a name without dots that is not a number, got {name!r}")
    if hasattr(Sequential, name):
        raise RegistrationError(f"{where}: {name!r} is a method of a container; choose another name")


def _with_counts(texts: list[str]) -> list[str]:
    """Runs of four or more equal lines told once, with their number."""
    shown: list[str] = []
    start = 0
    for index in range(1, len(texts) + 1):
        if index < len(texts) and texts[index] == texts[start]:
            continue
        run = index - start
        shown += [f"{run} × {texts[start]}"] if run > 3 else texts[start:index]
        start = index
    return shown
