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
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import Literal, Var

from kuai import nn
from kuai.core.block import Block
from kuai.errors import ArgumentError, KuaiError
from kuai.interop.nets.schemas import CHANNELS_FIRST
from kuai.interop.nets.units import Unit

_ENTERS, _MAP = "kuai enters ", "kuai map "
_MIXING = ("dot_general", "conv_general_dilated")
_MOVING = ("transpose", "rev", "sort", "gather", "scatter")  # keep a shape and move elements
_RECEIVERS = (nn.Dense, nn.BatchNorm, nn.LayerNorm, nn.RMSNorm, nn.PReLU)


@dataclass(frozen=True)
class Flattened:
    """Features that were a feature map.

    Args:
        sizes: of the map, in our order.
        layout: ours, "channels_last" or "channels_first".
    """

    sizes: tuple[int, ...]
    layout: str

    def order(self, system: str) -> np.ndarray | None:
        """Place here → place there; None where the orders are one."""
        theirs = "channels_first" if system in CHANNELS_FIRST else "channels_last"
        if theirs == self.layout:
            return None
        front = theirs == "channels_first"
        shape = (self.sizes[-1], *self.sizes[:-1]) if front else (*self.sizes[1:], self.sizes[0])
        places = np.arange(math.prod(shape)).reshape(shape)
        return (np.moveaxis(places, 0, -1) if front else np.moveaxis(places, -1, 0)).ravel()


def orders(net: Block, system: str, sample: Any) -> dict[str, np.ndarray]:
    """Path of a layer → the place there of each feature here, where a feature map was flattened.

    Args:
        net: the net.
        system: the other one.
        sample: an input, a tuple of inputs, or None.

    Raises:
        ArgumentError: there is no sample, and a layer may follow a Flatten; or as `flattened`.
    """
    if sample is not None:
        found = {path: flat.order(system) for path, flat in flattened(net, sample).items()}
        return {path: order for path, order in found.items() if order is not None}
    asked = _in_question(net, system)
    if asked is not None:
        raise ArgumentError(
            f"sample: {asked} may follow a Flatten of a feature map, which {system} flattens in "
            "another order; give sample=, an input of the net, which tells"
        )
    return {}


def flattened(net: Block, sample: Any) -> dict[str, Flattened]:
    """Path of a layer → the feature map that its input was.

    Args:
        net: the net; it is not changed.
        sample: an input, or a tuple of inputs.

    Raises:
        ArgumentError: the net does not run on the sample, or mixes features of a map with others
            before a layer takes them.
    """
    inputs = sample if isinstance(sample, tuple) else (sample,)
    marked = net.copy().eval()
    try:
        if not all(holder.ready for _, holder in marked.named_holders()):
            marked.initialize(init="zeros", sample=sample)
        _mark(marked)
        traced = jax.make_jaxpr(lambda *arrays: marked(*arrays))(*inputs)
    except KuaiError as error:
        raise ArgumentError(
            f"sample: {type(net).__name__} does not run on it: {error}; give an input of the net"
        ) from error
    graph = _Graph.of(traced.jaxpr)
    found = {}
    for path, variable in graph.entering:
        origin = graph.origin(variable, path)
        if origin is not None:
            found[path] = origin
    return found


def _mark(net: Block) -> None:
    """Have a trace show what leaves spatial layers, and what enters those that take features."""
    for path, block in net.named_blocks():
        layout = getattr(block, "layout", None)
        if layout in ("channels_last", "channels_first"):
            block.register_forward_hook(lambda _, __, y, at=layout: _named(y, _MAP + at))
        elif isinstance(block, _RECEIVERS):
            block.register_forward_pre_hook(lambda _, inputs, to=path: _named(inputs, _ENTERS + to))


def _named(tree: Any, name: str) -> Any:
    return jax.tree.map(lambda leaf: checkpoint_name(leaf, name), tree)


