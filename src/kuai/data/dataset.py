"""A data set in memory: inputs, targets, and the names of the classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kuai.errors import ArgumentError, DataError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets of equal length; unpacks as `x, y = dataset`.

    Args:
        name: for reports.
        x: inputs, the examples along the first axis.
        y: targets; int32 labels from 0 where there are classes.
        classes: the name of each label; None: the targets are numbers, not classes.
        columns: the name of each column of x, as the first line of a table has them; default
            None: they have no names.
        vocabulary: what each number in x stands for, where x is text; default None.

    Raises:
        DataError: no examples, unequal lengths, a label without a class, or a wrong number of
            column names.

    Example:
        >>> x, y = np.zeros((4, 2), np.float32), np.array([0, 1, 1, 0], np.int32)
        >>> data = kuai.data.Dataset("tiny", x, y, classes=("no", "yes"))
        >>> data
        Dataset('tiny': x float32 (4, 2), y int32 (4,), 2 classes)
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    vocabulary: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_lengths(self.name, self.x, self.y)
        if self.classes is not None:
            check_labels(self.name, self.y, self.classes)
        if self.columns is not None and self.x.shape[1:] != (len(self.columns),):
            raise DataError(
                f"{self.name}: expected a name for each input, got {len(self.columns)} names and x "
                f"of shape {self.x.shape}"
            )

    def __len__(self) -> int:
        return len(self.x)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.arrays)

    def __repr__(self) -> str:
        arrays = f"x {self.x.dtype} {self.x.shape}, y {self.y.dtype} {self.y.shape}"
        classes = "" if self.classes is None else f", {len(self.classes)} classes"
        return f"Dataset({self.name!r}: {arrays}{classes})"

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The inputs and targets, as `fit` takes them.

        Example:
            >>> x, y = kuai.data.load("digits").arrays
        """
        return self.x, self.y

    def take(self, indices: np.ndarray) -> Dataset:
        """The examples at the given places, as a data set of the same classes.

        Args:
            indices: along the first axis.

        Example:
            >>> len(kuai.data.load("digits").take(np.arange(10)))
            10
        """
        return replace(self, x=self.x[indices], y=self.y[indices])

    def split(self, test: float | int = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Part the examples into those to train on and those to test with.

        With one class an example, each class has the same share in both parts, to within one
        example. The parts depend on the data, `test` and `seed` only, and keep the order of the
        data.

        Args:
            test: the share (between 0 and 1) or the number (an int) of test examples; default 0.2.
            seed: default 0.

        Returns:
            (train, test).

        Raises:
            ArgumentError: one of the parts would be empty.

        Example:
            >>> train, test = kuai.data.load("digits").split(test=0.2)
            >>> len(train), len(test)
            (1438, 359)
        """
        count = test if isinstance(test, int) else round(test * len(self))
        if not 0 < count < len(self):
            raise ArgumentError(
                f"split of {self.name!r}: expected a share between 0 and 1 or a number from 1 to "
                f"{len(self) - 1} of test examples, got {test!r}: one part would be empty"
            )
        order = np.random.default_rng(seed).permutation(len(self))
        if self.classes is not None and self.y.ndim == 1:
            order = order[np.argsort(_place_in_class(self.y[order]), kind="stable")]
        return self.take(np.sort(order[count:])), self.take(np.sort(order[:count]))


def _place_in_class(labels: np.ndarray) -> np.ndarray:
    """How far along its class each example stands, from 0 to 1.

    Cutting at a place then cuts every class at that place: a stratified split.
    """
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return place


def _check_lengths(name: str, x: np.ndarray, y: np.ndarray) -> None:
    if not x.ndim or not y.ndim or len(x) != len(y):
        raise DataError(
            f"{name}: expected inputs and targets of equal length, got x of shape {x.shape} and y "
            f"of shape {y.shape}"
        )
    if not len(x):
        raise DataError(f"{name}: there are no examples in it (x has the shape {x.shape})")


def check_labels(name: str, labels: np.ndarray, classes: Sequence[str]) -> None:
    """Raise a DataError unless every label is the index of a class."""
    wrong = np.argwhere((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        raise DataError(
            f"{name}: expected labels from 0 to {len(classes) - 1} ({len(classes)} classes), got "
            f"{labels[tuple(wrong[0])]} at example {wrong[0][0]} ({len(wrong)} such labels). Mend "
            "the labels or give the number of classes"
        )
