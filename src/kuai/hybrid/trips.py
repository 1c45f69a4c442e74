"""One trip of a loop on arrays: its condition, its step, and the way back through the step.

A `Trip` closes over no array. All that the person's functions closed over comes in as `constants`,
so that a trip may be repeated in another trace: in the way back, under vmap, in a second gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Var

from kuai.hybrid.silence import silenced

Arrays: TypeAlias = list[jax.Array]


class Trip(Protocol):
    """What the passes through a loop need of it. Cotangents are those of `floats(carry)`."""

    def condition(self, constants: Arrays, carry: Arrays) -> jax.Array:
        """Whether there is another trip."""

    def step(self, constants: Arrays, carry: Arrays) -> Arrays:
        """The carry after the trip."""

    def learned(self, constants: Arrays) -> list[int]:
        """Where the constants stand that have gradients."""

    def pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        """The gradients of the learned constants, the cotangents of the carry before the trip."""

    def reads(self, constants: Arrays, carry: Arrays) -> list[int]:
        """Where the values of the carry stand that `pull` reads; shapes will do as arguments."""

    def silent(self) -> Trip:
        """The same trip, debug callbacks left out."""


@dataclass(frozen=True, eq=False)
class TracedTrip:
    """A trip as it was traced.

    Args:
        test: the condition; its constants stand last.
        body: the step; its constants stand first.
        pulls: what was traced of the way back, which differs by what is learned from it.
    """

    test: ClosedJaxpr
    body: ClosedJaxpr
    pulls: dict[str, ClosedJaxpr] = field(default_factory=dict, repr=False)

    def condition(self, constants: Arrays, carry: Arrays) -> jax.Array:
        own = constants[len(self.body.consts) :]
        return evaluated(self.test.jaxpr, own, carry)[0]

    def step(self, constants: Arrays, carry: Arrays) -> Arrays:
        own = constants[: len(self.body.consts)]
        return evaluated(self.body.jaxpr, own, carry)

    def learned(self, constants: Arrays) -> list[int]:
        return [i for i in range(len(self.body.consts)) if is_float(constants[i])]

    def pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        given = [*constants, *carry, *cotangents]
        traced = self._traced_pull(constants, carry, cotangents)
        flat = evaluated(traced.jaxpr, traced.consts, given)
        learned = len(self.learned(constants))
        return flat[:learned], flat[learned:]

    def _traced_pull(self, *given: Arrays) -> ClosedJaxpr:
        key = str(jax.tree.map(jax.typeof, given))
        if key not in self.pulls:
            # A derivative that a person defined may print what the step does not.
            traced = silenced(jax.make_jaxpr(self._pull)(*given))
            if any(isinstance(value, jax.core.Tracer) for value in traced.consts):
                return traced
            self.pulls[key] = traced
        return self.pulls[key]

    def _pull(self, constants: Arrays, carry: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:
        learned = self.learned(constants)

        def outputs(weights: Arrays, values: Arrays) -> Arrays:
            filled = spread(learned, weights, constants)
            return floats(self.step(filled, with_floats(carry, values)))

        back = jax.vjp(outputs, pick(learned, constants), floats(carry))[1]
        return back(cotangents)

    def reads(self, constants: Arrays, carry: Arrays) -> list[int]:
        return read_by(self.pull, constants, carry)

    def silent(self) -> TracedTrip:
        return replace(self, test=silenced(self.test), body=silenced(self.body))


def evaluated(jaxpr: Any, constants: Any, given: Arrays) -> Arrays:
    """What a jaxpr gives, as arrays: JAX hands literals over as they are."""
    return [jnp.asarray(value) for value in jax.core.eval_jaxpr(jaxpr, constants, *given)]


def is_float(value: Any) -> bool:
    """Whether a value has a gradient: its dtype is real or complex."""
    return jnp.issubdtype(value.dtype, jnp.inexact)


def floats(values: Arrays) -> Arrays:
    return [value for value in values if is_float(value)]


def with_floats(values: Arrays, new: Arrays) -> Arrays:
    """The values, those with gradients replaced in order."""
    return spread([i for i, value in enumerate(values) if is_float(value)], new, values)


def spread(places: Sequence[int], new: list[Any], values: list[Any]) -> list[Any]:
    """The values, those at the places replaced in order."""
    result = list(values)
    for place, value in zip(places, new, strict=True):
        result[place] = value
    return result


def pick(places: Sequence[int], values: Arrays) -> Arrays:
    return [values[place] for place in places]


def read_by(pull: Callable[..., Any], constants: Arrays, carry: Arrays) -> list[int]:
    """Which values of the carry before a trip the way back through the trip reads.

    A counter is seldom among them, and a linear step reads none. An equation that calls a traced
    function is taken to read all that it is given.
    """
    jaxpr = jax.make_jaxpr(pull)(constants, carry, floats(carry)).jaxpr
    alive = {value for value in jaxpr.outvars if isinstance(value, Var)}
    for equation in reversed(jaxpr.eqns):
        if not alive.isdisjoint(equation.outvars):
            alive.update(value for value in equation.invars if isinstance(value, Var))
    first = len(constants)
    inputs = jaxpr.invars[first : first + len(carry)]
    return [place for place, value in enumerate(inputs) if value in alive]
