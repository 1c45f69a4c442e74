"""Running a loop forward while keeping what the way back needs (`unwind` is the way back).

The memory is set when the program is compiled; the number of trips is known only when it runs.

- The **ring** holds the last carries: carry n stands in row n mod the size of the ring.
- The **marks** are carries further back. Going forward, one is kept every `stride` trips; when half
  of the rows are in use every second mark is dropped and the stride doubles, so that the rows never
  run out and the other half is free for the way back.

So a loop no longer than the ring repeats nothing, and one up to ring × marks / 2 repeats each trip
once. Invariant: `places[i]` is the trip before which mark i was the carry, or -1 where row i is
free; every place lies before the trips still to be gone back through; trip 0 keeps its mark.

Rows must be filled when they are made, which a short loop pays for, and a trip that is repeated
costs a third more. So the ring of small carries has some hundred rows, not the whole budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from kuai.hybrid.trips import Arrays, Trip

RING_BYTES = 128 * 2**10  # filled in a few microseconds
LEAST_ROWS = 8  # whatever the budget
LEAST_RING = 16  # where the budget admits it
MOST_MARKS = 64


@dataclass(frozen=True)
class LoopOptions:
    """What a loop on arrays may use for its gradient.

    Args:
        memory: bytes of stored carries; eight carries are stored however little it is.
        bound: a number of trips at which the loop stops, or None. With it exactly that many
            carries are stored and no trip is repeated.
    """

    memory: int = 64 * 2**20
    bound: int | None = None


class Room(NamedTuple):
    """Rows for carries. Without marks the ring holds every carry that the loop can have."""

    ring: int
    marks: int

    def row(self, trips: jax.Array) -> jax.Array:
        """Where the ring holds the carry before a trip."""
        return trips & (self.ring - 1) if self.marks else trips


class Stored(NamedTuple):
    """Rows of carries, the trips of the marks, and the number of trips made."""

    ring: Arrays
    marks: Arrays
    places: jax.Array
    trips: jax.Array


Going: TypeAlias = tuple[Arrays, jax.Array, jax.Array, Arrays]  # carry, condition, trips, ring
Stretch: TypeAlias = tuple[Going, Arrays, jax.Array, jax.Array]  # …, marks, places, stride


def room_for(carry: Arrays, options: LoopOptions) -> Room:
    if options.bound is not None:
        return Room(options.bound, 0)
    size = max(1, sum(value.size * value.dtype.itemsize for value in carry))
    rows = max(LEAST_ROWS, options.memory // size)
    ring = _power_of_two(min(rows // 2, max(LEAST_RING, RING_BYTES // size)))
    return Room(ring, min(MOST_MARKS, ring, rows - ring))


def _power_of_two(number: int) -> int:
    """The largest that is not above the number."""
    return 1 << (number.bit_length() - 1)


def empty_store(room: Room, carry: Arrays) -> Stored:
    places = jnp.full(room.marks, -1, jnp.int32)
    return Stored(_rows(carry, room.ring), _rows(carry, room.marks), places, jnp.int32(0))


def _rows(carry: Arrays, count: int) -> Arrays:
    return [jnp.zeros((max(1, count), *value.shape), value.dtype) for value in carry]


def store(trip: Trip, room: Room, constants: Arrays, carry: Arrays) -> tuple[Arrays, Stored]:
    """The last carry of a loop, and what `unwind` needs."""
    ring, marks, places, trips = empty_store(room, carry)
    going = carry, trip.condition(constants, carry), trips, ring
    if not room.marks:
        carry, _, trips, ring = _while_going(trip, room, constants, jnp.int32(room.ring), going)
        return carry, Stored(ring, marks, places, trips)

    def stretch(state: Stretch) -> Stretch:
        going, marks, places, stride = state
        places, stride = _thinned(places, stride)
        marks, places = marked(marks, places, going[2], going[0])
        going = _while_going(trip, room, constants, going[2] + stride, going)
        return going, marks, places, stride

    first = going, marks, places, jnp.int32(room.ring)
    going, marks, places, _ = lax.while_loop(lambda state: state[0][1], stretch, first)
    return going[0], Stored(going[3], marks, places, going[2])


def _while_going(trip: Trip, room: Room, constants: Arrays, stop: jax.Array, going: Going) -> Going:
    """Run on until a trip, or to the end of the loop, writing each carry into the ring."""

    def step(going: Going) -> Going:
        carry, _, trips, ring = going
        ring = written(ring, room.row(trips), carry)
        carry = trip.step(constants, carry)
        return carry, trip.condition(constants, carry), trips + 1, ring

    return lax.while_loop(lambda going: going[1] & (going[2] < stop), step, going)


def _thinned(places: jax.Array, stride: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Drop every second mark and double the stride, if half of the rows are in use."""
    full = jnp.sum(places >= 0, dtype=jnp.int32) >= places.size // 2
    stride = jnp.where(full, 2 * stride, stride)
    return jnp.where(full & (places % stride != 0), jnp.int32(-1), places), stride


def marked(
    marks: Arrays, places: jax.Array, trips: jax.Array, carry: Arrays
) -> tuple[Arrays, jax.Array]:
    """Keep a carry in a free row."""
    free = lax.argmin(places, 0, jnp.int32)
    return written(marks, free, carry), lax.dynamic_update_index_in_dim(places, trips, free, 0)


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
