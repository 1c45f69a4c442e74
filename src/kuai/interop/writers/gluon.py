"""Writing MXNet's `.params`, which Gluon's load_parameters takes, without MXNet."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from kuai.files.durable import write_with
from kuai.interop.readers.gluon import DENSE, DTYPES, MAGIC, V2, V3
from kuai.interop.writers.common import little_endian, places, raw_bytes

_CODES = {np.dtype(dtype): code for code, dtype in enumerate(DTYPES)}
# The format has numbers for more, but MXNet 1 has no arrays of them.
_WRITTEN = tuple(
    np.dtype(dtype)
    for dtype in (
        np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int64, np.int32, np.int8,
        np.uint8, np.bool_,
    )
)  # fmt: skip
_CPU = (1, 0)


def write_gluon(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Any],
    aliases: Mapping[str, str] | None = None,
) -> None:
    """Write a parameter file that Gluon's `load_parameters` and `mx.nd.load` take.

    The layout, which every MXNet since 1.0 reads, has no place for scalars and empty arrays. A file
    with any of those gets the layout of MXNet 1.6, which reads it under `mx.util.np_shape(True)`.

    Args:
        path: the file, such as "net.params"; an existing one is replaced only when the new one is
            whole on the disk.
        arrays: name → array, the names as `load_parameters` wants them ("0.weight"), or with the
            prefixes `arg:` and `aux:` of an exported model. One is held at a time.
        aliases: further name → first name; default none. The format cannot share: the array is
            written again under each name.

    Raises:
        ArgumentError: a name is no text, or an alias stands for no array.
        DtypeError: MXNet 1 has no such dtype.
        FileAccessError: the file cannot be written. The old one is whole.

    Example:
        >>> import os, tempfile
        >>> from kuai.interop.writers.gluon import write_gluon
        >>> path = os.path.join(tempfile.mkdtemp(), "net.params")
        >>> write_gluon(path, {"0.weight": np.ones((2, 3), np.float32)})
        >>> weights = kuai.interop.read(path)
        >>> weights.system, weights.shapes
        ('gluon', {'0.weight': (2, 3)})
    """
    of = places(path, arrays, aliases or {})

    def write(file: BinaryIO) -> None:
        file.write(MAGIC + struct.pack("<QQ", 0, len(of)))
        starts, fits_v2 = [], True
        for name, first in of.items():
            array = little_endian(path, name, arrays[first], "MXNet", _WRITTEN)
            starts.append(file.tell())
            fits_v2 = fits_v2 and array.ndim > 0 and array.size > 0
            _write_array(file, array)
        _write_names(file, list(of))
        if not fits_v2:
            _make_v3(file, starts)

    write_with(path, write)


def _write_names(file: BinaryIO, names: list[str]) -> None:
    file.write(struct.pack("<Q", len(names)))
    for name in names:
        encoded = name.encode("utf-8")
        file.write(struct.pack("<Q", len(encoded)) + encoded)


def _make_v3(file: BinaryIO, starts: list[int]) -> None:
    """The marks of all arrays, which MXNet wants to be alike; what follows them is the same."""
    for start in starts:
        file.seek(start)
        file.write(struct.pack("<I", V3))


def _write_array(file: BinaryIO, array: np.ndarray) -> None:
    file.write(struct.pack("<Iii", V2, DENSE, array.ndim))
    file.write(struct.pack(f"<{array.ndim}q", *array.shape))
    file.write(struct.pack("<iii", *_CPU, _CODES[array.dtype]))
    file.write(raw_bytes(array))
