"""The names that Keras's layers have in a file, against the places where they stand.

A `.weights.h5` counts layers by class where no attribute has them, in an order that is Keras's. So
the name that a user gave a layer says more than such a place, and no layer may get the arrays of
one that has another's name. A name that Keras made up itself (`dense_1`) says less than an
attribute.
"""

from __future__ import annotations

import re

from kuai.interop.nets.keras_places import kind_of
from kuai.interop.nets.matching import Place, place_at
from kuai.interop.nets.names import Names
from kuai.interop.nets.units import Unit

Pairs = list[tuple[Unit, Place]]
Against = list[tuple[Unit, str, str]]  # layer, what it would get, what has its name


def crossed(pairs: Pairs, layers: list[Unit], names: Names) -> Against:
    """The layers whose names in the file are at other places than those they are given.

    Args:
        pairs: layers and their places.
        layers: all of the net.
        names: all of the file.
    """
    named = _by_name(names)
    given: dict[str, list[Place]] = {}
    for unit, place in pairs:
        given.setdefault(unit.path, []).append(place)
    at = {place.prefix: unit for unit, place in pairs}
    against: Against = []
    for unit in layers:
        word, here = _last(unit.path), given.get(unit.path, [])
        if not word or _is_automatic(word, unit) or any(_is_called(p, word, names) for p in here):
            continue
        fitting = (place_at(unit, prefix, names) for prefix in named.get(word, ()))
        for place in filter(None, fitting):
            other = at.get(place.prefix)
            if here:
                against.append((unit, _layer_name(here[0], names), _layer_name(place, names)))
            elif other is not None and _last(other.path) != word:
                against.append((unit, "", _layer_name(place, names)))
    return against


def differing(by_place: Pairs, at: Names, by_name: Pairs, called: Names) -> Against:
    """The layers to which places and names give other arrays, and it is not known who is right.

    Args:
        by_place: layers and their places, as the places say.
        at: how these spell the file's names.
        by_name: layers and their places, as the layers' names in the file say.
        called: as `at`.
    """
    others = {(unit.path, unit.name): place for unit, place in by_name}
    pairs = [(unit, p, others.get((unit.path, unit.name), p)) for unit, p in by_place]
    apart = [(u, p, o) for u, p, o in pairs if _own(p, at) != _own(o, called)]
    attributes = all(
        _last(p.prefix) == _last(u.path) and _is_automatic(_last(u.path), u) for u, p, _ in apart
    )
    return (
        [] if attributes else [(u, _layer_name(p, at), _layer_name(o, called)) for u, p, o in apart]
    )


def _own(place: Place, names: Names) -> set[str]:
    return {names[name].own for name in place.names}


def _layer_name(place: Place, names: Names) -> str:
    """What the file calls the layer at a place."""
    fit = place.fits[0]
    steps = names[fit.names[0]].own.split("/")
    return "/".join(steps[: -len(fit.part.theirs[0].split("/"))])


def _by_name(names: Names) -> dict[str, dict[str, None]]:
    """Name of a layer in the file, without those around it → where such layers stand."""
    found: dict[str, dict[str, None]] = {}
    for prefix, inside in names.inside.items():
        for rest, name in inside.items():
            depth = rest.count(".") + 1
            steps = names[name].own.split("/")
            if len(steps) > depth and "layers" not in rest.split("."):
                found.setdefault(steps[-depth - 1], {})[prefix] = None
    return found


def _is_called(place: Place, word: str, names: Names) -> bool:
    """Whether a place has a name, or its layer in the file."""
    return word in (_last(place.prefix), _layer_name(place, names).rpartition("/")[2])


def _is_automatic(word: str, unit: Unit) -> bool:
    """Whether Keras would name such a layer so by itself."""
    return re.fullmatch(rf"{kind_of(unit.block)}(_\d+)?", word) is not None


def _last(name: str) -> str:
    return name.rpartition(".")[2]
