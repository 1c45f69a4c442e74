"""A net's weights as another system's file, under the names of the equivalent network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kuai import files
from kuai.core.block import Block
from kuai.core.parameter import State
from kuai.core.tree import join
from kuai.errors import ArgumentError, CheckpointError
from kuai.files.access import checked_path
from kuai.interop.nets import flattening, keras_slopes
from kuai.interop.nets.keras_config import config_of, input_shape
from kuai.interop.nets.names import check_all_match, leading, unchanged
from kuai.interop.nets.parts import Part
from kuai.interop.nets.schemas import SYSTEMS, meant
from kuai.interop.nets.units import Unit, units
from kuai.interop.writers.gluon import write_gluon
from kuai.interop.writers.keras import write_keras_archive, write_keras_weights
from kuai.interop.writers.paddle import write_paddle
from kuai.interop.writers.pytorch import write_pytorch


def save(net: Block, path: Any, *, system: str, paths: set[str], mapping: Any, sample: Any) -> None:
    """Write a file of another system, as `Block.save` documents.

    Args:
        net: its values are made.
        path: of the file.
        system: whose.
        paths: of the arrays to write.
        mapping: as for `Block.save`.
        sample: as for `Block.save`.
    """
    if system not in SYSTEMS:
        raise ArgumentError(
            f"save: expected system to be one of {', '.join(SYSTEMS)}, or none for a file of kuai, "
            f"got {system!r}{meant(system)}"
        )
    place = checked_path(path)
    config = None
    if system == "keras" and is_archive(place):
        config = _config(net, paths, mapping, sample)
    write(place, system, written(net, system, paths, mapping, sample), config)


@dataclass
class Written:
    """What stands in another system's file.

    Attributes:
        arrays: their name → array.
        aliases: further name → the name that has the same array.
        groups: place of the variables of a layer → these, in their order, where a file numbers its
            arrays, as Keras's do; None: it does not.
        names: place → what its layer is called.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[np.ndarray]] | None = None
    names: dict[str, str] = field(default_factory=dict)


def write(place: Path, system: str, found: Written, config: dict[str, Any] | None) -> None:
    """Write a file of a system; for Keras a `.keras` where there is a configuration."""
    if found.groups is not None and config is not None:
        write_keras_archive(place, config, found.groups, found.names)
    elif found.groups is not None:
        write_keras_weights(place, found.groups, found.names)
    elif system == "torch" and place.suffix == ".safetensors":
        arrays = found.arrays | {further: found.arrays[n] for further, n in found.aliases.items()}
        files.write_arrays(place, arrays, {"format": "pt"})
    else:
        writer = {"torch": write_pytorch, "paddle": write_paddle, "gluon": write_gluon}[system]
        writer(place, found.arrays, found.aliases)


def written(net: Block, system: str, paths: set[str], mapping: Any, sample: Any) -> Written:
    """The arrays of a net as another system has them.

    Raises:
        ArgumentError: a sample is needed, or the mapping is none.
        CheckpointError: the system has no such layer, or two arrays have one name there.
    """
    every = dict(net.named_holders())
    chosen = {id(every[path]) for path in paths}
    layers = units(net, system, again=system != "keras")  # Keras lists a shared layer once
    if system == "keras":
        layers = keras_slopes.with_axes(net, layers, sample)
    _check_known(layers, system, chosen)
    orders = flattening.orders(net, layers, flattening.order_of(system), sample)
    rename = (lambda name: name) if mapping is None else leading(mapping)
    found = Written(groups={} if system == "keras" else None)
    first: dict[Any, str] = {}
    for unit in layers:
        for part in unit.alternatives[0] if unit.alternatives else ():
            if _is_chosen(unit, part, system, chosen):
                _add(found, first, unit, part, orders.get(unit.path), rename)
    if mapping is not None and all(rename(name) == name for name in _named(layers)):
        raise ArgumentError(unchanged("save", _named(layers)))
    if mapping is not None:
        check_all_match("save", mapping, _named(layers))
    if found.groups is not None:
        found.groups |= _groups(found.arrays)
    return found


