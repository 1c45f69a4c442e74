"""What the targets of a file mean: labels of classes, or numbers to predict."""

from __future__ import annotations

import numpy as np

from kuai.data.dataset import Dataset, check_labels
from kuai.errors import ArgumentError, DataError


def dataset_from(name: str, x: np.ndarray, y: np.ndarray, classes: int | None) -> Dataset:
    """Make a data set of arrays as a file holds them.

    Text becomes labels of the sorted names; whole numbers are labels already; other numbers are
    targets of a regression, of shape (examples, outputs).

    Args:
        name: for messages.
        x: inputs.
        y: targets.
        classes: the number of classes; None: found from the labels.

    Raises:
        DataError: the arrays are no data set.
    """
    x = inputs_from(name, x)
    column = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if column.ndim == 1 and column.dtype.kind in "iub":
        return _with_labels(name, x, column, classes)
    if classes is not None:
        raise ArgumentError(
            f"{name}: classes={classes} is for labels that are whole numbers, got targets of the "
            f"dtype {y.dtype} and shape {y.shape}; leave it out"
        )
    if column.ndim == 1 and column.dtype.kind == "U":
        names, labels = np.unique(column, return_inverse=True)
        return Dataset(name, x, labels.astype(np.int32), tuple(map(str, names)))
    targets = _finite(name, "y", _floats(name, "y", y))
    return Dataset(name, x, targets[:, None] if targets.ndim == 1 else targets)


def _with_labels(name: str, x: np.ndarray, labels: np.ndarray, classes: int | None) -> Dataset:
    names = _class_names(name, labels, classes)
    check_labels(name, labels, names)  # before they are made int32, which could hide them
    return Dataset(name, x, labels.astype(np.int32), names)


def inputs_from(name: str, x: np.ndarray) -> np.ndarray:
    """Inputs as a data set has them: floats as float32, pixels from 0 to 1, tokens as int32.

    Raises:
        DataError: they are no finite numbers.
    """
    if x.dtype == np.uint8:
        return x.astype(np.float32) / 255
    if x.dtype.kind in "iu":
        return _int32(name, x)
    return _finite(name, "x", _floats(name, "x", x))


def _int32(name: str, x: np.ndarray) -> np.ndarray:
    limits = np.iinfo(np.int32)
    if x.size and (x.min() < limits.min or x.max() > limits.max):
        raise DataError(
            f"{name}: expected whole numbers that int32 can hold in x, got {x.min()} to {x.max()}. "
            f"Save quantities as floats"
        )
    return x.astype(np.int32)


def _floats(name: str, what: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name}: expected numbers in {what}, got the dtype {array.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinite, and named
        return array.astype(np.float32)


def _finite(name: str, what: str, array: np.ndarray) -> np.ndarray:
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        place = ", ".join(map(str, wrong[0]))
        raise DataError(
            f"{name}: expected finite float32 numbers, got {array[tuple(wrong[0])]} at "
            f"{what}[{place}] ({len(wrong)} such numbers). Drop those examples or fill them in"
        )
    return array


def _class_names(name: str, labels: np.ndarray, classes: int | None) -> tuple[str, ...]:
    if classes is None:
        classes = int(labels.max(initial=0)) + 1
        if classes > max(len(labels), 2):
            raise DataError(
                f"{name}: expected labels from 0 up, got {classes - 1} among {len(labels)} "
                f"examples. Give the number of classes; or, if the targets are quantities, write "
                f"them with a decimal point; or, if they are names, as text"
            )
    return tuple(map(str, range(classes)))
