"""Where training takes its random numbers from: the stream of the process, or one of its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kuai import random
from kuai.errors import ArgumentError

_LIMIT = 2**32


class Keys:
    """A counter stream of keys that compiled steps draw from.

    A step takes (seed, keys drawn before) as an array and gives back the array of the next step,
    so that nothing is sent to the device between steps.

    Args:
        seed: of a stream of one's own; None: the process's stream, which `kuai.seed` starts.
    """

    def __init__(self, seed: int | None) -> None:
        if seed is not None and (isinstance(seed, bool) or not 0 <= seed < _LIMIT):
            raise ArgumentError(f"seed: expected an integer from 0 to 2**32 - 1, got {seed!r}")
        self._own = None if seed is None else (int(seed), 0)
        self._given: tuple[tuple[int, int], jax.Array] | None = None

    @property
    def seed(self) -> int:
        return random.current_seed() if self._own is None else self._own[0]

    def take(self, draws: int) -> tuple[int, int]:
        """Reserve keys (or give some back): (seed, index of the first)."""
        if self._own is None:
            return random.take(draws)
        seed, first = self._own
        self._own = seed, (first + draws) % _LIMIT
        return seed, first

    def lend(self, draws: int) -> tuple[tuple[int, int], jax.Array]:
        """Reserve keys for a step: where they begin, as numbers and on the device."""
        ticket = self.take(draws)
        given, self._given = self._given, None
        if given is not None and given[0] == ticket:
            return given
        return ticket, jnp.array(ticket, jnp.uint32)

    def settle(self, ticket: tuple[int, int], array: jax.Array, reserved: int, drawn: int) -> None:
        """Keep the array that a step gave back, and account for what it really drew."""
        if drawn != reserved:
            self.take(drawn - reserved)
        self._given = (ticket[0], (ticket[1] + drawn) % _LIMIT), array

    def state(self) -> dict[str, int]:
        seed, count = self.take(0)
        return {"seed": seed, "count": count, "own": int(self._own is not None)}

    def restore(self, state: dict[str, int]) -> None:
        if state["own"]:
            self._own = state["seed"], state["count"]
        else:
            self._own = None
            random.set_state({"seed": state["seed"], "count": state["count"]})
