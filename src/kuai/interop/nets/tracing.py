"""A net traced on a sample: which value was made of which.

Blocks are watched by marks on what enters and leaves them, `checkpoint_name`, which change nothing.
Equations of inner functions stand in the places where these are called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import Literal, Var

from kuai.core.block import Block
from kuai.errors import ArgumentError, KuaiError

_MIXING = ("dot_general", "conv_general_dilated", "convolve")
_MOVING = ("transpose", "rev", "sort", "gather", "scatter")  # keep a shape and move elements

Shapes = Mapping[str, tuple[int, ...]]


def traced(
    net: Block,
    sample: Any,
    watch: Callable[[Block], None],
    shapes: Shapes = MappingProxyType({}),
) -> Graph:
    """Trace a copy of a net, in eval mode, on a sample.

    Args:
        net: the net; it is not changed.
        sample: an input, or a tuple of inputs.
        watch: puts hooks on the copy.
        shapes: path of an array → its shape, where a file tells it; the sample has to fit.

    Raises:
        ArgumentError: the sample is none, or the net does not run on it.
    """
    inputs = sample if isinstance(sample, tuple) else (sample,)
    if not all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(inputs)):
        raise ArgumentError(
            f"sample: expected an input of the net, an array or a tuple of these, got {sample!r}"
        )
    copy = net.copy().eval()
    for path, holder in copy.named_holders():
        if path in shapes and not holder.settled:
            holder.settle(shapes[path])
    try:
        if not all(holder.ready for _, holder in copy.named_holders()):
            copy.initialize(init="zeros", sample=sample)
        watch(copy)
        return Graph.of(jax.make_jaxpr(lambda *arrays: copy(*arrays))(*inputs).jaxpr)
    except KuaiError as error:
        name = type(net).__name__
        if not shapes:
            raise ArgumentError(
                f"sample: {name} does not run on it: {error}; give an input of the net"
            ) from error
        sizes = ", ".join(str(leaf.shape) for leaf in jax.tree.leaves(inputs))
        raise ArgumentError(
            f"sample: {name} with the file's arrays does not run on one of shape {sizes}: {error}. "
            "Nothing was changed; give an input of the sizes that the file's net takes, with its "
            "axes in this net's order"
        ) from error


def marked(tree: Any, name: str) -> Any:
    """The same arrays, with a mark that a `Graph` shows."""
    return jax.tree.map(lambda leaf: checkpoint_name(leaf, name), tree)


@dataclass
class Graph:
    """Which equation made which value.

    Attributes:
        made: value → (primitive, its inputs).
        shapes: value → shape.
        marks: value → the mark that it has.
    """

    made: dict[int, tuple[str, list[int]]] = field(default_factory=dict)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, jaxpr: Any) -> Graph:
        """That of a function."""
        graph = cls()
        graph._add(jaxpr, {var: graph._new(var) for var in (*jaxpr.invars, *jaxpr.constvars)})
        return graph

    def _new(self, var: Any) -> int:
        value = len(self.shapes)
        self.shapes[value] = tuple(getattr(var.aval, "shape", ()))
        return value

    def _add(self, jaxpr: Any, known: dict[Var, int]) -> list[int]:
        """The values of a function's results."""

        def value(atom: Any) -> int:
            is_known = not isinstance(atom, Literal) and atom in known
            return known[atom] if is_known else self._new(atom)

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
                self.made[known[var]] = equation.primitive.name, inputs
                if equation.primitive.name == "name":
                    self.marks[known[var]] = equation.params["name"]
        return [value(atom) for atom in jaxpr.outvars]

    def back(self, value: int) -> Iterator[tuple[int, bool]]:
        """What a value was made of up to the last product, and whether elements were moved."""
        pending, seen = [(value, False)], set()
        while pending:
            place, is_moved = pending.pop(0)
            if place in seen:
                continue
            seen.add(place)
            yield place, is_moved
            primitive, inputs = self.made.get(place, ("", []))
            if primitive.startswith(_MIXING):
                continue
            for item in inputs:
                keeps = primitive not in _MOVING and self.shapes[item] == self.shapes[place]
                if keeps or self.shapes[item]:  # a number alone is no feature
                    moves = not keeps and primitive not in ("reshape", "broadcast_in_dim")
                    pending.append((item, is_moved or moves))


def _inner(equation: Any) -> Any:
    """The function that an equation calls once."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        found = equation.params.get(key)
        if found is not None and equation.primitive.name not in ("scan", "while", "cond"):
            return getattr(found, "jaxpr", found)
    return None
