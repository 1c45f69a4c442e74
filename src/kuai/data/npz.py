"""A NumPy archive as a data set: the arrays `x` and `y`, or the first two.

Nothing in it can run code (no pickles), and an array is read only when its header, the archive's
index and the size of the file agree, so that a small file cannot ask for all memory.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from kuai.errors import DataError, FileFormatError, KuaiError

# RuntimeError: encrypted; NotImplementedError: packed in a way that zipfile does not know.
_UNPACKING_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
_Members = dict[str, zipfile.ZipInfo]
_FREE_BYTES = 256 * 2**20  # below this, unpacking does no harm however well it was packed
_PACKING_LIMIT = 100  # deflate reaches 1032 on zeros; arrays worth training on stay below 30


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read inputs and targets.

    Raises:
        FileFormatError: it is no NumPy archive, or is damaged or hostile.
        DataError: it has not the arrays needed.
    """
    x, y = _arrays(path, _pair)
    return x, y


def read_npz_inputs(path: Path) -> np.ndarray:
    """Read inputs alone: the array `x`, or the first.

    Raises:
        FileFormatError: it is no NumPy archive, or is damaged or hostile.
        DataError: there is no array in it.
    """
    (x,) = _arrays(path, _inputs)
    return x


def read_npy(path: Path) -> np.ndarray:
    """Read a file that is one array.

    Raises:
        FileFormatError: it is no array, or is damaged or hostile.
    """
    with path.open("rb") as file:
        return _array(path, path.name, file, path.stat().st_size)


def _arrays(path: Path, choose: Callable[[Path, _Members], list[str]]) -> list[np.ndarray]:
    """The arrays of an archive that are chosen by their names."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(path, archive)
            return [_read(path, archive, members[key]) for key in choose(path, members)]
    except (KuaiError, PermissionError):
        raise
    except (*_UNPACKING_ERRORS, OSError, ValueError) as error:
        raise FileFormatError(
            f"{path}: expected a NumPy archive (.npz), but it cannot be unpacked "
            f"({str(error)[:100]}). Write it again with np.savez"
        ) from error


def _members(path: Path, archive: zipfile.ZipFile) -> _Members:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(members) < len(archive.infolist()):
        raise FileFormatError(f"{path}: two arrays in the archive have the same name")
    return members


def _pair(path: Path, members: _Members) -> list[str]:
    chosen = ["x", "y"] if {"x", "y"} <= members.keys() else list(members)[:2]
    if len(chosen) < 2:
        raise DataError(
            f"{path}: expected two arrays, x and y, got {list(members) or 'none'}. Write them with "
            f"np.savez(path, x=inputs, y=targets)"
        )
    return chosen


def _inputs(path: Path, members: _Members) -> list[str]:
    if not members:
        raise DataError(f"{path}: expected an array x, got an empty archive")
    return ["x"] if "x" in members else list(members)[:1]


def _read(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.file_size > max(_FREE_BYTES, _PACKING_LIMIT * info.compress_size):
        raise FileFormatError(
            f"{path}: {info.filename} would unpack to {info.file_size} bytes from "
            f"{info.compress_size}. If you trust it, write it again with np.savez (not compressed)"
        )
    with archive.open(info) as file:
        return _array(path, info.filename, file, info.file_size)


def _array(path: Path, name: str, file: IO[bytes], size: int) -> np.ndarray:
    """An array whose header tells the truth about its size; no memory is taken before."""
    try:
        needed = _bytes_by_header(file)
        if needed != size:
            raise ValueError(f"its shape needs {needed} bytes, the file has {size}")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, TypeError, SyntaxError, OverflowError, MemoryError, EOFError) as error:
        raise FileFormatError(
            f"{path}: {name} is no array that can be read ({str(error)[:100]}). Only "
            f"arrays of numbers or text are; write it again with np.savez (or np.save)"
        ) from error


def _bytes_by_header(file: Any) -> int:
    """How long the file of an array is if its header tells the truth."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"array format {version} is unknown")
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code")
    return file.tell() + math.prod(shape) * dtype.itemsize
