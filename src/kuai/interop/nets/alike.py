"""A net's weights as the file that they came from has them: its names, its places, its layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kuai.core import weights as own_weights
from kuai.core.block import Block
from kuai.core.tree import join
from kuai.errors import ArgumentError, CheckpointError
from kuai.files.access import checked_path
from kuai.interop.nets import flattening
from kuai.interop.nets.loading import Request, found_in, system_of
from kuai.interop.nets.matching import Fit, Place
from kuai.interop.nets.placing import Placed
from kuai.interop.nets.saving import Written, is_archive, ours_of, write
from kuai.interop.readers.reading import read
from kuai.interop.readers.weights import Weights


def save_alike(
    net: Block, path: Any, like: Any, *, system: str | None, mapping: Any, sample: Any
) -> None:
    """Write the arrays of a file with the values that a net has now, as `Block.save` documents.

    Args:
        net: its values are made.
        path: of the new file.
        like: path of the file whose names and places are taken; both may be one.
        system: as for `Block.load` of that file.
        mapping: as for `Block.load` of that file.
        sample: as for `Block.load` of that file.
    """
    weights = read(like)
    wrote = system_of(weights, system, "save")
    place = checked_path(path)
    _check_can_be_written(weights, wrote, place)
    found = found_in(net, weights, wrote, Request(system=system, mapping=mapping, sample=sample))
    layers = [unit for unit, _ in found.pairs]
    orders = flattening.orders(net, layers, flattening.order_of(wrote, weights), sample)
    config = weights.metadata["config"] if wrote == "keras" and is_archive(place) else None
    write(place, wrote, _written(weights, found, orders, wrote), config)


def _check_can_be_written(weights: Weights, system: str, place: Path) -> None:
    """Refuse what kuai cannot put into a file of the same kind again.

    Raises:
        ArgumentError: it is of kuai or TensorFlow, no mapping of names, or one whose places Keras
            did not number; or the new file's name is another system's.
    """
    if system == "kuai" or weights.system == "tensorflow" or not weights.is_flat:
        kind = "" if weights.is_flat else ", nested, in parts or exported"
        raise ArgumentError(
            "save: expected like= to be one file with a flat state dict of torch, paddle or gluon, "
            f"or of keras, got {weights.path} ({weights.format}{kind}); save with system= and put "
            "the arrays in place there"
        )
    ends = next((of for end, of in own_weights.ENDS.items() if place.name.endswith(end)), system)
    if ends != system:
        raise ArgumentError(
            f"save: {place.name} ends as a file of {ends} does, and like= is one of {system}: "
            f"{weights.path}"
        )
    if system == "keras":
        numbers = [path.rpartition("/")[2] for path in weights.metadata.get("paths", {}).values()]
        needed = ["paths", *["config"] * is_archive(place)]
        if not all(key in weights.metadata for key in needed) or not all(
            number.isdecimal() for number in numbers
        ):
            raise ArgumentError(
                f"save: {weights.path} ({weights.format}) does not have what {place.name} needs of "
                "it; give like= a .keras, or a .weights.h5 for one of these, in which Keras 3 has "
                "numbered the variables of its layers"
            )


def _written(
    weights: Weights, found: Placed, orders: dict[str, np.ndarray], system: str
) -> Written:
    given: dict[str, np.ndarray] = {}
    ties: dict[str, str] = {}
    for unit, place in found.pairs:
        for fit in (fit for fit in place.fits if fit.part.ours):
            ours = (ours_of(unit, path, orders.get(unit.path)) for path in fit.part.ours)
            theirs = [found.names[name].own for name in fit.names]
            for name, array in zip(theirs, fit.part.write(*ours), strict=True):
                given[name] = _as_there(weights, name, array)
            ties |= dict.fromkeys(_copies(place, fit, found), theirs[0])
    result = Written(groups={} if system == "keras" else None)
    for name in weights:
        first = ties.get(name, weights.aliases.get(name))
        own = given.get(name)
        if first in result.arrays and (own is None or np.array_equal(own, result.arrays[first])):
            result.aliases[name] = first
        else:
            result.arrays[name] = weights[name] if own is None else own
    if system == "keras":
        _number(weights, result)
    return result


def _as_there(weights: Weights, name: str, array: np.ndarray) -> np.ndarray:
    """The array with the dtype that the file's has, and its axes of size 1."""
    shape = weights.shapes[name]
    if [n for n in shape if n > 1] != [n for n in array.shape if n > 1]:
        raise CheckpointError(
            f"save: {name} of {weights.path} has the shape {shape}, and the net's is {array.shape} "
            "there; nothing was written"
        )
    return array.reshape(shape).astype(weights.dtypes[name])


def _copies(place: Place, fit: Fit, found: Placed) -> list[str]:
    """What the file calls an array further."""
    further = (join(place.prefix, copy) for copy in fit.part.copies)
    return [found.names[name].own for name in further if name in found.names]


def _number(weights: Weights, written: Written) -> None:
    """Put the arrays where Keras has numbered them, and the names where it tells them."""
    assert written.groups is not None  # noqa: S101  # for the type checker: it is a file of Keras
    paths: dict[str, str] = weights.metadata["paths"]
    written.names = weights.metadata["names"]
    written.groups |= {group: [] for group in written.names}
    for name, path in sorted(paths.items(), key=lambda item: int(item[1].rpartition("/")[2])):
        array = written.arrays[written.aliases.get(name, name)]
        written.groups.setdefault(path.rpartition("/")[0], []).append(array)