@dataclass
class _Graph:
    """Which equation made which value, with the equations of inner functions in their places.

    Attributes:
        made: value → (primitive, its parameters, its inputs).
        shapes: value → shape.
        entering: (path, value) for each layer that takes features.
    """

    made: dict[int, tuple[str, Any, list[int]]] = field(default_factory=dict)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    entering: list[tuple[str, int]] = field(default_factory=list)
    count: int = 0

    @classmethod
    def of(cls, jaxpr: Any) -> _Graph:
        graph = cls()
        graph._add(jaxpr, {var: graph._new(var) for var in (*jaxpr.invars, *jaxpr.constvars)})
        return graph

    def _new(self, var: Any) -> int:
        self.count += 1
        self.shapes[self.count] = tuple(getattr(var.aval, "shape", ()))
        return self.count

    def _add(self, jaxpr: Any, known: dict[Var, int]) -> list[int]:
        """The values of a function's results."""

        def value(atom: Any) -> int:
            if isinstance(atom, Literal) or atom not in known:
                return self._new(atom)
            return known[atom]

        for equation in jaxpr.eqns:
            inputs = [value(atom) for atom in equation.invars]
            inner = _inner(equation)
            if inner is not None and len(inner.invars) == len(inputs):
                within = dict(zip(inner.invars, inputs, strict=True))
                results = self._add(inner, {**{v: self._new(v) for v in inner.constvars}, **within})
                known.update(zip(equation.outvars, results, strict=True))
                continue
            for var in equation.outvars:
                known[var] = self._new(var)
                self.made[known[var]] = (equation.primitive.name, equation.params, inputs)
                self._note(equation, known[var])
        return [value(atom) for atom in jaxpr.outvars]

    def _note(self, equation: Any, value: int) -> None:
        name = equation.params.get("name") if equation.primitive.name == "name" else None
        if isinstance(name, str) and name.startswith(_ENTERS):
            self.entering.append((name.removeprefix(_ENTERS), value))

    def origin(self, value: int, path: str) -> Flattened | None:
        """The feature map whose elements a layer's features are."""
        features = self.shapes[value][-1:]
        for place, is_moved in self._back(value):
            primitive, _, inputs = self.made.get(place, ("", {}, []))
            if primitive != "reshape":
                continue
            sizes, joined = self.shapes[inputs[0]], self.shapes[place]
            kept = len(joined) - 1
            if len(sizes) <= len(joined) or sizes[:kept] != joined[:kept]:
                continue
            layout, shape, is_turned = self._map(inputs[0])
            if layout is None or len(joined) >= len(shape):  # a norm's groups, joined again
                continue
            if is_moved or is_turned or sizes != shape or joined[-1:] != features:
                raise ArgumentError(
                    f"{path}: its input holds a flattened feature map of sizes {sizes[kept:]} "
                    "among other things or in another order, and what that is in the file is not "
                    "known; load it by hand, from kuai.interop.read"
                )
            return Flattened(sizes[kept:], layout)
        return None

    def _back(self, value: int) -> Iterator[tuple[int, bool]]:
        """What a value was made of up to the last product, and whether elements were moved."""
        pending, seen = [(value, False)], set()
        while pending:
            place, is_moved = pending.pop(0)
            if place in seen:
                continue
            seen.add(place)
            yield place, is_moved
            primitive, _, inputs = self.made.get(place, ("", {}, []))
            if primitive in _MIXING or primitive.startswith("convolve"):
                continue
            keeps = primitive not in _MOVING
            same = [i for i in inputs if keeps and self.shapes[i] == self.shapes[place]]
            others = [item for item in inputs if item not in same]
            pending += [(item, is_moved) for item in same]
            moves = primitive not in ("reshape", "broadcast_in_dim")
            pending += [(item, is_moved or moves) for item in others if self.shapes[item]]

    def _map(self, value: int) -> tuple[str | None, tuple[int, ...], bool]:
        """The nearest map of a spatial layer: its layout and shape, and whether it was moved."""
        for place, is_moved in self._back(value):
            primitive, parameters, _ = self.made.get(place, ("", {}, []))
            name = str(parameters.get("name", "")) if primitive == "name" else ""
            if name.startswith(_MAP):
                return name.removeprefix(_MAP), self.shapes[place], is_moved
        return None, (), False


def _inner(equation: Any) -> Any:
    """The function that an equation calls once."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        found = equation.params.get(key)
        if found is not None and equation.primitive.name not in ("scan", "while", "cond"):
            return getattr(found, "jaxpr", found)
    return None


def has_rows(unit: Unit, path: str) -> bool:
    """Whether the first axis of a layer's array is that of the features of its input."""
    return isinstance(unit.block, _RECEIVERS) and not (
        isinstance(unit.block, nn.Dense) and path != "weight"
    )


def _in_question(net: Block, system: str) -> str | None:
    """A layer that may follow a Flatten of a map; None if no map has another order there."""
    theirs = "channels_first" if system in CHANNELS_FIRST else "channels_last"
    layouts = {getattr(block, "layout", theirs) for block in net.blocks()}
    if layouts == {theirs}:
        return None
    return next((f"{path} (Dense)" for path, _ in net.named_blocks(nn.Dense)), None)
