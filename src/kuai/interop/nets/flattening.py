"""The order of features that were a feature map: where a net flattens one, and in what order.

(height, width, channels) and (channels, height, width) flatten to other orders of the same
numbers. So the rows of a Dense after a Flatten stand in another order where a net has its channels
last and the other system has them first. Which layers those are is told by a trace of the net: the
layer's input is followed back, through whatever leaves each element in its place, to a reshape that
joins the axes of a feature map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from kuai import nn
from kuai.core.block import Block
from kuai.errors import ArgumentError
from kuai.interop.nets.schemas import CHANNELS_FIRST
from kuai.interop.nets.tracing import Graph, Shapes, marked, traced
from kuai.interop.nets.units import Unit
from kuai.interop.readers.weights import Weights
from kuai.nn.gated import GatedCell
from kuai.nn.stacked import StackedCells

_ENTERS, _MAP = "kuai enters ", "kuai map "
_NORMS = (nn.BatchNorm, nn.LayerNorm, nn.RMSNorm, nn.PReLU)
_UNABLE = (nn.Bilinear, nn.MultiHeadAttention, nn.Recurrent, nn.Bidirectional)


@dataclass(frozen=True)
class Flattened:
    """Features that were a feature map.

    Args:
        sizes: of the map, in our order.
        layout: ours, "channels_last" or "channels_first".
    """

    sizes: tuple[int, ...]
    layout: str

    def order(self, theirs: str) -> np.ndarray | None:
        """Place here → place there; None where the orders are one."""
        if theirs == self.layout:
            return None
        front = theirs == "channels_first"
        shape = (self.sizes[-1], *self.sizes[:-1]) if front else (*self.sizes[1:], self.sizes[0])
        places = np.arange(math.prod(shape)).reshape(shape)
        return (np.moveaxis(places, 0, -1) if front else np.moveaxis(places, -1, 0)).ravel()


def order_of(system: str, weights: Weights | None = None) -> str | None:
    """The layout in which a net of another system flattens a map; None where it is not certain.

    Args:
        system: the other one.
        weights: a file of it, whose configuration counts where it has one; None: its usual nets.
    """
    if system in CHANNELS_FIRST:
        return "channels_first"
    told = list(_data_formats(weights.metadata.get("config"))) if weights is not None else []
    maps = {layout for kind, layout in told if kind != "Flatten"}
    flattens = {layout for kind, layout in told if kind == "Flatten"}
    if "channels_first" not in maps | flattens:
        return "channels_last"
    if len(maps) != 1 or len(flattens) != 1:
        return None
    if flattens == {"channels_first"}:  # Keras moves them to the end, if they are where it is told
        return "channels_last" if maps == flattens else None
    return "channels_first"


def _data_formats(config: Any) -> Iterator[tuple[Any, str]]:
    """(class, data_format) of the layers in a configuration of Keras, at any depth."""
    nodes = [config]
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes += node
        elif isinstance(node, dict):
            nodes += node.values()
            own = node.get("config")
            if isinstance(own, dict) and isinstance(own.get("data_format"), str):
                yield node.get("class_name"), own["data_format"]


def orders(
    net: Block,
    layers: list[Unit],
    theirs: str | None,
    sample: Any,
    shapes: Shapes = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """Path of a layer → the place there of each feature here, where a feature map was flattened.

    Args:
        net: the net.
        layers: of it, as the other system has them.
        theirs: the layout in which the other net flattens a map, as `order_of` tells it.
        sample: an input, a tuple of inputs, or None.
        shapes: path of an array → the shape that the file gives it.

    Raises:
        ArgumentError: there is no sample, and a layer may follow a Flatten; or a layer does whose
            rows cannot be put in order; or as `flattened`.
    """
    if sample is not None:
        maps = flattened(net, sample, shapes)
        if maps and theirs is None:
            raise ArgumentError(
                f"{min(maps)}: its input is a flattened feature map, and the file's net has maps "
                "with channels first and last; load it by hand, from kuai.interop.read"
            )
        told = {path: flat.order(theirs) for path, flat in maps.items() if theirs is not None}
        found = {path: order for path, order in told.items() if order is not None}
        able = {unit.path for unit in layers if rows_of(unit.block)}
        if found.keys() - able:
            raise ArgumentError(
                f"{min(found.keys() - able)}: its input is a flattened feature map, which the "
                "other system flattens in another order, and kuai cannot put such a layer's rows "
                "in order; load it by hand, from kuai.interop.read"
            )
        return found
    asked = _in_question(net, theirs)
    if asked is not None:
        raise ArgumentError(
            f"sample: {asked} may follow a Flatten of a feature map, which the other system "
            "flattens in another order; give sample=, an input of the net, which tells"
        )
    return {}


def flattened(net: Block, sample: Any, shapes: Shapes) -> dict[str, Flattened]:
    """Path of a layer → the feature map that its input was.

    Args:
        net: the net; it is not changed.
        sample: an input, or a tuple of inputs.
        shapes: as for `orders`.

    Raises:
        ArgumentError: the net does not run on the sample, or mixes features of a map with others
            before a layer takes them.
    """
    graph = traced(net, sample, _watch, shapes)
    found = {}
    for value, mark in graph.marks.items():
        if mark.startswith(_ENTERS):
            path = mark.removeprefix(_ENTERS)
            origin = _origin(graph, value, path)
            if origin is not None:
                found[path] = origin
    return found


def _watch(net: Block) -> None:
    """Have a trace show what leaves spatial layers, and what enters those that take features."""
    for path, block in net.named_blocks():
        layout = getattr(block, "layout", None)
        if layout in ("channels_last", "channels_first"):
            block.register_forward_hook(lambda _, __, y, at=layout: marked(y, _MAP + at))
        elif rows_of(block) or isinstance(block, _UNABLE):
            block.register_forward_pre_hook(lambda _, inputs, to=path: _entering(inputs, to))


def _entering(inputs: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    return marked(inputs[0], _ENTERS + path), *inputs[1:]


def _origin(graph: Graph, value: int, path: str) -> Flattened | None:
    """The feature map whose elements a layer's features are."""
    for place, is_moved in graph.back(value):
        primitive, inputs = graph.made.get(place, ("", []))
        if primitive != "reshape":
            continue
        sizes, joined = graph.shapes[inputs[0]], graph.shapes[place]
        kept = len(joined) - 1
        if len(sizes) <= len(joined) or sizes[:kept] != joined[:kept]:
            continue
        layout, shape, is_turned = _map(graph, inputs[0])
        if layout is None or len(joined) >= len(shape):  # a norm's groups, joined again
            continue
        if is_moved or is_turned or sizes != shape or joined[-1] != graph.shapes[value][-1]:
            raise ArgumentError(
                f"{path}: its input holds a flattened feature map of sizes {sizes[kept:]} among "
                "other things or in another order, and what that is in the file is not known; load "
                "it by hand, from kuai.interop.read"
            )
        return Flattened(sizes[kept:], layout)
    return None


