"""The way back through a loop whose carries `checkpoints.store` kept.

It goes back through the trips whose carries the ring holds. Then it runs forward again from the
last mark before them, which fills the ring anew, and on its way keeps marks in the rows that are
free. Where it keeps them is the binomial schedule: with k free rows and no trip run more than r
times, marks reach over C(k + r, k + 1) rings of trips, so that the fewest trips are repeated.

Invariants: marks are a stack, the one furthest on uppermost; marks lie at least a ring apart, so
that a stretch back through the ring passes one at most; trip 0 keeps its mark until the end.

Reference: A. Griewank and A. Walther, "Algorithm 799: Revolve", ACM TOMS 26 (2000).
"""

from __future__ import annotations

from math import comb
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kuai.hybrid.checkpoints import Room, Stored, read, written
from kuai.hybrid.trips import Arrays, Trip, pick, spread

MOST_REPEATS = 32  # columns of the schedule; past it the marks lie worse than they could
NARROW_FLOAT_BYTES = 4


class Back(NamedTuple):
    """How far the way back has come.

    Args:
        trips: still to be gone back through.
        cotangents: of the carry after those trips.
        gradients: of the learned constants, from the trips gone back through.
    """

    trips: jax.Array
    cotangents: Arrays
    gradients: Arrays


class Marks(NamedTuple):
    """A stack of carries, the trips before which they stand, and how many are in use."""

    rows: Arrays
    places: jax.Array
    used: jax.Array

    def pushed(self, place: jax.Array, carry: Arrays, keep: jax.Array) -> Marks:
        """With one more; unless it is to be kept, it only lies above the stack."""
        places = lax.dynamic_update_index_in_dim(self.places, place, self.used, 0)
        return Marks(
            written(self.rows, self.used, carry), places, self.used + keep.astype(jnp.int32)
        )

    def before(self, end: jax.Array) -> Marks:
        """Without the uppermost, if it does not lie before a trip."""
        return self._replace(used=self.used - (self.top() >= end).astype(jnp.int32))

    def top(self) -> jax.Array:
        return read([self.places], self.used - 1)[0]


Forth: TypeAlias = tuple[Arrays, jax.Array, Arrays]  # carry, trips, ring


def unwind(
    trip: Trip, room: Room, constants: Arrays, carry: Arrays, stored: Stored, cotangents: Arrays
) -> tuple[Arrays, Arrays]:
    """The gradients of the learned constants and the cotangents of the first carry."""
    trip = trip.silent()
    shapes = jax.eval_shape(trip.pull, constants, carry, cotangents)[0]
    back = Back(stored.trips, cotangents, [_accumulator(shape) for shape in shapes])
    way = _Way(trip, room, constants, carry)
    if room.marks:
        back = way.back_to_start(stored, back)
    else:
        back = way.back(stored.ring, jnp.int32(0), back)
    gradients = [g.astype(shape.dtype) for g, shape in zip(back.gradients, shapes, strict=True)]
    return gradients, back.cotangents


def _accumulator(shape: jax.ShapeDtypeStruct) -> jax.Array:
    """A zero; narrow floats are summed as float32, since small terms vanish in a long sum."""
    narrow = jnp.issubdtype(shape.dtype, jnp.floating) and shape.dtype.itemsize < NARROW_FLOAT_BYTES
    return jnp.zeros(shape.shape, jnp.float32 if narrow else shape.dtype)


class _Way(NamedTuple):
    trip: Trip
    room: Room
    constants: Arrays
    carry: Arrays

    def back_to_start(self, stored: Stored, back: Back) -> Back:
        def stretch(state: tuple[Back, jax.Array, Arrays, Marks]) -> Any:
            back, low, ring, marks = state
            back = self.back(ring, low, back)
            return back, *self.refilled(ring, marks.before(back.trips), back.trips)

        places = stored.stride * jnp.arange(self.room.marks + 1, dtype=jnp.int32)
        marks = Marks(stored.marks, places, stored.used)
        low = jnp.maximum(stored.trips - self.room.ring, 0)
        first = back, low, stored.ring, marks
        return lax.while_loop(lambda state: state[0].trips > 0, stretch, first)[0]

    def back(self, ring: Arrays, low: jax.Array, back: Back) -> Back:
        """Go back to a trip; the ring holds every carry on the way."""

        def pull(back: Back) -> Back:
            trips = back.trips - 1
            carry = self._carry(read(ring, self.room.row(trips)))
            new, cotangents = self.trip.pull(self.constants, carry, back.cotangents)
            gradients = [g + n.astype(g.dtype) for g, n in zip(back.gradients, new, strict=True)]
            return Back(trips, cotangents, gradients)

        return lax.while_loop(lambda back: back.trips > low, pull, back)

    def _carry(self, kept: Arrays) -> Arrays:
        """A carry of what the ring keeps; the rest is not read."""
        return spread(self.room.kept, kept, [jnp.zeros_like(value) for value in self.carry])

    def refilled(
        self, ring: Arrays, marks: Marks, end: jax.Array
    ) -> tuple[jax.Array, Arrays, Marks]:
        """Run forward from the last mark to a trip; from where on the ring now holds carries."""

        def stretch(state: tuple[Forth, Marks]) -> tuple[Forth, Marks]:
            forth, marks = state
            carry, trips, ring = self.forth(forth, _next_mark(self.room, forth[1], end, marks.used))
            return (carry, trips, ring), marks.pushed(trips, carry, trips < end)

        start = marks.top()
        first = (read(marks.rows, marks.used - 1), start, ring), marks
        forth, marks = lax.while_loop(lambda state: state[0][1] < end, stretch, first)
        return jnp.maximum(start, end - self.room.ring), forth[2], marks

    def forth(self, forth: Forth, stop: jax.Array) -> Forth:
        """Run on until a trip that is known to come, writing each carry into the ring."""

        def step(forth: Forth) -> Forth:
            carry, trips, ring = forth
            ring = written(ring, self.room.row(trips), pick(self.room.kept, carry))
            return self.trip.step(self.constants, carry), trips + 1, ring

        return lax.while_loop(lambda forth: forth[1] < stop, step, forth)


def _next_mark(room: Room, trips: jax.Array, end: jax.Array, used: jax.Array) -> jax.Array:
    """The trip before which the run from `trips` to `end` keeps its next mark, or `end`.

    With k free rows and the fewest repeats r that suffice, what lies beyond the mark must be within
    the reach of k - 1 rows.
    """
    table = jnp.asarray(_reaches(room.marks))
    free = room.marks - used
    rings = (end - trips + (room.ring - 1)) >> (room.ring.bit_length() - 1)
    reach = read([table], free + 1)[0]
    repeats = jnp.minimum(jnp.sum(reach < rings, dtype=jnp.int32), MOST_REPEATS - 1)
    beyond = lax.dynamic_slice(table, (free, repeats), (1, 1), allow_negative_indices=False)[0, 0]
    return jnp.minimum(trips + jnp.maximum(rings - beyond, 1) * room.ring, end)


def _reaches(rows: int) -> np.ndarray:
    """How many rings of trips k free rows reach over, for k from -1 and r from 1."""
    reaches = np.zeros((rows + 2, MOST_REPEATS), np.int32)
    for free in range(rows + 1):
        for repeats in range(1, MOST_REPEATS + 1):
            reaches[free + 1, repeats - 1] = min(comb(free + repeats, free + 1), 2**30)
    return reaches
