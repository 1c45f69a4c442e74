"""How arrays of a layer stand in another system, and how they stand here.

A part names some of the layer's arrays on both sides and turns those of one side into those of the
other. It looks at the layer's arrays together where one system packs what another keeps apart.
Everything is said by the kind of layer and the system, never guessed from a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = Sequence[np.ndarray]
Turn = Callable[..., Arrays]


@dataclass(frozen=True)
class Part:
    """Arrays that are translated together.

    Args:
        theirs: names below the layer's own in the other system.
        ours: paths below the layer's own here; none: kuai has no need of what they keep.
        read: theirs → ours.
        write: ours → theirs.
        how: what `read` does, in a word or two; "" where nothing.
        optional: whether a file of theirs may lack it.
        copies: further names under which their files have the same array again.
    """

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    read: Turn
    write: Turn
    how: str = ""
    optional: bool = False
    copies: tuple[str, ...] = ()


def same(theirs: str, ours: str) -> Part:
    """The same on both sides."""
    return Part((theirs,), (ours,), _as_is, _as_is)


def turned(theirs: str, ours: str, axes: Sequence[int]) -> Part:
    """With their axis `axes[i]` as our axis i."""
    back = tuple(int(axis) for axis in np.argsort(axes))
    return Part(
        (theirs,),
        (ours,),
        lambda array: [array.transpose(axes)],
        lambda array: [array.transpose(back)],
        "transposed" if len(axes) == 2 else f"axes {', '.join(map(str, axes))}",
    )


def folded(theirs: str, ours: str, inner: Callable[[int], tuple[int, int]], axis: int) -> Part:
    """One axis here that is two axes there.

    Args:
        theirs: their name.
        ours: our path.
        inner: the size of our axis → the sizes of their two.
        axis: ours, and the first of theirs.
    """

    def read(array: np.ndarray) -> Arrays:
        sizes = array.shape
        joined = sizes[axis] * sizes[axis + 1]
        if sizes[axis : axis + 2] != inner(joined):
            raise ValueError(f"{theirs}: {sizes} is split otherwise")
        return [array.reshape(*sizes[:axis], joined, *sizes[axis + 2 :])]

    def write(array: np.ndarray) -> Arrays:
        sizes = array.shape
        return [array.reshape(*sizes[:axis], *inner(sizes[axis]), *sizes[axis + 1 :])]

    return Part((theirs,), (ours,), read, write, "axes joined")


def packed(theirs: str, ours: Sequence[str], *, transposed: bool) -> Part:
    """Several of ours that stand one below the other in one of theirs."""

    def read(array: np.ndarray) -> Arrays:
        parts = np.split(array, len(ours))
        return [part.T for part in parts] if transposed else parts

    def write(*arrays: np.ndarray) -> Arrays:
        return [np.concatenate([array.T for array in arrays] if transposed else arrays)]

    return Part((theirs,), tuple(ours), read, write, "split" + (", transposed" * transposed))


def left_out(theirs: str, value: np.ndarray) -> Part:
    """What they count and nothing follows from: passed over, and written as `value`."""
    return Part((theirs,), (), lambda _: [], lambda: [value], "not needed", optional=True)


def reordered(part: Part, count: int, order: Sequence[int]) -> Part:
    """With `count` blocks of the last axis of every array in another order.

    Args:
        part: a part whose arrays here have the blocks on their last axis.
        count: of the blocks.
        order: our block i is their block `order[i]`.
    """
    back = [int(place) for place in np.argsort(order)]
    how = ", ".join(filter(None, (part.how, "gates in another order")))
    return Part(
        part.theirs,
        part.ours,
        lambda *arrays: [_blocks(array, count, order) for array in part.read(*arrays)],
        lambda *arrays: part.write(*(_blocks(array, count, back) for array in arrays)),
        how,
        part.optional,
    )


def _blocks(array: np.ndarray, count: int, order: Sequence[int]) -> np.ndarray:
    parts = np.split(array, count, -1)
    return np.concatenate([parts[place] for place in order], -1)


def _as_is(array: np.ndarray) -> Arrays:
    return [array]


def shapes_written(part: Part, ours: Sequence[tuple[int | None, ...]]) -> list[Any]:
    """The shapes of theirs, from those of ours; None where one of ours is not known."""
    if any(size is None for shape in ours for size in shape):
        return [None] * len(part.theirs)
    zero = np.zeros((), np.bool_)
    arrays = [np.broadcast_to(zero, tuple(map(int, shape))) for shape in ours]  # type: ignore[arg-type]
    return [array.shape for array in part.write(*arrays)]
