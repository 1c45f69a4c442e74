"""The compiled forms of a step: one on a batch, and many on rows of arrays on the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kuai.core.binding import Unbound
from kuai.core.context import entered
from kuai.core.registry import registered
from kuai.train import measure
from kuai.train.step import LIMIT, About, Body, Carry, Extras


class Chunk(NamedTuple):
    """Some steps' worth of data.

    Attributes:
        leaves: arrays of a batch's form that hold the rows.
        treedef: of the batch.
        order: the rows, in the order in which steps take them.
        first: where in `order` the first step begins.
        rows: examples a step.
        steps: how many steps.
    """

    leaves: list[jax.Array]
    treedef: Any
    order: jax.Array
    first: int
    rows: int
    steps: int


class Program:
    """A step in one mode, compiled.

    Args:
        body: the step.
        training, forced: the mode that it runs in.

    Attributes:
        draws: keys that a step draws, as far as known.
        most: steps that `many` takes at a time.
        guards: what its traces read from outside.
    """

    def __init__(self, body: Body, *, training: bool, forced: bool) -> None:
        self.body = body
        self.draws = 0
        self.most = LIMIT
        from kuai.hybrid.guards import Guards

        self.guards = Guards()
        self._mode = {"training": training, "forced": forced}
        self.one: Any = jax.jit(self._one, donate_argnums=0)
        self.many: Any = jax.jit(self._many, donate_argnums=0, static_argnums=6)

    def _one(self, carry: Carry, rest: Any, leaves: Any) -> tuple[Carry, jax.Array, Extras | None]:
        carry = carry._replace(sums=measure.zeros(self.body.recipe.metrics))
        with self._tracing():
            carry, loss, _, extras = self.body(carry, rest, [], leaves)
        return carry, loss, self._extras(extras)

    def _many(
        self,
        carry: Carry,
        rest: Any,
        leaves: Any,
        order: jax.Array,
        first: Any,
        steps: Any,
        rows: int,
    ) -> tuple[Carry, jax.Array, jax.Array, Extras | None]:
        """(carry, losses, steps taken, extras); a loss that is not finite ends it."""

        def step(state: Any) -> Any:
            done, _, carry, losses, extras = state
            places = jax.lax.dynamic_slice(order, (first + done * rows,), (rows,))
            batch = [leaf.at[places].get(mode="promise_in_bounds") for leaf in leaves]
            carry, loss, finite, extras = self.body(carry, rest, extras, batch)
            return done + 1, finite, carry, losses.at[done].set(loss.astype(losses.dtype)), extras

        with self._tracing():
            start: Any = (jnp.int32(0), jnp.array(True), carry, jnp.zeros(LIMIT), [])
            start = (*start[:4], self._extras_at_start(step, start, rest))
            if self.most == 1:
                done, _, carry, losses, extras = step(start)
            else:
                done, _, carry, losses, extras = jax.lax.while_loop(
                    lambda state: (state[0] < steps) & state[1], step, start
                )
        return carry, losses, done, self._extras(extras)

    def _extras_at_start(self, step: Any, start: Any, rest: Any) -> list[jax.Array]:
        """What holders outside the plan hold before the first step; on the way, what to mind."""
        jaxpr, shapes = jax.make_jaxpr(step, return_shape=True)(start)
        if jax.default_backend() == "cpu" and "conv_general_dilated" in str(jaxpr):
            self.most = 1  # XLA's loops on a CPU run convolutions on one thread, many times slower
        read = dict(zip(self.body.plan.rest, rest, strict=True))
        pairs = zip(self.body.extra, shapes[4], strict=True)
        return [_value_or_zeros(read.get(holder), shape) for holder, shape in pairs]

    def _extras(self, values: list[jax.Array]) -> Extras | None:
        if not values and not self.body.draws:
            return None
        return Extras(values, About(self.body.extra, self.body.draws))

    @contextmanager
    def _tracing(self) -> Iterator[None]:
        trace: Any = registered.make_trace()
        mode = self._mode
        with (
            trace.guards.restoring(),
            entered(compiling=True, inline=True, visited={}, trace=trace, **mode),
        ):
            yield
            outside = self.body.outside()
        if outside:
            raise Unbound([], outside)
        trace.guards.check_unchanged()
        trace.close()
        self.guards.merge(trace.guards)


class EagerProgram(Program):
    """The same as plain Python, for nets that cannot be compiled and for the debugger."""

    def __init__(self, body: Body, *, training: bool, forced: bool) -> None:
        super().__init__(body, training=training, forced=forced)
        self.one = self._one
        self.many = self._one_by_one

    def _one_by_one(
        self,
        carry: Carry,
        rest: Any,
        leaves: Any,
        order: jax.Array,
        first: int,
        steps: int,
        rows: int,
    ) -> tuple[Carry, jax.Array, jax.Array, Extras | None]:
        losses: list[jax.Array] = []
        extras: list[jax.Array] = []
        finite: Any = True
        while finite and len(losses) < steps:
            places = order[first + len(losses) * rows :][:rows]
            with self._tracing():
                carry, loss, finite, extras = self.body(
                    carry, rest, extras, [a[places] for a in leaves]
                )
            losses.append(loss)
        return carry, jnp.stack(losses), jnp.asarray(len(losses)), self._extras(extras)

    @contextmanager
    def _tracing(self) -> Iterator[None]:
        with entered(**self._mode):
            yield


def _value_or_zeros(value: Any, like: Any) -> jax.Array:
    fits = value is not None and value.shape == like.shape and value.dtype == like.dtype
    return value if fits else jnp.zeros(like.shape, like.dtype)
