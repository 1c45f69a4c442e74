"""Weights of Keras: `.keras` archives, `.weights.h5`, and the older `.h5` of whole models."""

from __future__ import annotations

from typing import Any

from kuai.interop.readers.hdf5 import Tree
from kuai.interop.readers.jsons import parsed
from kuai.interop.readers.keras_names import recovered
from kuai.interop.readers.source import Packed, Source, Span
from kuai.interop.readers.weights import Stored, Weights, named_once

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
_OWN = "top_level_model_weights"  # of a model itself, beside its layers


def read_archive(source: Source, members: dict[str, Span | Packed]) -> Weights:
    """Read the weights of a `.keras` archive; its configuration gives names and nothing is built.

    Args:
        source: the file.
        members: the archive's.

    Raises:
        FileFormatError: it is damaged.
        UnsafeFileError: it points out of itself.
        UnsupportedFileError: the archive is compressed.
    """
    config = parsed(source, members[CONFIG].read(), CONFIG)
    where = members[WEIGHTS]
    if isinstance(where, Packed):
        raise source.unsupported(
            "its weights are compressed", "unpack the archive and read model.weights.h5"
        )
    return _by_place(source, Tree(where), config)


def read_h5(source: Source) -> Weights:
    """Read a `.weights.h5`, or the `.h5` of a whole model.

    Raises:
        As `read_archive`.
    """
    tree = Tree(source.whole())
    for root in ("model_weights", ""):
        layers = tree.lists(root, "layer_names")
        if layers is not None:
            return _by_layer(source, tree, root, layers)
    return _by_place(source, tree, None)


def _by_place(source: Source, tree: Tree, config: dict[str, Any] | None) -> Weights:
    """Arrays that stand where Keras 3 puts them."""

    def own_name(group: str) -> str | None:
        name = tree.attributes.get((f"{group}/vars", "name"))
        return name if isinstance(name, str) and "/" not in name else None

    written = _in_writing_order(tree.arrays)
    names = recovered(written, own_name, config)
    stored = {names[path]: tree.arrays[path] for path in written}
    told = {group: name for (group, what), name in tree.attributes.items() if what == "name"}
    metadata: dict[str, Any] = {"paths": {name: path for path, name in names.items()}}
    metadata["names"] = {
        group: name
        for group, name in told.items()
        if isinstance(name, str) and group.rpartition("/")[2] == "vars"
    }
    if config is not None or any(own_name(path.partition("/vars/")[0]) for path in written):
        metadata["named"] = True  # by the layers themselves, and not by their places alone
    if config is not None:
        metadata["config"] = config
    return Weights(source.path, "keras", source.format, stored, metadata=metadata)


def _in_writing_order(arrays: dict[str, Stored]) -> list[str]:
    """The paths layer by layer, as Keras wrote them: HDF5 lists by letter, the bytes tell."""
    first: dict[str, int] = {}
    for path, stored in arrays.items():
        start = stored.place.start if isinstance(stored.place, Span) else 0
        group = path.rpartition("/")[0]
        first[group] = min(start, first.get(group, start))

    def place(path: str) -> tuple[int, str, int, str]:
        group, _, name = path.rpartition("/")
        return first[group], group, int(name) if name.isdecimal() else 0, name

    return sorted(arrays, key=place)


def _by_layer(source: Source, tree: Tree, root: str, layers: list[str]) -> Weights:
    """Arrays that their layers' groups name, as Keras 1 and 2 do."""
    prefix = f"{root}/" if root else ""
    stored: dict[str, Stored] = {}
    names: list[str] = []
    for layer in (_OWN, *layers):
        for weight in tree.lists(f"{prefix}{layer}", "weight_names") or ():
            path = f"{prefix}{layer}/{weight}"
            if path not in tree.arrays:
                raise source.damaged(f"the weight {weight[:80]!r} is missing")
            names.append(weight.removesuffix(":0"))
            stored[names[-1]] = tree.arrays[path]
    named_once(source, names)
    metadata = {}
    config = tree.attributes.get(("", "model_config"))
    if isinstance(config, str):
        metadata["config"] = parsed(source, config.encode(), "model_config")
    return Weights(source.path, "keras", source.format, stored, metadata=metadata)
