"""What to say when another system's file and a net do not fit, or fit in several ways."""

from __future__ import annotations

from collections.abc import Sequence

from kuai import nn
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
    shown = _with_paths(layers)
    misfits = [
        f"{shown[name]}: expected {needed[name]}, got {names[name].shape}"
        for name in needed.keys() & names.keys()
        if needed[name] is not None and not _may_be(needed[name], names[name].shape)
    ]
    missing = [name for name in needed if name not in names]
    unexpected = [name for name in names if name not in needed]
    if misfits or missing or unexpected:
        told = report(net, path, missing, unexpected, sorted(misfits), shown=shown)
        one_bias = (_of_one_bias(unit, _shapes_at(unit, names)) for unit in layers)
        return f"{told}\n{next(filter(None, one_bias), '')}{_REMEDY}"
    return _by_order(net, path, layers, names)


def _shapes_at(unit: Unit, names: Names) -> list[tuple[int, ...]]:
    """The shapes of what the file has under the names of a layer."""
    return [names[name].shape for name in _needed([unit]) if name in names]


def _below(outer: str, names: Names) -> Names:
    """What stands below one name, by the rest of its name."""
    return Names({rest: names[name] for rest, name in names.inside.get(outer, {}).items()})


def _with_paths(layers: list[Unit]) -> dict[str, str]:
    """Their name → it, and beside it the layer's array here where it is called otherwise."""
    found: dict[str, str] = {}
    for unit in layers:
        for part in unit.alternatives[0]:
            for place, theirs in enumerate(part.theirs):
                name = join(unit.name, theirs.replace("/", "."))
                ours = part.ours[place : place + 1] if len(part.theirs) == len(part.ours) else ()
                path = join(unit.path, ours[0]) if ours else unit.path
                found[name] = f"{name} (here {path})" if path and unit.name != unit.path else name
    return found


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
    if not left:
        return _several(net, path, layers, names)
    rest = ", ".join(array.own for array in list(left.values())[:5])
    return (
        f"{path} does not fit {net}; nothing was changed. All layers of the net have arrays, and "
        f"the file has {len(left)} more: {rest}{' ...' if len(left) > 5 else ''}. {_REMEDY}"
    )


def _several(net: str, path: str, layers: list[Unit], names: Names) -> str:
    """Every layer fits, but the file has no order and its names do not say which goes where."""
    head = (
        f"{path} may fit {net} in more than one way; nothing was changed. The file has no order "
        "of its own, its names are not those of the net, and several places fit:"
    )
    lines = [head]
    unsure = [(unit, [p.prefix for p in matching.candidates(unit, names)]) for unit in layers]
    unsure = [(unit, fitting) for unit, fitting in unsure if len(fitting) > 1]
    for unit, fitting in unsure[:4]:
        more = f" ... ({len(fitting)} in all)" if len(fitting) > 4 else ""
        lines.append(f"  {unit}: {', '.join(map(repr, fitting[:4]))}{more}")
    if len(unsure) > 4:
        lines.append(f"  and {len(unsure) - 4} layers more")
    return "\n".join([*lines, _REMEDY])


_REMEDY = (
    "mapping={their name or what it begins with: our path} says what goes where, with None for "
    "what is not needed; dry_run=True shows it"
)


def _parting(net: str, path: str, unit: Unit, left: Names) -> str:
    shown = _with_paths([unit])
    wanted = [
        f"{shown[name]} {shape if shape is not None else ''}".rstrip()
        for name, shape in _needed([unit]).items()
    ]
    offered = [f"{array.own} {array.shape}" for array in list(left.values())[:4]]
    return (
        f"{path} does not fit {net}; nothing was changed. For {unit} the file would have "
        f"{', '.join(wanted)} or the like; after what fits the layers before, it has "
        f"{', '.join(offered) or 'nothing more'}{' ...' if len(left) > 4 else ''}. "
        f"{_of_one_bias(unit, [array.shape for array in list(left.values())[:3]])}{_REMEDY}"
    )


def _of_one_bias(unit: Unit, shapes: Sequence[tuple[int | None, ...]]) -> str:
    """What to say where a GRU of Keras may have one bias in place of two rows; "" elsewhere."""
    is_packed = any("bias" in "".join(p.theirs) and len(p.ours) == 2 for p in unit.alternatives[0])
    if not isinstance(unit.block, (nn.GRU, nn.GRUCell)) or not is_packed:
        return ""
    rows = next(h.shape for path, h in unit.holders.items() if path.endswith("recurrent_bias"))
    if rows not in shapes:
        return ""
    return (
        f"A bias of shape {rows} in place of {(2, *rows)} is that of a GRU with reset_after=False, "
        f"another formula, which kuai has not; {unit} is one with reset_after=True. "
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
