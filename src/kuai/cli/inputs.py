"""Inputs without targets, out of a file: what `kuai predict --input` reads.

The numbers are read as `kuai.data.load` reads those of a data set, so that a net sees what it saw
in training.
"""

from __future__ import annotations

import csv
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from kuai.cli.options import UsageError
from kuai.data.npz import read_npz
from kuai.data.targets import dataset_from
from kuai.errors import DataError, FileAccessError, FileFormatError

# As in kuai.data.npz, and for its reasons.
_FREE_BYTES = 256 * 2**20
_PACKING_LIMIT = 100


def read_inputs(path: Path) -> np.ndarray:
    """Read the array `x` (or the only one) of an .npz, an .npy, or all columns of a .csv.

    Raises:
        UsageError: the name ends in nothing of these.
        FileAccessError: the file is missing or cannot be read.
        FileFormatError: it is of another format.
        DataError: it holds no numbers, or not as a table.
    """
    reader = {".npz": _npz, ".npy": _npy, ".csv": _csv}.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"--input: expected a file that ends in .npz, .npy or .csv, got {path}")
    if not path.is_file():
        raise FileAccessError(f"--input {path}: no such file")
    try:
        x = reader(path)
    except OSError as error:
        raise FileAccessError(f"--input {path}: cannot be read ({error.strerror})") from error
    if x.ndim == 0 or not len(x):
        raise DataError(f"{path}: expected at least one example, got an array of shape {x.shape}")
    return dataset_from(path.name, x, np.zeros(len(x), np.int64), None).x


def _npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return _array(path, file, path.stat().st_size)


def _npz(path: Path) -> np.ndarray:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) >= 2:
                return read_npz(path)[0]  # x, or the first
            for info in members:
                _check_packing(path, info)
                with archive.open(info) as file:
                    return _array(path, file, info.file_size)
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise FileFormatError(f"{path}: expected a NumPy archive (.npz), but {error}") from None
    raise DataError(f"{path}: expected an array x, got an empty archive")


def _check_packing(path: Path, info: zipfile.ZipInfo) -> None:
    if info.file_size > max(_FREE_BYTES, _PACKING_LIMIT * info.compress_size):
        raise FileFormatError(
            f"{path}: {info.filename} would unpack to {info.file_size} bytes from "
            f"{info.compress_size}; if you trust it, write it again with np.savez"
        )


def _array(path: Path, file: IO[bytes], size: int) -> np.ndarray:
    """An array whose header tells the truth about its size: read before memory is taken."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        read = read if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.hasobject or file.tell() + math.prod(shape) * dtype.itemsize != size:
            raise ValueError("its header does not fit the file, or it holds Python objects")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, TypeError, SyntaxError) as error:
        raise FileFormatError(f"{path}: expected an array of numbers, but {error}") from None


def _csv(path: Path) -> np.ndarray:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, strict=True) if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV table in UTF-8, but {error}") from None
    if rows and not any(map(_is_number, rows[0])):
        rows = rows[1:]  # names of the columns
    if len({len(row) for row in rows}) > 1:
        raise DataError(f"{path}: expected rows of equal length")
    try:
        return np.array([[float(cell) for cell in row] for row in rows])
    except ValueError as error:
        raise DataError(
            f"{path}: expected numbers in all columns, but {error}; for a table with a target "
            "column use --data"
        ) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
