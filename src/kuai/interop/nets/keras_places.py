"""Where Keras 3 puts the layers of the equivalent model in a `.weights.h5`.

A `Sequential` counts its layers by class: `layers/dense`, `layers/dense_1`. A layer's members have
the names of their attributes, those in lists and dicts again by class. A model of one's own is read
in the order of letters, and its property `layers` is met on the way: what comes after it by letter
stands there, counted by class among all members. Whether a block inside the net is a `Layer` there
or a `Model`, the net does not tell: `save` takes it for a `Layer`, and `load` tries both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from kuai import nn
from kuai.core.lists import BlockDict, BlockList
from kuai.core.parameter import Holder, Parameter
from kuai.core.sequential import Sequential
from kuai.core.tree import join, members
from kuai.interop.nets.schemas import schema_of
from kuai.interop.readers.keras_names import snake_case
from kuai.nn.stacked import StackedCells

_KINDS = {
    nn.BatchNorm: "batch_normalization",
    nn.LayerNorm: "layer_normalization",
    nn.GroupNorm: "group_normalization",
    nn.InstanceNorm: "group_normalization",  # with as many groups as features
    nn.RMSNorm: "rms_normalization",
    nn.PReLU: "p_re_lu",
    nn.RNN: "simple_rnn",
    nn.RNNCell: "simple_rnn_cell",
    nn.Dense: "dense",
    nn.ConvTranspose1d: "conv1d_transpose",
    nn.ConvTranspose2d: "conv2d_transpose",
    nn.ConvTranspose3d: "conv3d_transpose",
}


def root(block: Any) -> str:
    """The place of a net that is itself a layer, in a `Sequential` of it alone."""
    return f"layers.{kind_of(block)}" if schema_of(block) is not None else ""


def placed_members(block: Any, *, is_model: bool) -> Iterator[tuple[str, str, Any]]:
    """(path, place, member) of what stands on a block, in the order in which Keras writes it."""
    found = list(members(block))
    if isinstance(block, Sequential):
        yield from _counted("layers", found, Counter())
    elif isinstance(block, (BlockList, BlockDict)):
        yield from _counted("", found, Counter())
    else:
        own = [(path, path, item) for path, item in found if isinstance(item, Holder)]
        yield from sorted(own, key=lambda held: not isinstance(held[2], Parameter))
        layers = [member for member in found if not isinstance(member[1], Holder)]
        yield from _attributes(layers, is_model=is_model)


def _attributes(found: list[Any], *, is_model: bool) -> Iterator[tuple[str, str, Any]]:
    """The layers on a block by attribute, but those that a model lists by class before."""
    among_all: Counter[str] = Counter()
    placed, listed = [], []
    for attribute, items in _by_attribute(found):
        in_layers = list(_counted("layers", items, among_all))
        if is_model and _by_letter(attribute) >= "layers":
            listed += in_layers
        elif len(items) == 1 and items[0][0] == attribute and _count(items[0][1]) == 1:
            placed.append((attribute, [(attribute, attribute, items[0][1])]))
        else:
            placed.append((attribute, list(_counted(attribute, items, Counter()))))
    for _, rows in sorted(placed, key=lambda row: _by_letter(row[0])):
        yield from rows
    yield from listed


def _by_attribute(found: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """(attribute, [(path, layer)]), with the layers of lists and dicts one by one."""
    grouped: dict[str, list[Any]] = {}
    for path, item in found:
        inner = grouped.setdefault(path.partition(".")[0], [])
        if isinstance(item, (BlockList, BlockDict)) and not isinstance(item, Sequential):
            inner += [(join(path, step), layer) for step, layer in members(item)]
        else:
            inner.append((path, item))
    yield from grouped.items()


def _by_letter(attribute: str) -> str:
    """Keras reads attributes in this order: private ones last."""
    return f"~{attribute}" if attribute.startswith("_") else attribute


def _counted(outer: str, found: list[Any], counts: Counter[str]) -> Iterator[tuple[str, str, Any]]:
    """Members by the name of their class and how many came before."""
    for path, item in found:
        if isinstance(item, Holder):
            yield path, path, item
            continue
        kind = kind_of(item)
        yield path, numbered(f"{outer}.{kind}" if outer else kind, counts[kind]), item
        counts[kind] += _count(item)


def numbered(name: str, number: int) -> str:
    """A name for the so-many-th of its kind, from 0."""
    return f"{name}_{number}" if number else name


def following(name: str, number: int) -> str:
    """The name of a layer so many places after the one of a name."""
    kind, _, place = name.rpartition("_")
    first = int(place) if place.isdecimal() else 0
    return numbered(kind if place.isdecimal() else name, first + number)


def _count(item: Any) -> int:
    """How many layers of Keras a member is."""
    return item.layers if isinstance(item, StackedCells) else 1


def kind_of(block: Any) -> str:
    if isinstance(block, StackedCells) and block.bidirectional:
        return "bidirectional"
    known = (name for kind, name in _KINDS.items() if isinstance(block, kind))
    return next(known, snake_case(type(block).__name__))
