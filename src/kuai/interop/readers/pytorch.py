"""Checkpoints of PyTorch: the zip that torch.save writes, and the stream it wrote before 1.6."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO

from kuai.interop.readers.flatten import flattened, part
from kuai.interop.readers.pickles import Pickle
from kuai.interop.readers.pytorch_values import Storage, lookup, storage
from kuai.interop.readers.source import Packed, Source, Span
from kuai.interop.readers.weights import Weights

MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def root_of(names: list[str]) -> str | None:
    """The folder inside a zip that makes it a PyTorch checkpoint; None: it is none."""
    roots = [name[: -len("data.pkl")] for name in names if name.endswith("/data.pkl")]
    return roots[0] if len(roots) == 1 and roots[0].count("/") == 1 else None


def read_zip(
    source: Source, members: dict[str, Span | Packed], root: str, key: str | None
) -> Weights:
    """Read a checkpoint that is a zip archive.

    Args:
        source: the file.
        members: the archive's.
        root: as `root_of` found it.
        key: the part of a nested checkpoint; default all of it.

    Raises:
        FileFormatError: the file is damaged.
        UnsafeFileError: its pickle names what is not on the list.
        UnsupportedFileError: it is TorchScript or a whole module, or holds tensors that are
            quantised, sparse or big-endian.
    """
    if root + "constants.pkl" in members or any(n.startswith(root + "code/") for n in members):
        raise source.unsupported(
            "it is a TorchScript archive, a program with its weights",
            "in PyTorch: torch.save(torch.jit.load(path).state_dict(), 'net.pt')",
        )
    order = members.get(root + "byteorder")
    if order is not None and order.head(16) != b"little":
        raise _big_endian(source)
    storages: dict[str, Storage] = {}

    def persistent(reference: Any) -> Storage:
        found = storage(source, reference)
        where = members.get(f"{root}data/{found.key}")
        if where is None or where.length != found.nbytes:
            raise source.damaged(
                f"the storage {found.key[:40]!r} should have {found.nbytes:,} bytes, the archive "
                f"has {'none' if where is None else f'{where.length:,}'}"
            )
        found.where = where
        return _once(source, storages, found)

    pickled = members[root + "data.pkl"].read()
    tree = Pickle(source, io.BytesIO(pickled), len(pickled), lookup(source), persistent).load()
    return _weights(source, tree, key)


def read_legacy(source: Source, key: str | None) -> Weights:
    """Read a checkpoint of PyTorch before 1.6: five pickles, then the storages.

    Args:
        source: the file.
        key: the part of a nested checkpoint; default all of it.

    Raises:
        As `read_zip`.
    """
    storages: dict[str, Storage] = {}

    def persistent(reference: Any) -> Storage:
        return _once(source, storages, storage(source, reference))

    with source.open() as file:
        if (_plain(source, file), _plain(source, file)) != (MAGIC, _PROTOCOL):
            raise source.damaged("it does not begin as PyTorch's checkpoints do")
        system = _plain(source, file)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise _big_endian(source)
        tree = Pickle(source, file, source.size, lookup(source), persistent).load()
        _place(source, file, storages)
    return _weights(source, tree, key)


def _place(source: Source, file: BinaryIO, storages: dict[str, Storage]) -> None:
    """Find the bytes of the storages, which stand behind the pickles in an order told first."""
    keys = _plain(source, file)
    if not isinstance(keys, list) or any(type(key) is not str for key in keys):
        raise source.damaged("the list of its storages is none")
    if sorted(keys) != sorted(storages):
        raise source.damaged("its storages are not those that its tensors need")
    at = file.tell()
    for key in keys:
        count = struct.unpack("<q", Span(source, at, 8).read())[0]
        if count != storages[key].count:
            raise source.damaged(f"the storage {key[:40]!r} does not have the length it should")
        storages[key].where = Span(source, at + 8, storages[key].nbytes)
        at += 8 + storages[key].nbytes
    if at != source.size:
        raise source.damaged("something stands behind its storages")


def _plain(source: Source, file: BinaryIO) -> Any:
    return Pickle(source, file, source.size, lambda _module, _name: None).load()


def _once(source: Source, storages: dict[str, Storage], found: Storage) -> Storage:
    known = storages.setdefault(found.key, found)
    if (known.dtype, known.count) != (found.dtype, found.count):
        raise source.damaged(f"the storage {found.key[:40]!r} is told of twice, differently")
    return known


def _weights(source: Source, tree: Any, key: str | None) -> Weights:
    flat = flattened(source, part(source, tree, key))
    is_flat = flat.is_flat and key is None
    return Weights(
        source.path, "torch", source.format, flat.arrays, metadata=flat.values, is_flat=is_flat
    )


def _big_endian(source: Source) -> Exception:
    return source.unsupported(
        "it was written on a big-endian machine", "load it in PyTorch and save it as safetensors"
    )