def _map(graph: Graph, value: int) -> tuple[str | None, tuple[int, ...], bool]:
    """The nearest map of a spatial layer: its layout and shape, and whether it was moved."""
    for place, is_moved in graph.back(value):
        mark = graph.marks.get(place, "")
        if mark.startswith(_MAP):
            return mark.removeprefix(_MAP), graph.shapes[place], is_moved
    return None, (), False


def rows_of(block: Block) -> tuple[str, ...]:
    """The arrays of a layer whose first axis is that of the features of its input."""
    if isinstance(block, nn.Dense):
        return ("weight",)
    if isinstance(block, GatedCell):
        return ("input_weight",)
    if isinstance(block, StackedCells):  # of the layers behind the first, it is another layer's
        return tuple(f"cells.{way}.input_weight" for way in range(2 if block.bidirectional else 1))
    is_shared = isinstance(block, nn.PReLU) and block.axis is None  # one slope for all features
    if isinstance(block, _NORMS) and not is_shared:
        return tuple(path for path, _ in block.named_holders())
    return ()


def _in_question(net: Block, theirs: str | None) -> str | None:
    """A layer that may follow a Flatten of a map; None if no map has another order there."""
    layouts = {getattr(block, "layout", theirs) for block in net.blocks()}
    if layouts <= {theirs}:
        return None
    takers = (nn.Dense, GatedCell, StackedCells)
    found = ((path, block) for path, block in net.named_blocks(takers))
    return next((f"{path} ({type(block).__name__})" for path, block in found), None)
