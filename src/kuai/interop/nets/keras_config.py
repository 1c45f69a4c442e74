"""The config.json of a `.keras` archive: how Keras builds the model that computes what a net does.

It is a `Sequential` of Keras's own layers. A net that is more than that, or a layer that Keras
computes otherwise, is refused: what an archive opens as shall give the net's numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kuai import nn
from kuai.core.block import Block
from kuai.core.tree import join, members
from kuai.errors import ArgumentError
from kuai.interop.nets.keras_layers import layers_of, rank_after
from kuai.interop.nets.keras_places import numbered
from kuai.interop.nets.keras_spot import Layer, Spot
from kuai.interop.readers.keras_names import snake_case
from kuai.nn.conv import Convolution
from kuai.nn.stacked import StackedCells

_INPUT = "input_layer"
Shape = tuple[int | None, ...]


def config_of(net: Block, shape: Sequence[int | None]) -> dict[str, Any]:
    """What config.json of the archive of a net holds.

    Args:
        net: a layer, or a `Sequential` of layers and of others like it; its values are made.
        shape: of the input, None for a size that may vary, as the batch's.

    Raises:
        ArgumentError: a layer needs sizes that the shape does not tell.
        CheckpointError: Keras has no layer that is known to compute the same as one of the net's.
    """
    walk = _Walk(tuple(shape))
    is_alone = type(net) is not nn.Sequential
    steps = [("", "", net)] if is_alone else _steps(net, "")
    first = next(_leaves(net), net)
    dtype = "int32" if isinstance(first, nn.Embedding) else "float32"
    config = {"batch_shape": [None, *shape[1:]], "dtype": dtype, "name": _INPUT}
    return _sequential("sequential", [Layer("InputLayer", config).written(), *walk.layers(steps)])


def input_shape(net: Block, sample: Any) -> Shape:
    """The shape of a net's input, of which the batch may vary.

    Args:
        net: the net.
        sample: an input, a tuple of one, or None: the shape is that which the first layer tells.

    Raises:
        ArgumentError: the first layer does not tell it, or there are several inputs.
    """
    if sample is None:
        return _told_by(next(_leaves(net), net))
    inputs = sample if isinstance(sample, tuple) else (sample,)
    if len(inputs) != 1:
        raise ArgumentError(
            f"sample: expected one input, got {len(inputs)}; a Sequential of Keras has one"
        )
    return (None, *np.shape(inputs[0])[1:])


def _told_by(first: Block) -> Shape:
    if isinstance(first, nn.SeparableConv2d):
        first = first.depthwise
    if isinstance(first, nn.Dense):
        return None, first.weight.shape[0]
    if isinstance(first, nn.DepthwiseConv2d):
        return None, None, None, first.weight.shape[-1] // first.multiplier
    if isinstance(first, Convolution):
        return None, *(None,) * first._axes, first.weight.shape[-2] * first.groups
    if isinstance(first, nn.Embedding):
        return None, None
    if isinstance(first, StackedCells):
        return None, None, first.cells[0].input_weight.shape[0]
    raise ArgumentError(
        f"sample: a .keras archive tells the shape of the input, and {type(first).__name__} does "
        "not; give sample=, an input of the net"
    )


def _leaves(block: Any) -> Iterator[Block]:
    """The layers in a net, in order."""
    if type(block) is not nn.Sequential:
        yield block
        return
    for _, _, step in _steps(block, ""):
        yield from _leaves(step)


def _steps(block: Block, path: str) -> list[tuple[str, str, Block]]:
    """(path, its name, step) of a `Sequential`."""
    found = members(block)
    return [(join(path, name), name, step) for name, step in found if isinstance(step, Block)]


class _Walk:
    """One walk over a net, layer by layer.

    Args:
        shape: of the input.
    """

    def __init__(self, shape: Shape) -> None:
        self.rank = len(shape)
        self.is_known = None not in shape[1:]
        self.seen: dict[int, str] = {}

    def layers(self, steps: list[tuple[str, str, Block]]) -> list[dict[str, Any]]:
        """The steps of a `Sequential` as config.json lists them."""
        names = _Names({name for _, name, _ in steps})
        found = []
        for path, name, step in steps:
            if type(step) is nn.Sequential:
                found.append(self._nested(path, names.of("sequential", name), step))
                continue
            for layer in self._checked(Spot(path, step, self.rank)):
                told = "" if layer.is_helper else name
                found.append(layer.written(name=names.of(snake_case(layer.kind), told)))
        return found

    def _nested(self, path: str, name: str, step: Block) -> dict[str, Any]:
        spot = Spot(path, step, self.rank)
        self._check_once(spot, step)
        _check_untouched(spot)
        inner = _steps(step, path)
        if not inner:
            raise spot.refused("it is empty, which a Sequential of Keras cannot be")
        return _sequential(name, self.layers(inner))

    def _checked(self, spot: Spot) -> list[Layer]:
        """The layers of Keras for a layer, of which nothing speaks against them."""
        self._check_once(spot, spot.block)
        for _, holder in spot.block.named_holders():
            self._check_once(spot, holder)
            if holder.concrete().dtype != np.float32:
                raise spot.refused(
                    f"its arrays are {holder.concrete().dtype}, and Keras would compute in another "
                    'dtype than kuai; net.astype("float32") makes them float32'
                )
        _check_untouched(spot)
        layers = layers_of(spot)
        if isinstance(spot.block, (nn.Flatten, nn.PReLU)) and self.rank > 2 and not self.is_known:
            raise ArgumentError(
                f"sample: Keras needs all sizes of what {spot.path} "
                f"({type(spot.block).__name__}) takes; give sample=, an input of the net"
            )
        self.rank = rank_after(spot)
        return layers

    def _check_once(self, spot: Spot, item: Any) -> None:
        if id(item) in self.seen:
            raise spot.refused(
                f"it shares itself or an array with {self.seen[id(item)]}, and Keras has each once"
            )
        self.seen[id(item)] = spot.path


class _Names:
    """Names of the layers of one `Sequential`, each once.

    Args:
        given: the names of the steps, which may be numbers.
    """

    def __init__(self, given: set[str]) -> None:
        self.given = {name for name in given if name.isascii() and name.isidentifier()} - {_INPUT}
        self.taken = {_INPUT, *self.given}
        self.counts: Counter[str] = Counter()

    def of(self, kind: str, told: str) -> str:
        """The name of a step for its first layer, else one by the kind of the layer."""
        if told in self.given:
            self.given.remove(told)
            return told
        while True:
            name = numbered(kind, self.counts[kind])
            self.counts[kind] += 1
            if name not in self.taken:
                self.taken.add(name)
                return name


def _check_untouched(spot: Spot) -> None:
    """Nothing was put on a layer, and all of it has its channels last."""
    for _, block in spot.block.named_blocks():
        own = block._kuai
        if own.before or own.after or own.derived:
            raise spot.refused("it has a hook or a parametrization, of which Keras knows nothing")
        if getattr(block, "layout", None) == "channels_first":
            raise spot.refused(
                "it has its channels first, which Keras cannot compute on every device"
            )


def _sequential(name: str, layers: list[dict[str, Any]]) -> dict[str, Any]:
    return Layer("Sequential", {"name": name, "layers": layers}, "keras").written()
