"""A net's weights as the file that they came from has them: its names, its places, its layouts."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    wrote = system_of(weights, system)
    if wrote == "kuai" or weights.system == "tensorflow":
        raise ArgumentError(
            f"save: expected like= to be a file of torch, keras, paddle or gluon, got one of "
            f"{weights.system}: {weights.path}"
        )
    place = checked_path(path)
    config = weights.metadata.get("config") if wrote == "keras" and is_archive(place) else None
    if wrote == "keras" and (
        "paths" not in weights.metadata or (config is None and is_archive(place))
    ):
        raise ArgumentError(
            f"save: {weights.path} ({weights.format}) does not have what {place.name} needs of it; "
            "give like= a .keras, or a .weights.h5 for one of these, that Keras 3 wrote"
        )
    request = Request(system=system, mapping=mapping, sample=sample)
    found = found_in(net, weights, wrote, request)
    layers = [unit for unit, _ in found.pairs]
    orders = flattening.orders(net, layers, flattening.order_of(wrote, weights), sample)
    write(place, wrote, _written(weights, found, orders, wrote), config)


def _written(
    weights: Weights, found: Placed, orders: dict[str, np.ndarray], system: str
) -> Written:
    given: dict[str, np.ndarray] = {}
    ties: dict[str, str] = {}
    for unit, place in found.pairs:
        for fit in place.fits:
            ours = (ours_of(unit, path, orders.get(unit.path)) for path in fit.part.ours)
            own = [found.names[name].own for name in fit.names]
            for name, array in zip(own, fit.part.write(*ours), strict=True):
                given[name] = _as_there(weights, name, array)
            ties |= dict.fromkeys(_copies(place, fit, found), own[0])
    result = Written(groups={} if system == "keras" else None)
    for name in weights:
        first = ties.get(name, weights.aliases.get(name))
        if first in result.arrays:
            result.aliases[name] = first
        else:
            result.arrays[name] = given[name] if name in given else weights[name]
    if system == "keras":
        _number(weights, result)
    return result


def _as_there(weights: Weights, name: str, array: np.ndarray) -> np.ndarray:
    """The array with the axes of size 1 that the file's has."""
    shape = weights.shapes[name]
    if [n for n in shape if n > 1] != [n for n in array.shape if n > 1]:
        raise CheckpointError(
            f"save: {name} of {weights.path} has the shape {shape}, and the net's is {array.shape} "
            "there; nothing was written"
        )
    return array.reshape(shape)


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
