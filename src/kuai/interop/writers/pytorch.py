"""Writing state dicts that torch.load takes, without PyTorch."""

from __future__ import annotations

import itertools
import os
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from kuai.files.durable import write_with
from kuai.interop.readers.pytorch_values import DTYPES, STORAGES
from kuai.interop.writers import pickles as pickles
from kuai.interop.writers.common import little_endian, places, raw_bytes
from kuai.interop.writers.zips import opened_aligned, put

_ROOT = "archive"
_ALIGNMENT = 64  # torch's own, so that mapped tensors suit vector instructions
_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
_TYPED = {np.dtype(dtype): n for n, dtype in STORAGES.items() if n != "UntypedStorage"}
_ORDERED_DICT = pickles.called(pickles.named("collections", "OrderedDict"))


def write_pytorch(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Any],
    aliases: Mapping[str, str] | None = None,
) -> None:
    """Write a state dict as torch.save does: a zip that `torch.load(weights_only=True)` takes.

    `mmap=True` works too: the arrays stand uncompressed, at multiples of 64 bytes.

    Args:
        path: the file, such as "net.pt"; an existing one is replaced only when the new one is
            whole on the disk.
        arrays: name → array of any dtype that PyTorch has; each is asked for once, one at a time.
        aliases: further name → first name; default none. They share a storage, so tied parameters
            are tied when PyTorch loads them.

    Raises:
        ArgumentError: a name is no text, or an alias stands for no array.
        DtypeError: PyTorch has no such dtype.
        FileAccessError: the file cannot be written. The old one is whole.

    Example:
        >>> import os, tempfile
        >>> from kuai.interop.writers.pytorch import write_pytorch
        >>> path = os.path.join(tempfile.mkdtemp(), "net.pt")
        >>> write_pytorch(path, {"weight": np.ones((2, 3), np.float32)}, {"tied": "weight"})
        >>> weights = kuai.interop.read(path)
        >>> weights.system, weights.shapes, weights.aliases
        ('torch', {'weight': (2, 3), 'tied': (2, 3)}, {'tied': 'weight'})
    """
    of = places(path, arrays, aliases or {})

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            put(archive, f"{_ROOT}/byteorder", b"little")
            tensors: dict[str, bytes] = {}
            for name in dict.fromkeys(of.values()):
                array = little_endian(path, name, arrays[name], "PyTorch", _NAMES)
                key = str(len(tensors))
                where = f"{_ROOT}/data/{key}"
                with opened_aligned(archive, file, where, array.nbytes, _ALIGNMENT) as out:
                    out.write(raw_bytes(array))
                tensors[name] = _tensor(key, array)
            put(archive, f"{_ROOT}/data.pkl", _state_dict(of, tensors))
            put(archive, f"{_ROOT}/version", b"3\n")

    write_with(path, write)


def _state_dict(of: Mapping[str, str], tensors: Mapping[str, bytes]) -> bytes:
    items = (pickles.text(name) + tensors[first] for name, first in of.items())
    return b"".join([pickles.PROTOCOL_2, _ORDERED_DICT, b"(", *items, b"u", pickles.STOP])


def _tensor(key: str, array: np.ndarray) -> bytes:
    """A tensor that is all of a storage; dtypes without a storage class say what they are."""
    typed = _TYPED.get(array.dtype)
    home = ("torch", typed) if typed else ("torch.storage", "UntypedStorage")
    storage = pickles.tuple_of(
        pickles.text("storage"),
        pickles.named(*home),
        pickles.text(key),
        pickles.text("cpu"),
        pickles.number(array.size if typed else array.nbytes),
    )
    size, stride = pickles.numbers(array.shape), pickles.numbers(_strides(array))
    view = (storage + pickles.BY_ID, pickles.number(0), size, stride)
    without_gradient = (pickles.FALSE, _ORDERED_DICT)
    if typed:
        rebuild = pickles.named("torch._utils", "_rebuild_tensor_v2")
        return pickles.called(rebuild, *view, *without_gradient)
    rebuild = pickles.named("torch._utils", "_rebuild_tensor_v3")
    dtype = pickles.named("torch", _NAMES[array.dtype])
    return pickles.called(rebuild, *view, *without_gradient, dtype)


def _strides(array: np.ndarray) -> tuple[int, ...]:
    """In elements, as PyTorch counts them, which takes an empty axis for one of length 1."""
    sizes = [max(size, 1) for size in array.shape[:0:-1]]
    return tuple(itertools.accumulate(sizes, int.__mul__, initial=1))[::-1] if array.ndim else ()
