"""Reverse mode through a loop, to any order.

Three functions, each with a derivative made of the other two:

- `plain` runs the loop; its way back is that of `storing`.
- `storing` runs the loop and keeps carries; its way back is `unwinding`.
- `unwinding` gives Jᵀc for a cotangent c. It is linear in c, so that for a cotangent v of its
  result that of c is Jv: the tangent of the loop, which is a loop over the carry and its tangent.
  The cotangent of all else is the gradient of cᵀJv, which is that loop's own `unwinding`.

What is stored is not differentiated: it holds nothing that the first carry does not give.
Nothing of a higher order is traced before a gradient of that order is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from kuai.hybrid import batched
from kuai.hybrid.checkpoints import LoopOptions, Stored
from kuai.hybrid.silence import silently
from kuai.hybrid.trips import Arrays, Trip, floats, is_float, pick, read_by, spread, with_floats

Kept: TypeAlias = tuple[Arrays, Arrays, Stored]  # constants, first carry, what was stored


def differentiable(
    trip: Trip, options: LoopOptions
) -> Callable[[Arrays, Arrays], tuple[Arrays, jax.Array]]:
    """(constants, carry) → the last carry and the number of trips."""
    run = jax.custom_vjp(partial(batched.plain, trip, options))

    def forward(constants: Arrays, carry: Arrays) -> tuple[tuple[Arrays, jax.Array], Kept]:
        constants, carry = jax.tree.map(_of_jax, (constants, carry))
        last, trips, stored = storing(trip, options)(constants, carry)
        return (last, trips), (constants, carry, stored)

    run.defvjp(forward, partial(_back, trip, options))
    return run


def _arrays(values: Any) -> Arrays:
    """What was kept, as arrays: JAX hands literals over as they are."""
    return [jnp.asarray(value) for value in values]


def _of_jax(value: jax.Array) -> jax.Array:
    # A number or NumPy array, or under vmap a tracer that stands for one, may come from outside
    # the gradient; JAX does not take it into the rules below.
    return jnp.copy(value) if isinstance(value, jax.core.Tracer) else jnp.asarray(value)


def storing(trip: Trip, options: LoopOptions) -> Callable[..., tuple[Arrays, jax.Array, Stored]]:
    run = jax.custom_vjp(batched.storing(trip, options))

    def forward(constants: Arrays, carry: Arrays) -> tuple[Any, Kept]:
        result = run(constants, carry)
        return result, (constants, carry, result[2])

    run.defvjp(forward, partial(_back, trip, options))
    return run


def _back(trip: Trip, options: LoopOptions, kept: Kept, cotangents: Any) -> tuple[Any, Any]:
    constants, carry, stored = _arrays(kept[0]), _arrays(kept[1]), kept[2]
    given = [c for c, value in zip(cotangents[0], carry, strict=True) if is_float(value)]
    gradients, back = unwinding(trip, options)(constants, carry, stored, given)
    return _cotangents(trip, constants, gradients), _of_floats(carry, back)


def unwinding(trip: Trip, options: LoopOptions) -> Callable[..., tuple[Arrays, Arrays]]:
    run = jax.custom_vjp(batched.unwinding(trip, options))

    def forward(constants: Arrays, carry: Arrays, stored: Stored, cotangents: Arrays) -> Any:
        return run(constants, carry, stored, cotangents), (constants, carry, cotangents)

    run.defvjp(forward, partial(_back_of_back, trip, options))
    return run


def _back_of_back(trip: Trip, options: LoopOptions, kept: Any, cotangents: Any) -> Any:
    constants, carry, given = map(_arrays, kept)
    tangent = Tangent(trip.silent(), len(constants), len(carry))
    both_constants, both_carry = [*constants, *cotangents[0]], [*carry, *cotangents[1]]
    last, _, stored = storing(tangent, options)(both_constants, both_carry)
    seeds = [*map(jnp.zeros_like, given), *given]
    gradients, back = unwinding(tangent, options)(both_constants, both_carry, stored, seeds)
    learned = trip.learned(constants)
    return (
        spread(learned, gradients[: len(learned)], [None] * len(constants)),
        _of_floats(carry, back[: len(given)]),
        None,
        last[len(carry) :],
    )


def _cotangents(trip: Trip, constants: Arrays, gradients: Arrays) -> list[Any]:
    """Of all constants; None stands for zero."""
    return spread(trip.learned(constants), gradients, [None] * len(constants))


def _of_floats(values: Arrays, cotangents: Arrays) -> list[Any]:
    places = [i for i, value in enumerate(values) if is_float(value)]
    return spread(places, cotangents, [None] * len(values))


@dataclass(frozen=True, eq=False)
class Tangent:
    """A trip of a carry and its tangent. The tangents stand last, among constants and carries.

    Args:
        trip: whose tangent it is.
        constants: how many the trip has.
        carry: how many values its carry has.
    """

    trip: Trip
    constants: int
    carry: int

    def condition(self, constants: Arrays, carry: Arrays) -> jax.Array:
        return self.trip.condition(constants[: self.constants], carry[: self.carry])

    def step(self, constants: Arrays, carry: Arrays) -> Arrays:
        return silently(self._step, constants, carry)

    def _step(self, constants: Arrays, carry: Arrays) -> Arrays:
        weights, values = constants[: self.constants], carry[: self.carry]
        given = floats(values)
        # Forward mode by two reverse modes: a body may hold what has no forward mode, as a loop.
        back = jax.vjp(partial(self.trip.pull, weights, values), [*map(jnp.zeros_like, given)])[1]
        (tangents,) = back((constants[self.constants :], carry[self.carry :]))
        return [*self.trip.step(weights, values), *tangents]

    def learned(self, constants: Arrays) -> list[int]:
        first = self.trip.learned(constants[: self.constants])
        return [*first, *range(self.constants, len(constants))]

    def pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        return silently(self._pull, constants, carry, cotangents)

    def _pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        weights, values = constants[: self.constants], carry[: self.carry]
        of_values, of_tangents = _halves(cotangents)
        learned = self.trip.learned(weights)

        def pulled(new_weights: Arrays, new_values: Arrays) -> tuple[Arrays, Arrays]:
            filled = spread(learned, new_weights, weights)
            return self.trip.pull(filled, with_floats(values, new_values), of_tangents)

        first, back = jax.vjp(pulled, pick(learned, weights), floats(values))
        bent = back((constants[self.constants :], carry[self.carry :]))
        straight = self.trip.pull(weights, values, of_values)
        summed = jax.tree.map(jnp.add, straight, tuple(bent))
        return [*summed[0], *first[0]], [*summed[1], *first[1]]

    def reads(self, constants: Arrays, carry: Arrays) -> list[int]:
        return read_by(self.pull, constants, carry)

    def silent(self) -> Tangent:
        return replace(self, trip=self.trip.silent())


def _halves(values: Arrays) -> tuple[Arrays, Arrays]:
    return values[: len(values) // 2], values[len(values) // 2 :]
