"""Loops under `jax.vmap`: the examples go in step, those that have ended keep their carries.

JAX batches a loop whose examples end at different trips by selecting, at every trip, between the
old and the new value of everything the loop carries: all the stored rows. So the passes that store
and that go back have rules of their own. Forward, nothing is stored. On the way back all examples
run forward again together, as one loop whose carry is the whole batch: one forward pass more, and
the memory is bounded for the batch, not for each example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from kuai.hybrid.checkpoints import LoopOptions, Stored, empty_store, room_for, store
from kuai.hybrid.trips import Arrays, Trip
from kuai.hybrid.unwind import unwind

Flags: TypeAlias = list[bool]


def plain(
    trip: Trip, options: LoopOptions, constants: Arrays, carry: Arrays
) -> tuple[Arrays, jax.Array]:
    """Run the loop and store nothing."""

    def going(state: tuple[Arrays, jax.Array]) -> jax.Array:
        more = trip.condition(constants, state[0])
        return more if options.bound is None else more & (state[1] < options.bound)

    def step(state: tuple[Arrays, jax.Array]) -> tuple[Arrays, jax.Array]:
        return trip.step(constants, state[0]), state[1] + 1

    return lax.while_loop(going, step, (carry, jnp.int32(0)))


def storing(trip: Trip, options: LoopOptions) -> Callable[..., tuple[Arrays, jax.Array, Stored]]:
    """(constants, carry) → the last carry, the number of trips, what the way back needs."""

    @custom_vmap
    def run(constants: Arrays, carry: Arrays) -> tuple[Arrays, jax.Array, Stored]:
        room = room_for(trip, options, constants, carry)
        last, stored = store(trip, room, constants, carry)
        return last, stored.trips, stored

    @run.def_vmap
    def rule(size: int, batched: list[Flags], constants: Arrays, carry: Arrays) -> Any:
        example = [_examples(*pair) for pair in zip((constants, carry), batched, strict=True)]
        nothing = empty_store(room_for(trip, options, *example), example[1])
        run = jax.vmap(partial(plain, trip, options), in_axes=_axes(batched), axis_size=size)
        result = *run(constants, carry), nothing
        return result, (*_all(result[:2], True), _all(nothing, False))

    return run


def unwinding(trip: Trip, options: LoopOptions) -> Callable[..., tuple[Arrays, Arrays]]:
    """(constants, carry, stored, cotangents) → the gradients, the cotangents of the first carry."""

    @custom_vmap
    def run(
        constants: Arrays, carry: Arrays, stored: Stored, cotangents: Arrays
    ) -> tuple[Arrays, Arrays]:
        room = room_for(trip, options, constants, carry)
        return unwind(trip, room, constants, carry, stored, cotangents)

    @run.def_vmap
    def rule(size: int, batched: Any, *given: Any) -> Any:
        constants, carry, stored, cotangents = given
        cotangents = _filled(size, batched[3], cotangents)
        if not any(jax.tree.leaves(batched[:3])):
            result = unwinding(Fanned(trip), options)(constants, carry, stored, cotangents)
            return result, _all(result, True)
        together = InStep(trip.silent(), size, tuple(batched[0]))
        carry = together.begin(constants, _filled(size, batched[1], carry))
        _, _, stored = storing(together, options)(constants, carry)
        result = unwinding(together, options)(constants, carry, stored, cotangents)
        return result, _all(result, True)

    return run


def _axes(batched: Any) -> Any:
    return jax.tree.map(lambda b: 0 if b else None, tuple(batched))


def _all(tree: Any, flag: bool) -> Any:
    return jax.tree.map(lambda _: flag, tree)


def _examples(values: Arrays, batched: Sequence[bool]) -> list[Any]:
    """The shapes and dtypes of one example."""
    return [
        jax.ShapeDtypeStruct(value.shape[1:] if b else value.shape, value.dtype)
        for value, b in zip(values, batched, strict=True)
    ]


def _filled(size: int, batched: Flags, values: Arrays) -> Arrays:
    """The values, each with an axis of examples."""
    return [
        value if b else jnp.broadcast_to(value, (size, *value.shape))
        for value, b in zip(values, batched, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class InStep:
    """A trip of all examples. Its carry ends with which go on, and the trips of each.

    Args:
        trip: of one example.
        size: number of examples.
        batched: which constants differ from example to example.
    """

    trip: Trip
    size: int
    batched: tuple[bool, ...]

    def begin(self, constants: Arrays, carry: Arrays) -> Arrays:
        going = self._each(self.trip.condition, constants, carry)
        return [*carry, going]

    def condition(self, constants: Arrays, carry: Arrays) -> jax.Array:  # noqa: ARG002  # a Trip's
        return jnp.any(carry[-1])

    def step(self, constants: Arrays, carry: Arrays) -> Arrays:
        *old, going = carry
        new = self._each(self.trip.step, constants, old)
        new = [_chosen(going, n, o) for n, o in zip(new, old, strict=True)]
        return [*new, going & self._each(self.trip.condition, constants, new)]

    def learned(self, constants: Arrays) -> list[int]:
        return self.trip.learned(constants)

    def pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        # Selected after the pull: where an example has ended, the pull may well give NaN.
        *old, going = carry
        gradients, new = self._each(self.trip.pull, constants, old, cotangents)
        new = [_chosen(going, n, o) for n, o in zip(new, cotangents, strict=True)]
        return [_chosen(going, g, jnp.zeros_like(g)) for g in gradients], new

    def reads(self, constants: Arrays, carry: Arrays) -> list[int]:
        old = _examples(carry[:-1], [True] * (len(carry) - 1))
        return [*self.trip.reads(_examples(constants, self.batched), old), len(old)]

    def silent(self) -> InStep:
        return replace(self, trip=self.trip.silent())

    def _each(self, function: Callable[..., Any], constants: Arrays, *rest: Arrays) -> Any:
        axes = ([0 if b else None for b in self.batched], *([0] * len(r) for r in rest))
        return jax.vmap(function, in_axes=axes, axis_size=self.size)(constants, *rest)


def _chosen(going: jax.Array, new: jax.Array, old: jax.Array) -> jax.Array:
    return jnp.where(going.reshape(-1, *[1] * (new.ndim - 1)), new, old)


@dataclass(frozen=True, eq=False)
class Fanned:
    """A trip of one example with a batch of cotangents, as for the rows of a Jacobian."""

    trip: Trip

    def condition(self, constants: Arrays, carry: Arrays) -> jax.Array:
        return self.trip.condition(constants, carry)

    def step(self, constants: Arrays, carry: Arrays) -> Arrays:
        return self.trip.step(constants, carry)

    def learned(self, constants: Arrays) -> list[int]:
        return self.trip.learned(constants)

    def pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        return jax.vmap(partial(self.trip.pull, constants, carry))(cotangents)

    def reads(self, constants: Arrays, carry: Arrays) -> list[int]:
        return self.trip.reads(constants, carry)

    def silent(self) -> Fanned:
        return Fanned(self.trip.silent())