def _named(layers: list[Unit]) -> list[str]:
    """The names that kuai gives by itself."""
    return [
        join(unit.name, name.replace("/", "."))
        for unit in layers
        for part in (unit.alternatives or [[]])[0]
        for name in part.theirs
    ]


def _is_chosen(unit: Unit, part: Part, system: str, chosen: set[int]) -> bool:
    """Whether all arrays of a part are to be written.

    Raises:
        CheckpointError: only some are, of what stands in one array there; or, in Keras, which
            numbers the arrays of a layer, only some of the layer.
    """
    paths = unit.holders if system == "keras" else part.ours
    are_chosen = {id(unit.holders[path]) in chosen for path in paths}
    if len(are_chosen) > 1:
        raise CheckpointError(
            f"save: select= takes some of {', '.join(paths)} of {unit}, which {system} keeps "
            "together; nothing was written. Select all of them, or none"
        )
    return are_chosen != {False}


def _check_known(layers: list[Unit], system: str, chosen: set[int]) -> None:
    unknown = [
        str(unit)
        for unit in layers
        if not unit.alternatives and any(id(h) in chosen for h in unit.holders.values())
    ]
    if unknown:
        raise CheckpointError(
            f"save: {system} has no layer like {', '.join(unknown)}; nothing was written. "
            "select= takes the others alone, and save(path) writes kuai's own file"
        )


def _add(
    found: Written,
    first: dict[Any, str],
    unit: Unit,
    part: Part,
    order: np.ndarray | None,
    rename: Callable[[str], Any],
) -> None:
    """The arrays of one part, or their further names where they are there already."""
    names = [rename(join(unit.name, name.replace("/", "."))) for name in part.theirs]
    for name in names:
        if not isinstance(name, str) or not name or name in found.arrays or name in found.aliases:
            raise CheckpointError(
                f"save: {unit} would have the name {name!r}, which is none or stands twice; "
                "nothing was written. mapping= gives it another"
            )
    copies = {rename(join(unit.name, copy)): names[0] for copy in part.copies}
    known = tuple(id(unit.holders[path]) for path in part.ours), part.theirs
    if part.ours and known in first and found.groups is None:
        found.aliases |= dict.fromkeys([*names, *copies], first[known])
        return
    first[known] = names[0]
    arrays = part.write(*(ours_of(unit, path, order) for path in part.ours))
    found.arrays |= dict(zip(names, arrays, strict=True))
    found.aliases |= copies


def ours_of(unit: Unit, path: str, order: np.ndarray | None) -> np.ndarray:
    """An array of a layer, with its rows in the order that the other system has."""
    array = np.asarray(unit.holders[path].concrete())
    if order is None or path not in flattening.rows_of(unit.block):
        return array
    return array[np.argsort(order)]


def is_archive(path: Path) -> bool:
    """Whether a file of Keras is one of a whole model, and not of weights alone."""
    if not path.name.endswith((".weights.h5", ".keras")):
        raise ArgumentError(
            f"save: expected a name that ends in .weights.h5 or .keras, got {path.name!r}: Keras "
            "goes by it"
        )
    return path.suffix == ".keras"


def _config(net: Block, paths: set[str], mapping: Any, sample: Any) -> dict[str, Any]:
    """What a `.keras` archive of a net tells of it."""
    saved = {p for p, h in net.named_holders() if not (isinstance(h, State) and not h.persistent)}
    if mapping is not None or saved - paths:
        raise ArgumentError(
            "save: a .keras archive is a whole model under Keras's own names; select= and mapping= "
            "are for .weights.h5"
        )
    return config_of(net, input_shape(net, sample))


def _groups(arrays: dict[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Place of the variables of a layer → these, in their order."""
    grouped: dict[str, list[np.ndarray]] = {}
    for name, array in arrays.items():
        layer = name.rpartition(".")[0].replace(".", "/")
        grouped.setdefault(join(layer, "vars").replace(".", "/"), []).append(array)
    return grouped
