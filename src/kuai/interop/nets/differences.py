"""What to say when another system's file and a net do not fit, or fit in several ways."""

from __future__ import annotations

from kuai.core.misfits import report
from kuai.core.tree import join
from kuai.interop.nets import matching
from kuai.interop.nets.names import Names, prefixes
from kuai.interop.nets.parts import shapes_written
from kuai.interop.nets.units import Unit


def different(net: str, path: str, layers: list[Unit], spelled: list[Names]) -> str:
    """The full difference between what a net needs and what a file has, by name."""
    needed = _needed(layers)
    own = [unit.name for unit in layers]
    views = [_below(outer, names) for names in spelled for outer in matching.outers(own, names)]
    names = max(views, key=lambda names: len(needed.keys() & names.keys()))
    if not needed.keys() & names.keys():
        return _by_order(net, path, layers, names)
    misfits = [
        f"{name}: expected {needed[name]}, got {names[name].shape}"
        for name in needed.keys() & names.keys()
        if needed[name] is not None and not _may_be(needed[name], names[name].shape)
    ]
    missing = [name for name in needed if name not in names]
    unexpected = [name for name in names if name not in needed]
    if misfits or missing or unexpected:
        return f"{report(net, path, missing, unexpected, sorted(misfits))}\n{_REMEDY}"
    return _by_order(net, path, layers, names)


def _below(outer: str, names: Names) -> Names:
    """What stands below one name, by the rest of its name."""
    return Names({rest: names[name] for rest, name in names.inside.get(outer, {}).items()})


def _needed(layers: list[Unit]) -> dict[str, tuple[int | None, ...] | None]:
    """Their name → shape of what the equivalent network has; None where it is not known."""
    found: dict[str, tuple[int | None, ...] | None] = {}
    for unit in layers:
        for part in unit.alternatives[0]:
            if not part.optional:
                shapes = shapes_written(part, [unit.holders[p].shape for p in part.ours])
                for name, shape in zip(part.theirs, shapes, strict=True):
                    found[join(unit.name, name.replace("/", "."))] = shape
    return found


def _may_be(shape: tuple[int | None, ...] | None, other: tuple[int, ...]) -> bool:
    return shape is None or (
        len(shape) == len(other) and all(a in (None, b) for a, b in zip(shape, other, strict=True))
    )


def _by_order(net: str, path: str, layers: list[Unit], names: Names) -> str:
    """Where the layers of a net and the arrays of a file part, one after the other."""
    left = names
    for unit in layers:
        first = next(iter(left), None)
        here = [matching.place_at(unit, p, left) for p in prefixes(first or "")]
        place = next((p for p in here if p is not None and first in p.names), None)
        if place is None:
            return _parting(net, path, unit, left)
        left = left.without(place.names)
    rest = ", ".join(array.own for array in list(left.values())[:5])
    return (
        f"{path} does not fit {net}; nothing was changed. All layers of the net have arrays, and "
        f"the file has {len(left)} more: {rest}{' ...' if len(left) > 5 else ''}. {_REMEDY}"
    )


_REMEDY = (
    "mapping={their name or what it begins with: our path} says what goes where, with None for "
    "what is not needed; dry_run=True shows it"
)


def _parting(net: str, path: str, unit: Unit, left: Names) -> str:
    wanted = [
        f"{name} {shape if shape is not None else ''}".rstrip()
        for name, shape in _needed([unit]).items()
    ]
    offered = [f"{array.own} {array.shape}" for array in list(left.values())[:4]]
    return (
        f"{path} does not fit {net}; nothing was changed. For {unit} the file would have "
        f"{', '.join(wanted)} or the like; after what fits the layers before, it has "
        f"{', '.join(offered) or 'nothing more'}{' ...' if len(left) > 4 else ''}. {_REMEDY}"
    )


def misplaced(net: str, path: str, unit: Unit, names: Names) -> str:
    """A layer does not fit where the user said that it stands."""
    start = f"{unit.path}." if unit.path else ""
    got = [f"{n.own} {n.shape}" for name, n in names.items() if name.startswith(start)]
    wanted = [f"{name} {shape or ''}".rstrip() for name, shape in _needed([unit]).items()]
    return (
        f"{path} does not fit {net}; nothing was changed. mapping= gives {unit} the arrays "
        f"{', '.join(got[:6])}; expected such as the layer has there: {', '.join(wanted)}"
    )


def ambiguous(net: str, path: str, against: list[tuple[Unit, str, str]]) -> str:
    """The places or the order of a file's layers say one thing, and their names another.

    Args:
        net: its class.
        path: of the file.
        against: (layer, what it would get, what is called as it is).
    """
    lines = [
        f"  {unit}: by order {place!r}, by name {other!r}"
        if place
        else f"  {unit}: {other!r} by name, which goes to another layer by order"
        for unit, place, other in against
    ]
    example = {against[0][2]: against[0][0].path}
    return "\n".join(
        [
            f"{path} may fit {net} in more than one way; nothing was changed.",
            *lines,
            f"Say which it is, for example with mapping={example}; dry_run=True shows it",
        ]
    )
