"""Data as chunks of steps: rows of arrays on the device where they fit, else stacks of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.data.batches import ArrayBatches, Batches
from kuai.data.loaders import as_batches
from kuai.data.nested import common_length, map_arrays
from kuai.errors import ArgumentError, DataError
from kuai.train.batch import check_batch, on_device
from kuai.train.program import Chunk
from kuai.train.step import LIMIT

_RESIDENT_BYTES = 512 * 2**20  # arrays up to this size stay on the device
_SMALL_BATCH_BYTES = 2**20  # batches up to this size are stacked
_STACK = 8  # steps a stack


def training_batches(
    data: Any, batch_size: int | None, *, shuffle: bool, seed: int, drop_last: bool
) -> Batches:
    """Batches of what `fit` is given; `shuffle` means arrays only.

    Raises:
        DataError, ArgumentError: as `kuai.data.as_batches`.
    """
    found = as_batches(data)
    if found is data or not isinstance(found, ArrayBatches):
        return as_batches(data, batch_size, drop_last=drop_last)
    return as_batches(data, batch_size, shuffle=shuffle, seed=seed, drop_last=drop_last)


def limited(batches: Batches, count: int | None, *, shuffle: bool = False) -> Batches:
    """The first batches only, always the same ones."""
    if count is None:
        return batches
    if isinstance(batches, ArrayBatches):
        rows = count * batches.batch_size
        arrays = map_arrays(lambda array: array[:rows], batches.arrays)
        return ArrayBatches(arrays, batches.batch_size, shuffle=shuffle, seed=batches.seed)
    return as_batches(list(islice(batches, count)))


def split_off(data: Any, share: Any, seed: int) -> tuple[Any, Any]:
    """Arrays parted into those to train on and a random share to validate with.

    Raises:
        ArgumentError: the share is none.
        DataError: the data is no arrays, or a part would be empty.
    """
    if not isinstance(share, float):
        raise ArgumentError(
            f"validation={share}: expected a share between 0 and 1 such as 0.1, or data such as "
            "(x, y)"
        )
    batches = as_batches(data)
    if not isinstance(batches, ArrayBatches):
        raise DataError(
            f"validation={share}: a share can be split off arrays only, got {type(data).__name__}; "
            "give validation=(x, y) or batches of its own"
        )
    length = common_length(batches.arrays, "the data")
    count = round(share * length)
    if not 0 < share < 1 or not 0 < count < length:
        raise DataError(
            f"validation={share}: expected a share between 0 and 1 that leaves examples in both "
            f"parts of {length}"
        )
    order = np.random.default_rng([seed, 0]).permutation(length)
    parts = np.sort(order[count:]), np.sort(order[:count])
    return _rows_of(batches.arrays, parts[0]), _rows_of(batches.arrays, parts[1])


def _rows_of(arrays: Any, places: np.ndarray) -> Any:
    return map_arrays(lambda array: array[places], arrays)


class Source:
    """Batches, given out as chunks of steps.

    Args:
        batches: of the data.
        stack: how many batches make a stack where the arrays do not stay on the device; None: by
            their size.
    """

    def __init__(self, batches: Batches, stack: int | None = None) -> None:
        self.batches = batches
        self._stack = stack
        self._resident: tuple[list[jax.Array], Any] | None = None
        if isinstance(batches, ArrayBatches):
            check_batch(batches.arrays)
            if _bytes_of(batches.arrays) <= _RESIDENT_BYTES:
                self._resident = jax.tree.flatten(on_device(batches.arrays))

    def __len__(self) -> int:
        return len(self.batches)

    @property
    def steps(self) -> int | None:
        """Steps an epoch, where that is known."""
        try:
            return len(self)
        except TypeError:
            return None

    def first_batch(self) -> Any:
        """A batch to learn shapes from, if that takes nothing away."""
        if not isinstance(self.batches, ArrayBatches):
            return None
        rows = self.batches.batch_size
        return on_device(map_arrays(lambda array: array[:rows], self.batches.arrays))

    def chunks(self, epoch: int, first: int, steps: Callable[[], int]) -> Iterator[Chunk]:
        """The steps of an epoch from the `first` on.

        Args:
            epoch: which pass over the data.
            first: steps to leave out.
            steps: tells how many steps the next chunk shall have at most.
        """
        if self._resident is not None:
            return self._rows(epoch, first, steps)
        self.batches.restore({**self.batches.state(), "epoch": epoch, "batch": first})
        return self._stacks(iter(self.batches))

    def _rows(self, epoch: int, first: int, steps: Callable[[], int]) -> Iterator[Chunk]:
        leaves, treedef = self._resident  # type: ignore[misc]  # chunks() has looked
        batches: Any = self.batches
        length, rows = len(leaves[0]), batches.batch_size
        order = jnp.asarray(_order(batches, epoch, length))
        whole = length // rows
        while first < whole:
            count = min(steps(), whole - first)
            yield Chunk(leaves, treedef, order, first * rows, rows, count)
            first += count
        if first < len(batches):
            yield Chunk(leaves, treedef, order, whole * rows, length - whole * rows, 1)

    def _stacks(self, batches: Iterator[Any]) -> Iterator[Chunk]:
        waiting: list[Any] = []
        for batch in batches:
            check_batch(batch)
            if waiting and _shapes(batch) != _shapes(waiting[0]):
                yield self._stacked(waiting)
                waiting = []
            waiting.append(batch)
            if len(waiting) >= self._capacity(batch):
                yield self._stacked(waiting)
                waiting = []
        if waiting:
            yield self._stacked(waiting)

    def _capacity(self, batch: Any) -> int:
        if self._stack is not None:
            return min(self._stack, LIMIT)
        return _STACK if _bytes_of(batch) <= _SMALL_BATCH_BYTES else 1

    def _stacked(self, batches: list[Any]) -> Chunk:
        """Batches of one shape end to end, filled up so that every stack has one shape."""
        steps, capacity = len(batches), self._capacity(batches[0])
        filled = [*batches, *[batches[0]] * (capacity - steps)]
        stacked = jax.tree.map(lambda *arrays: jnp.asarray(np.concatenate(arrays)), *filled)
        leaves, treedef = jax.tree.flatten(stacked)
        order = jnp.arange(len(leaves[0]), dtype=jnp.int32)
        return Chunk(leaves, treedef, order, 0, len(leaves[0]) // capacity, steps)


def _order(batches: Any, epoch: int, length: int) -> np.ndarray:
    order = batches._order(epoch)
    return np.arange(length, dtype=np.int32) if order is None else order.astype(np.int32)


def _bytes_of(arrays: Any) -> int:
    return sum(array.nbytes for array in jax.tree.leaves(arrays))


def _shapes(batch: Any) -> Any:
    return jax.tree.structure(batch), [(a.shape, a.dtype) for a in jax.tree.leaves(batch)]
