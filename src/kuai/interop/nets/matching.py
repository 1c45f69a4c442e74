"""Which layer of a file is which layer of a net.

A layer fits a place in the file if the arrays there have the names that the layer's schema asks
for, no others beside them, and shapes that it can take. The ways to find the places, each for all
layers or for none:

1. by name: every layer stands where the equivalent network would have it, or where the user says,
   below whatever the whole file is called;
2. by order: the layers fit the file's one after the other, where the file's order says something;
3. alone: each layer fits but one place.

A file that none of them explains is refused, and so is an order that the names speak against.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kuai.interop.nets.names import Names, prefixes
from kuai.interop.nets.parts import Part
from kuai.interop.nets.units import Unit


@dataclass(frozen=True)
class Fit:
    """A part of a layer, and the arrays of the file for it.

    Args:
        unit: the layer.
        part: of its schema.
        names: of the arrays, as spelled here.
    """

    unit: Unit
    part: Part
    names: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A layer that stands at a place of the file.

    Args:
        prefix: what its names begin with.
        fits: its parts.
        names: all names that it takes.
    """

    prefix: str
    fits: tuple[Fit, ...]
    names: frozenset[str]


Found = list[Place]


def by_name(units: list[Unit], names: Names) -> Found | None:
    """Every layer at its own name, below what all of the file's names may begin with."""
    for own in ([unit.name for unit in units], [unit.path for unit in units]):
        for outer in outers(own, names):
            found = _each(units, names, [below(outer, name) for name in own])
            if found is not None:
                return found
    return None


def by_order(units: list[Unit], names: Names) -> Found | None:
    """The next layer at the first of the names that are left."""
    left = names
    found: Found = []
    for unit in units:
        first = next(iter(left), None)
        if first is None:
            return None
        places = (place_at(unit, prefix, left) for prefix in prefixes(first))
        place = next((p for p in places if p is not None and first in p.names), None)
        if place is None:
            return None
        found.append(place)
        left = left.without(place.names)
    return None if left else found


def alone(units: list[Unit], names: Names) -> Found | None:
    """Layers that fit one place only, taken out until none is left."""
    places = [candidates(unit, names) for unit in units]
    found: dict[int, Place] = {}
    taken: set[str] = set()
    while len(found) < len(units):
        free = {
            number: [place for place in fitting if not place.names & taken]
            for number, fitting in enumerate(places)
            if number not in found
        }
        number = next((n for n, fitting in free.items() if len(fitting) == 1), None)
        if number is None:
            return None
        found[number] = free[number][0]
        taken |= found[number].names
    return [found[n] for n in range(len(units))] if len(taken) == len(names) else None


def contradicted(units: list[Unit], found: Found, names: Names) -> list[tuple[Unit, Place, Place]]:
    """(layer, its place, the place of its name) where a layer fits another that is called as it."""
    against = []
    for unit, place in zip(units, found, strict=True):
        word = _last(unit.path)
        if not word or word.isdecimal() or word == _last(place.prefix):
            continue
        for other in found:
            if _last(other.prefix) == word and place_at(unit, other.prefix, names) is not None:
                against.append((unit, place, other))
    return against


def candidates(unit: Unit, names: Names) -> list[Place]:
    """The places where a layer fits."""
    places = (place_at(unit, prefix, names) for prefix in names.inside)
    return [place for place in places if place is not None]


def place_at(unit: Unit, prefix: str, names: Names) -> Place | None:
    """The layer at a place of the file, if it fits there."""
    here = names.inside.get(prefix, {})
    for parts in unit.alternatives:
        spelled = resolved(parts, here, names)
        if not spelled or not _alone_there(unit, parts, spelled, here):
            continue
        fits = tuple(
            Fit(unit, part, tuple(here[spelled[t]] for t in part.theirs))
            for part in parts
            if all(t in spelled for t in part.theirs)
        )
        if all(_shapes_fit(fit, names) for fit in fits):
            copies = (c for part in parts for c in part.copies if c in here)
            taken = {here[local] for local in (*spelled.values(), *copies)}
            return Place(prefix, fits, frozenset(taken))
    return None


def resolved(parts: list[Part], here: dict[str, str], names: Names) -> dict[str, str] | None:
    """Name of a schema → name in the file, below the layer; None where one is missing.

    Keras numbers the variables of a layer; a mapping may name them as kuai does, and nothing else
    may: what Keras has no name for is another system's, and laid out otherwise.
    """
    groups: dict[str, list[str]] = {}
    for part in parts:
        for theirs in part.theirs:
            groups.setdefault(_outer_of(theirs), []).append(theirs)
    found = {}
    for part in parts:
        for place, theirs in enumerate(part.theirs):
            group = groups[_outer_of(theirs)]
            number = below(_outer_of(theirs), str(group.index(theirs)))
            further = below(_outer_of(theirs), str(len(group)))
            ours = part.ours[place : place + 1] if len(part.theirs) == len(part.ours) else ()
            told = [own for own in ours if own in here and names[here[own]].is_told]
            spellings = [_dotted(theirs), *told] + [number] * (further not in here)
            name = next((n for n in spellings if n in here), None)
            if name is not None:
                found[theirs] = name
            elif not part.optional:
                return None
    return found


def _alone_there(
    unit: Unit, parts: list[Part], spelled: dict[str, str], here: dict[str, str]
) -> bool:
    """Whether nothing else stands beside a layer's arrays; of a plain parameter, anything may."""
    if unit.is_plain:
        return True
    groups = {_outer_of(name) for name in spelled.values()}
    known = {*spelled.values(), *(copy for part in parts for copy in part.copies)}
    return all(name in known or _outer_of(name) not in groups for name in here)


def _shapes_fit(fit: Fit, names: Names) -> bool:
    found = shapes_read(fit, names)
    holders = [fit.unit.holders[path] for path in fit.part.ours]
    return found is not None and all(
        len(shape) == len(holder.shape)
        and all(size in (None, n) for size, n in zip(holder.shape, shape, strict=True))
        for shape, holder in zip(found, holders, strict=True)
    )


def shapes_read(fit: Fit, names: Names) -> list[tuple[int, ...]] | None:
    """The shapes that a part makes of the file's; None where it cannot take them."""
    zero = np.zeros((), np.bool_)
    try:
        arrays = fit.part.read(*(np.broadcast_to(zero, names[n].shape) for n in fit.names))
    except (ValueError, TypeError, IndexError):  # another number of axes, or no multiple
        return None
    shapes = [array.shape for array in arrays]
    return shapes if len(shapes) == len(fit.part.ours) else None


def _each(units: list[Unit], names: Names, prefixes: list[str]) -> Found | None:
    """Every layer at a place of its own, with nothing of the file left."""
    left = names
    found: Found = []
    for unit, prefix in zip(units, prefixes, strict=True):
        place = place_at(unit, prefix, left)
        if place is None:
            return None
        found.append(place)
        left = left.without(place.names)
    return None if left else found


def outers(own: list[str], names: Names) -> Iterator[str]:
    """What the whole file may be called, "module" for example: "" first."""
    yield ""
    first = own[0] if own else ""
    if first:
        inside = (prefix for prefix in names.inside if prefix.endswith(f".{first}"))
        yield from (prefix.removesuffix(f".{first}") for prefix in inside)
    else:
        yield from prefixes(next(iter(names), ""))[:-1]


def below(outer: str, name: str) -> str:
    """A name below another; either may be empty."""
    return f"{outer}.{name}" if outer and name else outer or name


def _outer_of(name: str) -> str:
    return _dotted(name).rpartition(".")[0]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _dotted(name: str) -> str:
    return name.replace("/", ".")
