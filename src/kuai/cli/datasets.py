"""From what `--data` says to a data set, its parts, and its likeness to one seen before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kuai.cli.command import log
from kuai.cli.known import CONTEXT
from kuai.cli.options import Option, UsageError, text
from kuai.data import Dataset, load
from kuai.data import text as load_text
from kuai.data.sources import TEXT
from kuai.errors import ArgumentError, DataError

DATA = Option("data", text, '"digits", text:FILE, or a .npz (x, y) or .csv', "digits", "DATA")
PARTS = ("train", "validation", "test")
TEST_SEED = 0  # not the user's seed: runs that differ in it only are tested on the same examples


@dataclass(frozen=True)
class Parts:
    """A data set parted into examples to train on, to watch, and to test with at the end."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None

    def get(self, name: str) -> Dataset | None:
        """A part by its name."""
        return getattr(self, name)

    def present(self) -> dict[str, Dataset]:
        """The parts that there are, by name."""
        return {name: found for name in PARTS if (found := self.get(name)) is not None}


def read(source: str, context: int = CONTEXT.default, vocabulary: Any = None) -> Dataset:
    """The data set that `--data` names.

    Args:
        source: what it says.
        context: characters in an example, of a text.
        vocabulary: the characters that a net was trained on; None: those of the text.

    Raises:
        UsageError: no data set has that name.
    """
    try:
        if source.startswith(TEXT):
            return load_text(source.removeprefix(TEXT), context, vocabulary=vocabulary)
        return load(source)
    except ArgumentError as error:
        raise UsageError(f"--data: {error}") from None


def read_like(source: str, before: dict[str, Any], context: int) -> Dataset:
    """The data set that `--data` names, as a run's was read.

    Args:
        source: what it says.
        before: what the run's record keeps of its data; empty: there is no run.
        context: characters in an example of a text, where there is no run.
    """
    vocabulary = before.get("vocabulary")
    if not isinstance(vocabulary, list):
        return read(source, context)
    return read(source, int(before["shape"][0]), [str(letter) for letter in vocabulary])


def part(data: Dataset, *, test: float, validation: float, seed: int) -> Parts:
    """Hold out a test part, the same for every seed, then a validation part of the rest.

    Args:
        data: all examples.
        test: share of all examples.
        validation: share of the examples that are left.
        seed: of the validation part.
    """
    rest, test_part = _split(data, "test", test, TEST_SEED)
    train, validation_part = _split(rest, "validation", validation, seed)
    return Parts(train, validation_part, test_part)


def _split(data: Dataset, name: str, share: float, seed: int) -> tuple[Dataset, Dataset | None]:
    if share == 0:
        return data, None
    try:
        return data.split(share, seed)
    except ArgumentError:
        raise UsageError(
            f"--{name} {share}: that share of {len(data)} examples is none; give a larger one, "
            f"or --{name} 0 to do without"
        ) from None


def facts(source: str, data: Dataset) -> dict[str, Any]:
    """What run.json keeps of a data set, enough to know it again."""
    return {
        "source": source,
        "name": data.name,
        "examples": len(data),
        "shape": list(data.x.shape[1:]),
        "dtype": str(data.x.dtype),
        "columns": None if data.columns is None else list(data.columns),
        "classes": None if data.classes is None else list(data.classes),
        "vocabulary": None if data.vocabulary is None else list(data.vocabulary),
        "fingerprint": fingerprint(data),
    }


def fingerprint(data: Dataset) -> str:
    """A digest of every number in the data set."""
    digest = hashlib.sha256()
    for array in data.arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def in_order(
    name: str,
    x: np.ndarray,
    columns: tuple[str, ...] | None,
    wanted: tuple[str, ...] | None,
) -> np.ndarray:
    """Inputs in the order of the columns that a net was trained on, told by their names.

    Args:
        name: of the table, for messages.
        x: the inputs.
        columns: their names; None: taken to be in the order of the training.
        wanted: the names in the order of the training; None: not known, nothing to compare with.

    Raises:
        DataError: there are other columns, or another number of them.
    """
    if wanted is None or columns == wanted:
        return x
    if columns is None:
        if x.shape[1:] != (len(wanted),):
            raise DataError(
                f"{name}: expected {len(wanted)} columns, as in the training ({_some(wanted)}), "
                f"got inputs of shape {x.shape[1:]}"
            )
        return x
    if sorted(columns) != sorted(wanted) or len(set(columns)) < len(columns):
        raise DataError(_other_columns(name, columns, wanted))
    log.info("%s: columns put in the order of the training: %s", name, _some(wanted))
    return x[:, [columns.index(column) for column in wanted]]


def _other_columns(name: str, columns: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    missing = [column for column in wanted if column not in columns]
    unknown = [column for column in columns if column not in wanted]
    told = [
        f"got {_some(columns)}",
        *([f"{_some(missing)} missing"] if missing else []),
        *([f"{_some(unknown)} not known"] if unknown else []),
        *(["a table with a target is for --data"] if "label" in unknown else []),
    ]
    return (
        f"{name}: expected the columns that the net was trained on ({_some(wanted)}), each once, "
        + "; ".join(told)
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:8], *(["..."] if len(names) > 8 else [])])


def relabel(data: Dataset, classes: list[str] | None) -> Dataset:
    """The data set with labels that mean what they meant in training.

    A file that lacks a class would number the others anew.

    Raises:
        DataError: a class is unknown, or there are classes in one of the two only.
    """
    if (data.classes is None) != (classes is None):
        wanted, found = ("numbers", "labels") if classes is None else ("labels", "numbers")
        raise DataError(f"{data.name}: the net was trained on {wanted} as targets, got {found}")
    if data.classes is None or classes is None or data.classes == tuple(classes):
        return data
    present = [data.classes[label] for label in np.unique(data.y)]
    unknown = [name for name in present if name not in classes]
    if unknown:
        raise DataError(
            f"{data.name}: expected the classes that the net was trained on "
            f"({', '.join(classes[:10])}), got {', '.join(unknown[:10])}"
        )
    numbers = np.array([classes.index(name) if name in classes else -1 for name in data.classes])
    return replace(data, y=numbers[data.y].astype(np.int32), classes=tuple(classes))
