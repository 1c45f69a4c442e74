"""The tree of a net as a list to walk: every block where it stands, shared ones marked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kuai.core.block import Block
from kuai.core.parameter import Constant, Holder, Parameter, State
from kuai.core.tree import join, members

_KINDS = ((Parameter, "parameter"), (Constant, "constant"), (State, "state"))


@dataclass(frozen=True)
class ArrayFact:
    """What there is to say of one array on a block.

    Attributes:
        name: of the attribute.
        kind: "parameter", "constant" or "state".
        shape: its sizes, None where one is not known yet.
        dtype: its name.
        item_bytes: the memory that one element takes.
        trainable: whether training changes it.
        shared_with: the path on which it stands first, where it is tied; else None.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]
    dtype: str
    item_bytes: int
    trainable: bool
    shared_with: str | None

    @property
    def size(self) -> int | None:
        """The number of elements, None where a size is unknown."""
        total = 1
        for size in self.shape:
            if size is None:
                return None
            total *= size
        return total

    @property
    def bytes(self) -> int | None:
        """The memory that its elements take, None where a size is unknown."""
        return None if self.size is None else self.size * self.item_bytes


@dataclass(eq=False)
class Entry:
    """A place in the tree.

    Attributes:
        path, name, depth: where it is; the net itself has path "" and depth 0.
        block: what stands there.
        shared_with: the path on which the block stands first, if that is another one.
        held: (name, holder, path on which the holder stands first if that is another one).
        children: the places below; none below a shared block, which is listed elsewhere.
    """

    path: str
    name: str
    depth: int
    block: Block
    shared_with: str | None = None
    held: list[tuple[str, Holder, str | None]] = field(default_factory=list)
    children: list[Entry] = field(default_factory=list)

    @property
    def class_name(self) -> str:
        """The name of the block's class."""
        return type(self.block).__name__

    def arrays(self) -> tuple[ArrayFact, ...]:
        """The arrays on this block as they are now, less those that are not saved with the net."""
        return tuple(_fact(*held) for held in self.held if getattr(held[1], "persistent", True))


def _fact(name: str, holder: Holder, shared_with: str | None) -> ArrayFact:
    return ArrayFact(
        name=name,
        kind=_kind(holder),
        shape=holder.shape,
        dtype=str(holder.dtype),
        item_bytes=holder.dtype.itemsize,
        trainable=holder.trainable,
        shared_with=shared_with,
    )


def _kind(holder: Holder) -> str:
    return next(word for kind, word in _KINDS if isinstance(holder, kind))


def outline(root: Block) -> list[Entry]:
    """Every place of the tree, a parent before its children, in the order of `core.tree.walk`.

    An explicit stack, so that depth has no limit; a cycle ends at its shared place.
    """
    entries: list[Entry] = []
    first: dict[int, str] = {}
    pending: list[tuple[Entry | None, str, Any]] = [(None, "", root)]
    while pending:
        parent, name, item = pending.pop()
        path = join(parent.path, name) if parent else name
        shared = first.get(id(item))
        first.setdefault(id(item), path)
        if isinstance(item, Holder):
            if parent is not None:
                parent.held.append((name, item, shared))
            continue
        entry = _placed(entries, parent, Entry(path, name, 0, item, shared))
        if shared is None:
            pending.extend(reversed([(entry, child, value) for child, value in members(item)]))
    return entries


def _placed(entries: list[Entry], parent: Entry | None, entry: Entry) -> Entry:
    entries.append(entry)
    if parent is not None:
        entry.depth = parent.depth + 1
        parent.children.append(entry)
    return entry
