"""Running a loop forward while keeping what the way back needs (`unwind` is the way back).

The memory is set when the program is compiled; the number of trips is known only when it runs.

- The **ring** holds the last carries: that before trip n stands in row n mod the size of the ring.
  It holds only the values that the gradient of a trip reads.
- The **marks** are whole carries further back. One is kept every `stride` trips; when half of the
  rows are in use every second mark is dropped and the stride doubles. So the rows never run out,
  and the other half is free for the way back.

So a loop no longer than the ring repeats nothing, and one up to ring × marks / 2 repeats each trip
once. Invariant: mark i is the carry before trip i × stride.

Rows must be filled when they are made, which a short loop pays for, and a trip that is repeated
costs a third more. So the ring of small carries has some hundred rows, not the whole budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from kuai.hybrid.trips import Arrays, Trip, pick

RING_BYTES = 128 * 2**10  # filled in a few microseconds
LEAST_ROWS = 8  # whatever the budget
LEAST_RING = 16  # where the budget admits it
MOST_MARKS = 64
NO_STOP = 2**31 - 1


@dataclass(frozen=True)
class LoopOptions:
    """What a loop on arrays may use for its gradient.

    Args:
        memory: bytes of stored carries; eight carries are stored however little it is.
        bound: a number of trips at which the loop stops, or None. If the memory admits so many
            carries they are all stored, no trip is repeated, and the program is smaller.
    """

    memory: int = 64 * 2**20
    bound: int | None = None


class Room(NamedTuple):
    """Rows for carries.

    Args:
        kept: which values of a carry the ring holds.
        ring: rows of the ring.
        marks: how many marks there may be; none if the ring holds all that is read.
        end: the trip at which the loop stops, whatever its condition, or None.
    """

    kept: tuple[int, ...]
    ring: int
    marks: int
    end: int | None

    def goes_on(self, condition: jax.Array, trips: jax.Array) -> jax.Array:
        return condition if self.end is None else condition & (trips < self.end)

    def row(self, trips: jax.Array) -> jax.Array:
        """Where the ring holds the carry before a trip."""
        return trips & (self.ring - 1) if self.marks else trips


class Stored(NamedTuple):
    """Rows of the ring and of the marks, how many marks, their stride, how many trips."""

    ring: Arrays
    marks: Arrays
    used: jax.Array
    stride: jax.Array
    trips: jax.Array


Going: TypeAlias = tuple[Arrays, jax.Array, jax.Array, Arrays]  # carry, condition, trips, ring
Marking: TypeAlias = tuple[Going, Arrays, jax.Array]  # …, marks, used
Level: TypeAlias = tuple[Going, Arrays, jax.Array, jax.Array]  # …, marks, used, stride


def room_for(trip: Trip, options: LoopOptions, constants: Arrays, carry: Arrays) -> Room:
    """The rows for a carry; of constants and carry only shapes and dtypes are read."""
    kept = tuple(trip.reads(constants, carry))
    bound = options.bound
    if not kept:
        return Room(kept, 0, 0, bound)
    if bound is not None and bound * _bytes(pick(kept, carry)) <= options.memory:
        return Room(kept, bound, 0, bound)
    rows = max(LEAST_ROWS, options.memory // _bytes(carry))
    wanted = max(LEAST_RING, RING_BYTES // _bytes(pick(kept, carry)))
    ring = 1 << (min(rows // 2, wanted).bit_length() - 1)  # a power of two
    return Room(kept, ring, min(MOST_MARKS, ring, rows - ring), bound)


def _bytes(values: Arrays) -> int:
    return max(1, sum(value.size * value.dtype.itemsize for value in values))


def empty_store(room: Room, carry: Arrays) -> Stored:
    ring = _rows(pick(room.kept, carry), room.ring)
    # The way back writes one more mark than it keeps.
    marks = _rows(carry, room.marks + 1) if room.marks else []
    return Stored(ring, marks, jnp.int32(0), jnp.int32(room.ring // 2), jnp.int32(0))


def _rows(values: Arrays, count: int) -> Arrays:
    return [jnp.zeros((max(1, count), *value.shape), value.dtype) for value in values]


def store(trip: Trip, room: Room, constants: Arrays, carry: Arrays) -> tuple[Arrays, Stored]:
    """The last carry of a loop, and what `unwind` needs."""
    ring, marks, used, stride, trips = empty_store(room, carry)
    going = carry, room.goes_on(trip.condition(constants, carry), trips), trips, ring
    if not room.marks:
        carry, _, trips, ring = _while_going(trip, room, constants, jnp.int32(NO_STOP), going)
        return carry, Stored(ring, marks, used, stride, trips)

    def level(state: Level) -> Level:
        going, marks, used, stride = state
        stride = 2 * stride
        marks = [_thinned(rows, room.marks // 2) for rows in marks]
        going, marks, used = _mark_while_going(
            trip, room, constants, stride, (going, marks, used // 2)
        )
        return going, marks, used, stride

    going, marks, used, stride = lax.while_loop(
        lambda state: state[0][1], level, (going, marks, used, stride)
    )
    return going[0], Stored(going[3], marks, used, stride, going[2])


def _thinned(rows: jax.Array, used: int) -> jax.Array:
    """Every second of the rows in use, moved together."""
    return rows.at[: used // 2].set(rows[:used:2])


def _mark_while_going(
    trip: Trip, room: Room, constants: Arrays, stride: jax.Array, state: Marking
) -> Marking:
    """Run on while rows for marks are left, or to the end of the loop."""

    def stretch(state: Marking) -> Marking:
        going, marks, used = state
        marks = written(marks, used, going[0])
        going = _while_going(trip, room, constants, going[2] + stride, going)
        return going, marks, used + 1

    return lax.while_loop(lambda state: state[0][1] & (state[2] < room.marks // 2), stretch, state)


def _while_going(trip: Trip, room: Room, constants: Arrays, stop: jax.Array, going: Going) -> Going:
    """Run on until a trip, or to the end of the loop, writing each carry into the ring."""

    def step(going: Going) -> Going:
        carry, _, trips, ring = going
        ring = written(ring, room.row(trips), pick(room.kept, carry))
        carry = trip.step(constants, carry)
        condition = trip.condition(constants, carry)
        return carry, room.goes_on(condition, trips + 1), trips + 1, ring

    return lax.while_loop(lambda going: going[1] & (going[2] < stop), step, going)


def written(rows: Arrays, index: jax.Array, values: Arrays) -> Arrays:
    return [
        lax.dynamic_update_index_in_dim(row, value, index, 0, allow_negative_indices=False)
        for row, value in zip(rows, values, strict=True)
    ]


def read(rows: Arrays, index: jax.Array) -> Arrays:
    return [
        lax.dynamic_index_in_dim(row, index, 0, keepdims=False, allow_negative_indices=False)
        for row in rows
    ]
