"""Batches out of whatever a user has: arrays, lists, generators, the loaders of other systems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from kuai.data.batches import ArrayBatches, Batches
from kuai.data.dataset import Dataset
from kuai.data.nested import common_length, numpy_arrays
from kuai.errors import ArgumentError, DataError


class IterableBatches(Batches):
    """Batches that a loader or a generator makes, as NumPy arrays.

    A position is restored by passing over the batches before it, so that it is exact for loaders
    that give the same batches in every run.

    Args:
        source: any iterable of batches (a list, a DataLoader of torch, Gluon, Paddle or Keras), or
            a function without arguments that returns one. A generator serves one epoch only.

    Raises:
        DataError: on iteration: the source is used up or empty, or a batch is no arrays of equal
            length.

    Example:
        >>> batches = kuai.data.IterableBatches(lambda: (np.ones((2, n)) for n in (3, 4)))
        >>> [batch.shape for batch in batches]
        [(2, 3), (2, 4)]
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self._used_up = False

    def __len__(self) -> int:
        return len(self.source)

    def _epoch(self, number: int, first: int) -> Iterator[Any]:
        for batch, raw in islice(enumerate(self._fresh()), first, None):
            place = f"batch {batch} of epoch {number}"
            arrays = numpy_arrays(raw, place)
            common_length(arrays, place)
            yield arrays

    def _fresh(self) -> Iterator[Any]:
        if isinstance(self.source, Iterator):
            if self._used_up:
                raise DataError(
                    "the data is a generator (or another iterator) and is used up after one epoch. "
                    "Give a list, a DataLoader, or a function that makes a new generator"
                )
            self._used_up = True
        source = self.source() if _is_function(self.source) else self.source
        if not isinstance(source, Iterable):  # Keras: a length and items, which never end
            return (source[number] for number in range(len(source)))
        return iter(source)


def as_batches(
    data: Any,
    batch_size: int | None = None,
    *,
    shuffle: bool = False,
    seed: int = 0,
    drop_last: bool = False,
) -> Batches:
    """Batches of whatever `fit` is given.

    Args:
        data: arrays (a tuple such as `(x, y)`, a dict, a single array, a `Dataset`); or batches (a
            list, any iterable, a DataLoader, a function that makes one); or `Batches` already.
        batch_size: for arrays only; default 32.
        shuffle: for arrays only; default False.
        seed: for arrays only; default 0.
        drop_last: for arrays only; default False.

    Returns:
        An iterable of batches of NumPy arrays; one pass is one epoch.

    Raises:
        DataError: it is no data, or arrays of unequal length.
        ArgumentError: batches were given together with a batch size, or asked to be shuffled.

    Example:
        >>> x, y = np.zeros((100, 8)), np.zeros(100)
        >>> [xb.shape for xb, yb in kuai.data.as_batches((x, y), batch_size=64)]
        [(64, 8), (36, 8)]
    """
    if _is_arrays(data):
        arrays = getattr(data, "arrays", data)
        size = 32 if batch_size is None else batch_size
        return ArrayBatches(arrays, size, shuffle=shuffle, seed=seed, drop_last=drop_last)
    if batch_size is not None or shuffle or drop_last:
        raise ArgumentError(
            f"batch_size, shuffle and drop_last are for arrays in memory; the data is batches "
            f"already ({type(data).__name__}): let its loader see to them"
        )
    if isinstance(data, Batches):
        return data
    if isinstance(data, str):
        raise DataError(
            f"expected arrays such as (x, y), a Dataset, or an iterable of batches, got the text "
            f"{data[:60]!r}; kuai.data.load makes a Dataset of a name or file"
        )
    if not (_is_function(data) or isinstance(data, Iterable) or _has_items(data)):
        raise DataError(
            f"expected arrays such as (x, y), a Dataset, or an iterable of batches, got "
            f"{type(data).__name__}"
        )
    return IterableBatches(data)


def _is_arrays(data: Any) -> bool:
    # A list is a list of batches, a tuple is the arrays themselves, as everywhere in the field.
    return isinstance(data, (tuple, dict, Dataset)) or hasattr(data, "shape")


def _has_items(data: Any) -> bool:
    return hasattr(data, "__getitem__") and hasattr(data, "__len__")


def _is_function(data: Any) -> bool:
    return callable(data) and not isinstance(data, Iterable) and not _has_items(data)
