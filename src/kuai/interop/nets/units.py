"""A net as the list of its layers, each with what another system calls its arrays.

Layers stand in the order of their arrays there. The names are those of the equivalent network: a
Dense with an activation in a `Sequential` is two modules of PyTorch and Paddle, for example.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from kuai.core.block import Block
from kuai.core.parameter import Holder, State
from kuai.core.sequential import Sequential
from kuai.core.tree import join, members
from kuai.interop.nets import keras_places
from kuai.interop.nets.parts import Part, same
from kuai.interop.nets.recurrent_schemas import keras_layer
from kuai.interop.nets.schemas import MEMBERS, Alternatives, schema_of
from kuai.nn.stacked import StackedCells

_SEPARATE_ACTIVATIONS = ("torch", "paddle")  # their layers take none


@dataclass(frozen=True)
class Unit:
    """A layer whose arrays are translated together.

    Args:
        path: ours.
        name: theirs, in the equivalent network.
        block: the layer.
        holders: path below the layer → holder.
        alternatives: lists of parts, the one that kuai writes first; none: this system has no such
            layer.
        is_plain: whether it is but an array that stands on a block of the user's.
    """

    path: str
    name: str
    block: Block
    holders: dict[str, Holder]
    alternatives: Alternatives
    is_plain: bool = False

    def __str__(self) -> str:
        kind = type(self.block).__name__
        return f"{self.path} ({kind})" if self.path else kind


def units(net: Block, system: str, *, again: bool = False, models: bool = False) -> list[Unit]:
    """The layers of a net that have arrays to save.

    Args:
        net: the net.
        system: whose names and layouts are wanted.
        again: whether a layer that stands in several places, or shares all its arrays with another,
            is listed at each of them, as the state of PyTorch is; default once.
        models: whether blocks of the user's inside the net are each a `Model` of Keras; default a
            `Layer`. The net itself is a model.
    """
    name = keras_places.root(net) if system == "keras" else ""
    return list(_Listing(system, again, models).below(net, "", name))


def with_ties_once(layers: list[Unit]) -> list[Unit] | None:
    """The layers as in a file that keeps a tied array at one of its layers; None: none are tied.

    Which of the layers has the array is left open here, and that one of them has it.
    """
    counts = Counter(id(holder) for unit in layers for holder in unit.holders.values())
    if max(counts.values(), default=1) == 1:
        return None

    def loose(unit: Unit, part: Part) -> Part:
        is_tied = bool(part.ours) and all(counts[id(unit.holders[p])] > 1 for p in part.ours)
        return replace(part, optional=part.optional or is_tied)

    return [
        replace(unit, alternatives=[[loose(unit, p) for p in parts] for parts in unit.alternatives])
        for unit in layers
    ]


class _Listing:
    """One walk over a net.

    Args:
        system: as for `units`.
        again: as for `units`.
        models: as for `units`.
    """

    def __init__(self, system: str, again: bool, models: bool) -> None:
        self.system, self.again, self.models = system, again, models
        self.seen: set[int] = set()
        self.above: list[Block] = []

    def below(
        self, block: Block, path: str, name: str, taken: frozenset[int] = frozenset()
    ) -> Iterator[Unit]:
        """The layers from a block on downwards, without the holders that a layer above has."""
        if any(block is outer for outer in self.above) or not self._is_new(block):
            return
        self.above.append(block)
        for unit in _of_schema(block, path, name, self.system):
            mine = {id(holder) for holder in unit.holders.values()}
            if not mine <= taken and self._are_new(mine):
                yield unit
            taken |= mine
        found = list(_members(block, self.system, is_model=self.models or not path))
        own = {
            member: item
            for member, _, item in found
            if isinstance(item, Holder) and id(item) not in taken
            if _is_saved(item) and self._is_new(item)
        }
        yield from _plain(block, path, name, own, self.system)
        for member, theirs, item in found:
            if not isinstance(item, Holder):
                yield from self.below(item, join(path, member), join(name, theirs), taken)
        self.above.pop()

    def _is_new(self, item: Block | Holder) -> bool:
        return self._are_new({id(item)})

    def _are_new(self, items: set[int]) -> bool:
        """Whether one of these was not met before; or any, where all places are wanted."""
        are_new = self.again or not items <= self.seen
        self.seen |= items
        return are_new


def _plain(
    block: Block, path: str, name: str, own: dict[str, Holder], system: str
) -> Iterator[Unit]:
    """Arrays that stand on a block of the user's: each by its name, but Keras numbers them."""
    alone = [own] if system == "keras" and own else [{member: own[member]} for member in own]
    for holders in alone:
        yield Unit(path, name, block, holders, [[same(m, m) for m in holders]], True)


def _of_schema(block: Block, path: str, name: str, system: str) -> Iterator[Unit]:
    schema = schema_of(block)
    if schema is None:
        return
    holders = dict(_holders(block))
    if system == "keras" and isinstance(block, StackedCells):
        for layer in range(block.layers):
            theirs = keras_places.following(name, layer)
            yield _unit(path, theirs, block, holders, keras_layer(block, layer))
        return
    found = schema(block, system)
    # A layer that a system has not, and that consists of others here, is those others there.
    if found or any(isinstance(item, Holder) for _, item in members(block)):
        yield _unit(path, name, block, holders, found)


def _unit(
    path: str, name: str, block: Block, holders: dict[str, Holder], found: Alternatives
) -> Unit:
    """With the parts whose arrays this layer has."""
    kept = [[part for part in parts if all(p in holders for p in part.ours)] for parts in found]
    ours = {p for parts in kept for part in parts for p in part.ours}
    mine = {p: holder for p, holder in holders.items() if p in ours or not found}
    return Unit(path, name, block, mine, kept)


def _holders(block: Block) -> Iterator[tuple[str, Holder]]:
    """Every holder below a block with its path, those of its members too."""
    for path, holder in block.named_holders():
        if _is_saved(holder):
            yield path, holder


def _members(block: Block, system: str, *, is_model: bool) -> Iterator[tuple[str, str, Any]]:
    """(path, their name, block or holder) of what stands on a block, in their order."""
    if system == "keras":
        yield from keras_places.placed_members(block, is_model=is_model)
        return
    renamed = MEMBERS.get((type(block), system))
    if renamed is not None:
        inner = {path: _at(block, path) for path in renamed}
        if all(isinstance(item, Block) for item in inner.values()):
            yield from ((path, renamed[path], item) for path, item in inner.items())
            return
    shift = 0
    for path, item in members(block):
        is_step = isinstance(block, Sequential) and path.isdecimal()
        yield path, str(int(path) + shift) if is_step else path, item
        if is_step and system in _SEPARATE_ACTIVATIONS and has_activation(item):
            shift += 1


def _at(block: Any, path: str) -> Any:
    for step in path.split("."):
        block = getattr(block, step, None)
    return block


def has_activation(block: Any) -> bool:
    """Whether a layer ends in an activation that is no layer of its own."""
    return getattr(block, "activation", None) is not None and schema_of(block) is not None


def _is_saved(holder: Holder) -> bool:
    return not (isinstance(holder, State) and not holder.persistent)
