"""One trip of a loop on arrays: its condition, its step, and the way back through the step.

A `Trip` closes over no array. All that the person's functions closed over comes in as `constants`,
so that a trip may be repeated in another trace: in the way back, under vmap, in a second gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from kuai.hybrid.silence import silenced

Arrays: TypeAlias = list[jax.Array]


class Trip(Protocol):
    """What the passes through a loop need to know of it. Cotangents are those of `floats(carry)`."""

    def condition(self, constants: Arrays, carry: Arrays) -> jax.Array:
        """Whether there is another trip."""

    def step(self, constants: Arrays, carry: Arrays) -> Arrays:
        """The carry after the trip."""

    def learned(self, constants: Arrays) -> list[int]:
        """Where the constants stand that have gradients."""

    def pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        """The gradients of the learned constants, and the cotangents of the carry before the trip."""

    def silent(self) -> Trip:
        """The same trip, debug callbacks left out."""


@dataclass(frozen=True, eq=False)
class TracedTrip:
    """A trip as it was traced.

    Args:
        test: the condition; its constants stand last.
        body: the step; its constants stand first.
    """

    test: ClosedJaxpr
    body: ClosedJaxpr

    def condition(self, constants: Arrays, carry: Arrays) -> jax.Array:
        own = constants[len(self.body.consts) :]
        return jax.core.eval_jaxpr(self.test.jaxpr, own, *carry)[0]

    def step(self, constants: Arrays, carry: Arrays) -> Arrays:
        own = constants[: len(self.body.consts)]
        return jax.core.eval_jaxpr(self.body.jaxpr, own, *carry)

    def learned(self, constants: Arrays) -> list[int]:
        return [i for i in range(len(self.body.consts)) if is_float(constants[i])]

    def pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        # A derivative that a person defined may have debug callbacks that the step does not show.
        traced, shapes = jax.make_jaxpr(self._pull, return_shape=True)(constants, carry, cotangents)
        leaves = jax.tree.leaves((constants, carry, cotangents))
        flat = jax.core.eval_jaxpr(silenced(traced).jaxpr, traced.consts, *leaves)
        return jax.tree.unflatten(jax.tree.structure(shapes), flat)

    def _pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        learned = self.learned(constants)

        def outputs(weights: Arrays, values: Arrays) -> Arrays:
            filled = spread(learned, weights, constants)
            return floats(self.step(filled, with_floats(carry, values)))

        back = jax.vjp(outputs, [constants[i] for i in learned], floats(carry))[1]
        return back(cotangents)

    def silent(self) -> TracedTrip:
        return replace(self, test=silenced(self.test), body=silenced(self.body))


def is_float(value: Any) -> bool:
    """Whether a value has a gradient: its dtype is real or complex."""
    return jnp.issubdtype(value.dtype, jnp.inexact)


def floats(values: Arrays) -> Arrays:
    return [value for value in values if is_float(value)]


def with_floats(values: Arrays, new: Arrays) -> Arrays:
    """The values, those with gradients replaced in order."""
    return spread([i for i, value in enumerate(values) if is_float(value)], new, values)


def spread(places: list[int], new: list[Any], values: list[Any]) -> list[Any]:
    """The values, those at the places replaced in order."""
    result = list(values)
    for place, value in zip(places, new, strict=True):
        result[place] = value
    return result
