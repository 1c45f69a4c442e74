"""`load`: a data set by its name or from a file."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from kuai.data.csv_table import Columns, read_csv
from kuai.data.dataset import Dataset
from kuai.data.npz import read_npz
from kuai.data.targets import dataset_from
from kuai.data.text_file import text
from kuai.errors import ArgumentError, FileAccessError, MissingExtraError

TEXT = "text:"  # what stands before the name of a text file


def load(source: str | os.PathLike[str], *, classes: int | None = None) -> Dataset:
    """Load a data set that ships with a library, or a file of one's own.

    Args:
        source: `"digits"` (1,797 handwritten digits of 8 × 8 pixels, from scikit-learn); or the
            path of an `.npz` file with the arrays `x` and `y` (or the first two); or of a `.csv`
            file whose target is in the column `label` or in the last one, column names optional;
            or `"text:FILE"`, which is `kuai.data.text(FILE)`.
        classes: the number of classes, where the labels of a file do not show all; default: found
            from the labels.

    Returns:
        Text targets become labels of the sorted names, whole numbers are labels from 0, other
        numbers are float32 targets of a regression. Floats in x become float32; bytes are taken
        for pixels and become float32 from 0 to 1; other whole numbers (tokens) int32.

    Raises:
        ArgumentError: no data set has that name.
        MissingExtraError: the library that ships it is not installed.
        FileAccessError: the file is missing or cannot be read.
        FileFormatError: the archive is damaged, hostile or of another format.
        DataError: the file holds no data set that can be used; the message says where.

    Example:
        >>> kuai.data.load("digits")
        Dataset('digits': x float32 (1797, 64), y int32 (1797,), 10 classes)

    Reference:
        E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
        Repository, 1998.
    """
    name = os.fspath(source)
    if name in _EMBEDDED:
        return _with_classes(_EMBEDDED[name](), classes)
    if name.startswith(TEXT):
        return _with_classes(text(name.removeprefix(TEXT)), classes)
    path = Path(name)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ArgumentError(_unknown(name))
    if not path.is_file():
        problem = "is no regular file" if path.exists() else "does not exist"
        raise FileAccessError(f"{name}: the file {problem}. Give the path of a .npz or .csv file")
    try:
        x, y, columns = reader(path)
    except PermissionError as error:
        raise FileAccessError(f"{name}: the file cannot be read ({error.strerror})") from error
    return replace(dataset_from(path.name, x, y, classes), columns=columns)


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError(
            'the digits ship with scikit-learn: pip install "kuai-nn[data]"'
        ) from error
    x, y = load_digits(return_X_y=True)
    classes = tuple(map(str, range(10)))
    return Dataset("digits", (x / 16).astype(np.float32), y.astype(np.int32), classes)


def _with_classes(dataset: Dataset, classes: int | None) -> Dataset:
    found = len(dataset.classes or ())
    if classes is not None and classes != found:
        raise ArgumentError(f"{dataset.name!r} has {found} classes, got classes={classes}")
    return dataset


_EMBEDDED: dict[str, Callable[[], Dataset]] = {"digits": _digits}
_READERS: dict[str, Callable[[Path], tuple[np.ndarray, np.ndarray, Columns]]] = {
    ".npz": lambda path: (*read_npz(path), None),
    ".csv": read_csv,
}


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, _EMBEDDED, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"kuai.data.load: expected one of {sorted(_EMBEDDED)}, text:FILE, or the path of a file "
        f"that ends in {' or '.join(_READERS)}, got {name!r}{hint}"
    )
