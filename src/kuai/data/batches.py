"""Batches of any data, in an order that can be taken up again where it was left.

A position is (epoch, batch): the next batch that will be given. It moves on as a batch is handed
out, so that whoever saves it after working on a batch goes on with the one that follows. To know
that a batch is the last of its epoch, the one after it is fetched first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kuai.data.nested import common_length, map_arrays, numpy_arrays
from kuai.errors import ArgumentError, DataError

_END = object()


class Batches:
    """Base of all batches: one pass over them is one epoch, and their position can be saved.

    Subclasses give `_epoch(number, first)`, an iterator over the batches of an epoch from the
    `first` on, and may tell `_identity`, what a saved position belongs to.
    """

    _position = (0, 0)
    _restored = False

    def __iter__(self) -> Iterator[Any]:
        epoch, batch = self._position
        if batch and not self._restored:  # the pass before was left early
            epoch, batch = epoch + 1, 0
        self._position, self._restored = (epoch, batch), False
        return self._pass(epoch, batch)

    def _pass(self, epoch: int, batch: int) -> Iterator[Any]:
        coming = self._epoch(epoch, batch)
        current = next(coming, _END)
        if current is _END:
            raise DataError("the data gave no batch; expected at least one an epoch")
        while current is not _END:
            following = next(coming, _END)
            batch += 1
            self._position = (epoch + 1, 0) if following is _END else (epoch, batch)
            yield current
            current = following

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} does not know how many batches an epoch has")

    def _epoch(self, number: int, first: int) -> Iterator[Any]:
        raise NotImplementedError

    def _identity(self) -> dict[str, int]:
        return {}

    def state(self) -> dict[str, int]:
        """The position in the data, as plain numbers for a checkpoint.

        Whoever fetches batches ahead of their use keeps the state with each batch.

        Example:
            >>> batches = kuai.data.ArrayBatches(np.arange(6), batch_size=2)
            >>> next(iter(batches))
            array([0, 1])
            >>> state = batches.state()
            >>> state["epoch"], state["batch"]
            (0, 1)
        """
        epoch, batch = self._position
        return {"epoch": epoch, "batch": batch, **self._identity()}

    def restore(self, state: dict[str, int]) -> None:
        """Go to a position that `state` gave: the next pass begins there.

        Args:
            state: of batches over the same data.

        Raises:
            DataError: it belongs to other data, another batch size or another seed.

        Example:
            >>> batches = kuai.data.ArrayBatches(np.arange(6), batch_size=2)
            >>> batches.restore(batches.state() | {"batch": 2})
            >>> list(batches)
            [array([4, 5])]
        """
        for key, value in self._identity().items():
            if state.get(key) != value:
                raise DataError(
                    f"the saved position belongs to data with {key}={state.get(key)}, this data "
                    f"has {key}={value}: going on from there would skip or repeat examples"
                )
        self._position, self._restored = (state["epoch"], state["batch"]), True


class ArrayBatches(Batches):
    """Batches of arrays in memory, shuffled anew for each epoch if wanted.

    The order of an epoch depends on the seed and the epoch's number only.

    Args:
        arrays: an array, or arrays in tuples, lists and dicts, of equal length along the first
            axis; of any library that NumPy takes arrays from.
        batch_size: examples a batch; default 32.
        shuffle: whether each epoch has an order of its own; default False.
        seed: of the shuffling; default 0.
        drop_last: whether to leave out a last batch that is not full; default False.

    Raises:
        DataError: the lengths differ, or there is not one batch.
        ArgumentError: `batch_size` is not a whole number from 1.

    Example:
        >>> x, y = np.arange(10).reshape(5, 2), np.arange(5)
        >>> batches = kuai.data.ArrayBatches((x, y), batch_size=2)
        >>> len(batches), [labels.tolist() for _, labels in batches]
        (3, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self,
        arrays: Any,
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ArgumentError(f"batch_size: expected a whole number from 1, got {batch_size!r}")
        self.arrays = numpy_arrays(arrays, "the data")
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self._examples = common_length(self.arrays, "the data")
        if not len(self):
            raise DataError(
                f"the data has {self._examples} examples, not one full batch of {batch_size}; take "
                f"a smaller batch_size, or drop_last=False"
            )

    def __len__(self) -> int:
        whole, rest = divmod(self._examples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def _epoch(self, number: int, first: int) -> Iterator[Any]:
        order = self._order(number)
        for batch in range(first, len(self)):
            chosen = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            yield self._take(chosen if order is None else order[chosen])

    def _take(self, indices: slice | np.ndarray) -> Any:
        return map_arrays(lambda array: array[indices], self.arrays)

    def _order(self, epoch: int) -> np.ndarray | None:
        if not self.shuffle:
            return None
        return np.random.default_rng([self.seed, epoch]).permutation(self._examples)

    def _identity(self) -> dict[str, int]:
        return {"examples": self._examples, "batch_size": self.batch_size, "seed": self.seed}
