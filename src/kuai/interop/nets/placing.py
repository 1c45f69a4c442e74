"""The place of every layer of a net in a file, by whichever way explains the whole file."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from kuai.errors import CheckpointError
from kuai.interop.nets import matching
from kuai.interop.nets.differences import ambiguous, different, misplaced
from kuai.interop.nets.matching import Place
from kuai.interop.nets.names import Names
from kuai.interop.nets.units import Unit
from kuai.interop.readers.weights import Weights

_SORTED = ("safetensors", "Paddle parameter", "index")
Way = Callable[[list[Unit], Names], "list[Place] | None"]


@dataclass
class Placed:
    """Layers and their places.

    Attributes:
        pairs: each layer that has a place, with it.
        names: of the arrays, as the places spell them.
        passed_over: names of the file that nothing takes.
        missing: layers without a place.
    """

    pairs: list[tuple[Unit, Place]]
    names: Names
    passed_over: list[str]
    missing: list[Unit]


def placed(
    layers: list[Unit],
    spelled: list[Names],
    weights: Weights,
    net: str,
    *,
    strict: bool,
    is_named: bool = False,
) -> Placed:
    """The place of every layer; unless `strict`, of those that have their names in the file.

    Args:
        layers: of the net.
        spelled: the file's arrays, in each way to spell their names.
        weights: the file.
        net: the net's class, for messages.
        strict: whether all layers and all arrays must find each other.
        is_named: whether names alone may tell; default False.

    Raises:
        CheckpointError: nothing explains the whole file, or the names speak against what does.
    """
    ways: list[Way] = [matching.by_name, matching.alone]
    if is_named:
        ways = [matching.by_name]
    elif not _is_sorted(weights):
        ways.insert(1, matching.by_order)
    for names in _with_and_without_ties(spelled, weights):
        places = matching.by_name(layers, names)
        if places is not None:
            return Placed(list(zip(layers, places, strict=True)), names, [], [])
        told, rest, free = _told(layers, names, weights, net)
        for way in ways:
            places = way(rest, free)
            if places is None:
                continue
            against = matching.contradicted(rest, places, free)
            if against:
                raise CheckpointError(ambiguous(net, weights.path, against))
            by_layer = {id(u): p for u, p in [*told, *zip(rest, places, strict=True)]}
            return Placed([(unit, by_layer[id(unit)]) for unit in layers], names, [], [])
    if strict:
        raise CheckpointError(different(net, weights.path, layers, spelled))
    return _what_fits(layers, spelled[0], weights, net)


def _is_sorted(weights: Weights) -> bool:
    """Whether the file has its arrays in an order of its own, by letter or by size."""
    return weights.system == "tensorflow" or weights.format.startswith(_SORTED)


def _with_and_without_ties(spelled: list[Names], weights: Weights) -> list[Names]:
    """The names, then those without the further names of tied arrays."""
    if not weights.aliases:
        return spelled
    ties = weights.aliases
    once = [names.without([n for n, a in names.items() if a.own in ties]) for names in spelled]
    return spelled + once


def _told(
    layers: list[Unit], names: Names, weights: Weights, net: str
) -> tuple[list[tuple[Unit, Place]], list[Unit], Names]:
    """(layers that the user gave places, the other layers, the names that are left)."""
    wanted = {name for name, array in names.items() if array.is_told}
    free = names
    pairs, rest = [], []
    for unit in layers:
        start = f"{unit.path}." if unit.path else ""
        if not any(_names_of(unit, name.removeprefix(start)) for name in wanted
                   if name.startswith(start)):  # fmt: skip
            rest.append(unit)
            continue
        place = matching.place_at(unit, unit.path, free)
        if place is None:
            raise CheckpointError(misplaced(net, weights.path, unit, names))
        pairs.append((unit, place))
        free = free.without(place.names)
    left = [name for name, array in free.items() if array.is_told]
    if left:
        near = difflib.get_close_matches(
            left[0], [f"{unit.path}." for unit in layers], n=1, cutoff=0
        )
        hint = f"; did you mean {near[0][:-1]!r}?" if near else ""
        raise CheckpointError(
            f"{weights.path} does not fit {net}; nothing was changed. mapping= leads "
            f"{free[left[0]].own!r} to {left[0]!r}, where the net has no such layer{hint}"
        )
    return pairs, rest, free


def _names_of(unit: Unit, local: str) -> bool:
    """Whether a name below a layer may be one of its arrays, and not of a layer inside it."""
    if unit.is_plain:
        return local in unit.holders
    theirs = (name for parts in unit.alternatives for part in parts for name in part.theirs)
    return local.count(".") in {name.replace("/", ".").count(".") for name in theirs}


def _what_fits(layers: list[Unit], names: Names, weights: Weights, net: str) -> Placed:
    """The layers that stand at their names, for a load that need not be of everything."""
    spelled = [
        [matching.below(outer, name) for name in own]
        for own in ([unit.name for unit in layers], [unit.path for unit in layers])
        for outer in matching.outers(own, names)
    ]
    found = max((_at(layers, own, names) for own in spelled), key=lambda found: len(found.pairs))
    if not found.pairs:
        raise CheckpointError(different(net, weights.path, layers, [names]))
    return found


def _at(layers: list[Unit], own: list[str], names: Names) -> Placed:
    pairs, missing = [], []
    free = names
    for unit, prefix in zip(layers, own, strict=True):
        place = matching.place_at(unit, prefix, free)
        if place is None:
            missing.append(unit)
            continue
        pairs.append((unit, place))
        free = free.without(place.names)
    return Placed(pairs, names, [array.own for array in free.values()], missing)
