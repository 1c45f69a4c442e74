"""The place of every layer of a net in a file, by whichever way explains the whole file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kuai.errors import CheckpointError
from kuai.interop.nets import matching
from kuai.interop.nets.differences import ambiguous, different, misplaced
from kuai.interop.nets.layer_names import Against, crossed
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
        missing: layers without a place.
    """

    pairs: list[tuple[Unit, Place]]
    names: Names
    missing: list[Unit]


def placed(
    layers: list[Unit],
    spelled: list[Names],
    weights: Weights,
    net: str,
    *,
    is_named: bool = False,
) -> Placed:
    """The place of every layer, with nothing of the file left.

    Args:
        layers: of the net.
        spelled: the file's arrays, in each way to spell their names.
        weights: the file.
        net: the net's class, for messages.
        is_named: whether names alone may tell; default False.

    Raises:
        CheckpointError: nothing explains the whole file, or the names speak against what does.
    """
    ways: list[Way] = [matching.by_order, matching.alone]
    if is_named:
        ways = []
    elif _is_sorted(weights):
        ways = [matching.alone]
    for names in _with_and_without_ties(spelled, weights):
        places = matching.by_name(layers, names)
        if places is not None:
            found = Placed(list(zip(layers, places, strict=True)), names, [])
            _check_names(found, layers, weights, net)
            return found
        told, rest, free = _by_user(layers, names, weights, net)
        for way in (matching.by_name, *ways):
            places = way(rest, free)
            if places is None:
                continue
            against = matching.contradicted(rest, places, free)
            if against:
                told_apart = [(u, p.prefix, other.prefix) for u, p, other in against]
                raise CheckpointError(ambiguous(net, weights.path, told_apart))
            by_layer = {id(u): p for u, p in [*told, *zip(rest, places, strict=True)]}
            found = Placed([(unit, by_layer[id(unit)]) for unit in layers], names, [])
            _check_names(found, layers, weights, net)
            return found
    raise CheckpointError(different(net, weights.path, layers, spelled))


def _check_names(found: Placed, layers: list[Unit], weights: Weights, net: str) -> None:
    """Check that no layer gets what the file has under the name of another one.

    Raises:
        CheckpointError: one does.
    """
    against = _against(found, layers, weights)
    if against:
        raise CheckpointError(ambiguous(net, weights.path, against))


def _against(found: Placed, layers: list[Unit], weights: Weights) -> Against:
    return crossed(found.pairs, layers, found.names) if weights.metadata.get("named") else []


def placed_by_name(
    layers: list[Unit],
    every: list[Unit],
    spelled: list[Names],
    weights: Weights,
    net: str,
    *,
    strict: bool,
) -> Placed:
    """The places of those layers that stand at their names; the file may have more.

    Args:
        layers: those that are wanted.
        every: all layers of the net.
        spelled: as for `placed`.
        weights: as for `placed`.
        net: as for `placed`.
        strict: whether all of them must be there.

    Raises:
        CheckpointError: none is there, or not all that must be, or one has other shapes; or the
            user led arrays to a layer that cannot take them.
    """
    tried = [
        _at(layers, [matching.below(outer, name) for name in own], names)
        for names in spelled
        for own in ([unit.name for unit in layers], [unit.path for unit in layers])
        for outer in matching.outers(own, names)
    ]
    uncrossed = [one for one in tried if not _against(one[0], every, weights)]
    found, misfits = max(uncrossed or tried, key=lambda one: len(one[0].pairs))
    if not found.pairs or misfits or (strict and found.missing):
        crossings = max(tried, key=lambda one: len(one[0].pairs))[0]
        _check_names(crossings, every, weights, net)
        raise CheckpointError(different(net, weights.path, layers, spelled))
    told = [name for name, array in found.names.items() if array.is_told]
    for unit in found.missing:
        if _is_led(unit, told):
            raise CheckpointError(misplaced(net, weights.path, unit, found.names))
    return found


def _at(layers: list[Unit], own: list[str], names: Names) -> tuple[Placed, list[Unit]]:
    """The layers that fit at these places, and those whose names are there without fitting."""
    pairs: list[tuple[Unit, Place]] = []
    missing, misfits = [], []
    free = names
    for unit, prefix in zip(layers, own, strict=True):
        place = matching.place_at(unit, prefix, free)
        if place is not None:
            pairs.append((unit, place))
            free = free.without(place.names)
            continue
        missing.append(unit)
        here = names.inside.get(prefix, {})
        if any(matching.resolved(parts, here, names) for parts in unit.alternatives):
            misfits.append(unit)
    return Placed(pairs, names, missing), misfits


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


def _by_user(
    layers: list[Unit], names: Names, weights: Weights, net: str
) -> tuple[list[tuple[Unit, Place]], list[Unit], Names]:
    """(layers that the user gave places, the other layers, the names that are left)."""
    wanted = {name for name, array in names.items() if array.is_told}
    free = names
    pairs, rest = [], []
    for unit in layers:
        if not _is_led(unit, wanted):
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


def _is_led(unit: Unit, told: Iterable[str]) -> bool:
    """Whether one of these names, which the user told, is of a layer's array."""
    start = f"{unit.path}." if unit.path else ""
    return any(_names_of(unit, name.removeprefix(start)) for name in told if name.startswith(start))


def _names_of(unit: Unit, local: str) -> bool:
    """Whether a name below a layer may be one of its arrays, and not of a layer inside it."""
    if unit.is_plain:
        return local in unit.holders
    theirs = (name for parts in unit.alternatives for part in parts for name in part.theirs)
    return local.count(".") in {name.replace("/", ".").count(".") for name in theirs}
