"""Inputs without targets, out of a file: what `kuai predict --input` reads.

The numbers are read as `kuai.data.load` reads those of a data set, so that a net sees what it saw
in training.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from kuai.cli.options import UsageError
from kuai.data.csv_table import Columns, read_csv_inputs
from kuai.data.npz import read_npy, read_npz_inputs
from kuai.data.targets import inputs_from
from kuai.errors import DataError, FileAccessError

_READERS: dict[str, Callable[[Path], tuple[np.ndarray, Columns]]] = {
    ".npz": lambda path: (read_npz_inputs(path), None),
    ".npy": lambda path: (read_npy(path), None),
    ".csv": read_csv_inputs,
}


def read_inputs(path: Path) -> tuple[np.ndarray, Columns]:
    """Read the array `x` (or the first) of an .npz, an .npy, or all columns of a .csv, with names.

    Raises:
        UsageError: the name ends in nothing of these.
        FileAccessError: the file is missing or cannot be read.
        FileFormatError: it is of another format.
        DataError: it holds no numbers, or not as a table.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"--input: expected a file that ends in .npz, .npy or .csv, got {path}")
    if not path.is_file():
        raise FileAccessError(f"--input {path}: no such file")
    try:
        x, columns = reader(path)
    except OSError as error:
        raise FileAccessError(f"--input {path}: cannot be read ({error.strerror})") from error
    if x.ndim == 0 or not len(x):
        raise DataError(f"{path}: expected at least one example, got an array of shape {x.shape}")
    return inputs_from(path.name, x), columns
