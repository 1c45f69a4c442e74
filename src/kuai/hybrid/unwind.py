"""The way back through a loop whose carries `checkpoints.store` kept.

It goes back through the trips whose carries the ring holds. Then it runs forward again from the
last mark before them, which fills the ring anew, and on its way drops marks into the rows that are
free. Where it drops them is the binomial schedule: with k free rows and no trip run more than r
times, marks reach over C(k + r, k + 1) rings of trips, so that the fewest trips are repeated.

Reference: A. Griewank and A. Walther, "Algorithm 799: Revolve", ACM TOMS 26 (2000).
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kuai.hybrid.checkpoints import Room, Stored, marked, read, written
from kuai.hybrid.trips import Arrays, Trip

MOST_REPEATS = 64  # columns of the schedule; past it the marks lie a little worse
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


Rows: TypeAlias = tuple[Arrays, Arrays, jax.Array]  # ring, marks, places
Forth: TypeAlias = tuple[Arrays, jax.Array, Rows]  # carry, trips, rows


def unwind(
    trip: Trip, room: Room, constants: Arrays, carry: Arrays, stored: Stored, cotangents: Arrays
) -> tuple[Arrays, Arrays]:
    """The gradients of the learned constants and the cotangents of the first carry."""
    pulled = jax.eval_shape(trip.pull, constants, carry, cotangents)
    back = Back(stored.trips, cotangents, [_accumulator(shape) for shape in pulled[0]])
    if not room.marks:
        back = _pulled(trip, room, constants, stored.ring, jnp.int32(0), back)
    else:
        back = _unwound(trip.silent(), room, constants, stored, back)
    gradients = [g.astype(shape.dtype) for g, shape in zip(back.gradients, pulled[0], strict=True)]
    return gradients, back.cotangents


def _accumulator(shape: jax.ShapeDtypeStruct) -> jax.Array:
    """A zero; narrow floats are summed as float32, since a small term would vanish in a long sum."""
    narrow = jnp.issubdtype(shape.dtype, jnp.floating) and shape.dtype.itemsize < NARROW_FLOAT_BYTES
    return jnp.zeros(shape.shape, jnp.float32 if narrow else shape.dtype)


def _unwound(trip: Trip, room: Room, constants: Arrays, stored: Stored, back: Back) -> Back:
    def stretch(state: tuple[Back, jax.Array, Rows]) -> tuple[Back, jax.Array, Rows]:
        back, low, rows = state
        back = _pulled(trip, room, constants, rows[0], low, back)
        return back, *_refilled(trip, room, constants, back.trips, rows)

    low = jnp.maximum(stored.trips - room.ring, 0)
    first = back, low, (stored.ring, stored.marks, stored.places)
    return lax.while_loop(lambda state: state[0].trips > 0, stretch, first)[0]


def _pulled(
    trip: Trip, room: Room, constants: Arrays, ring: Arrays, low: jax.Array, back: Back
) -> Back:
    """Go back to trip `low`; the ring holds every carry on the way."""

    def pull(back: Back) -> Back:
        trips = back.trips - 1
        carry = read(ring, room.row(trips))
        new, cotangents = trip.pull(constants, carry, back.cotangents)
        gradients = [g + n.astype(g.dtype) for g, n in zip(back.gradients, new, strict=True)]
        return Back(trips, cotangents, gradients)

    return lax.while_loop(lambda back: back.trips > low, pull, back)


def _refilled(
    trip: Trip, room: Room, constants: Arrays, end: jax.Array, rows: Rows
) -> tuple[jax.Array, Rows]:
    """Run forward again up to trip `end`, and say from which trip on the ring holds the carries."""
    ring, marks, places = rows
    places = jnp.where(places < end, places, jnp.int32(-1))
    last = lax.argmax(places, 0, jnp.int32)
    start = jnp.maximum(lax.dynamic_index_in_dim(places, last, 0, keepdims=False), 0)

    def stretch(forth: Forth) -> Forth:
        carry, trips, (ring, marks, places) = forth
        stop = _next_mark(room, trips, end, places)
        carry, trips, ring = _run(trip, room, constants, stop, (carry, trips, ring))
        return carry, trips, (ring, *_marked_before(end, marks, places, trips, carry))

    first = read(marks, last), start, (ring, marks, places)
    rows = lax.while_loop(lambda forth: forth[1] < end, stretch, first)[2]
    return jnp.maximum(start, end - room.ring), rows


def _run(
    trip: Trip,
    room: Room,
    constants: Arrays,
    stop: jax.Array,
    state: tuple[Arrays, jax.Array, Arrays],
) -> tuple[Arrays, jax.Array, Arrays]:
    """Run on until a trip that is known to come, writing each carry into the ring."""

    def step(state: tuple[Arrays, jax.Array, Arrays]) -> tuple[Arrays, jax.Array, Arrays]:
        carry, trips, ring = state
        return trip.step(constants, carry), trips + 1, written(ring, room.row(trips), carry)

    return lax.while_loop(lambda state: state[1] < stop, step, state)


def _marked_before(
    end: jax.Array, marks: Arrays, places: jax.Array, trips: jax.Array, carry: Arrays
) -> tuple[Arrays, jax.Array]:
    """Keep a carry, unless the run has come to its end."""
    row = lax.argmin(places, 0, jnp.int32)
    ended = trips >= end
    place = jnp.where(ended, lax.dynamic_index_in_dim(places, row, 0, keepdims=False), trips)
    kept = [jnp.where(ended, old, new) for old, new in zip(read(marks, row), carry, strict=True)]
    return marked(marks, places, place, kept)


def _next_mark(room: Room, trips: jax.Array, end: jax.Array, places: jax.Array) -> jax.Array:
    """The trip before which the run from `trips` to `end` keeps its next mark, or `end`.

    With k free rows and the fewest repeats r that suffice, what lies beyond the mark must be within
    the reach of k - 1 rows.
    """
    rings = (end - trips + (room.ring - 1)) // room.ring
    free = jnp.sum(places < 0, dtype=jnp.int32)
    reach, beyond = (
        lax.dynamic_index_in_dim(jnp.asarray(table), free, 0, keepdims=False)
        for table in _schedule(room.marks)
    )
    repeats = jnp.minimum(jnp.sum(reach < rings, dtype=jnp.int32), MOST_REPEATS - 1)
    skipped = jnp.maximum(rings - lax.dynamic_index_in_dim(beyond, repeats, 0, keepdims=False), 1)
    return jnp.minimum(trips + skipped * room.ring, end)


def _schedule(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """For each number of free rows and each r - 1: the reach, and the reach with one row fewer."""
    reach = np.array(
        [
            [min(comb(free + r, free + 1), 2**30) for r in range(1, MOST_REPEATS + 1)]
            for free in range(rows + 1)
        ],
        np.int32,
    )
    return reach, np.concatenate([np.zeros_like(reach[:1]), reach[:-1]])
