"""The while loop on arrays that differentiates in reverse, whatever the number of trips.

It is one XLA program. Without a gradient it is `lax.while_loop` with a counter. With one, the
memory is set by `LoopOptions` and not by the number of trips (`checkpoints`, `unwind`).

What works: reverse mode to any order, with respect to the first carry and to all that condition and
body close over; under jit, vmap (`batched`), scan, remat and branches; loops in loops. Integers,
truth values and random keys are carried and have no gradient.

What does not: forward mode (`jax.jvp`, `jax.jacfwd`), which JAX refuses for a function with a
backward rule of its own; and any gradient if the body has effects beyond `jax.debug` (an
`io_callback`), since the way back would have them again.

Invariants: a trip closes over no array, so that it may be repeated in another trace; what is
repeated is silent, so that a person sees each trip once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from kuai.hybrid.batched import plain
from kuai.hybrid.checkpoints import LoopOptions
from kuai.hybrid.reverse import differentiable
from kuai.hybrid.silence import is_debug
from kuai.hybrid.trips import Arrays, TracedTrip

__all__ = ["LoopOptions", "while_loop"]

Kinds: TypeAlias = list[Any]  # of each carry: the implementation of its random keys, or None


def while_loop(
    condition: Callable[[Arrays], jax.Array],
    body: Callable[[Arrays], Arrays],
    carry: Arrays,
    options: LoopOptions,
) -> tuple[Arrays, jax.Array]:
    """Repeat `body` while `condition` holds: $x_{n+1} = f(x_n)$ while $c(x_n)$.

    Args:
        condition: carry → one truth value.
        body: carry → the next carry, of the same shapes and dtypes. Both are traced, not run, and
            may close over arrays, traced or not.
        carry: arrays of any dtype, random keys among them.
        options: what the gradient may use.

    Returns:
        the last carry, and the number of trips as an int32. Where this is `options.bound`, the
        condition may still have held.

    Example:
        >>> import jax.numpy as jnp
        >>> halve = lambda carry: [carry[0] / 2]
        >>> [x], trips = while_loop(lambda c: c[0] > 1, halve, [jnp.float32(20.0)], LoopOptions())
        >>> float(x), int(trips)
        (0.625, 5)
    """
    kinds = [_kind(value) for value in carry]
    raw = _unwrapped(carry)
    test = jax.make_jaxpr(lambda *raw: condition(_wrapped(kinds, raw)))(*raw)
    step = jax.make_jaxpr(lambda *raw: _unwrapped(body(_wrapped(kinds, raw))))(*raw)
    trip = TracedTrip(test, step)
    effects = [*test.effects, *step.effects]
    # JAX takes no other effect into a function with a backward rule.
    run = differentiable(trip, options) if all(map(is_debug, effects)) else _plain(trip, options)
    last, trips = run([*step.consts, *test.consts], raw)
    return _wrapped(kinds, last), trips


def _plain(trip: TracedTrip, options: LoopOptions) -> Callable[..., tuple[Arrays, jax.Array]]:
    return lambda constants, carry: plain(trip, options, constants, carry)


def _kind(value: jax.Array) -> Any:
    return jax.random.key_impl(value) if jnp.issubdtype(value.dtype, jax.dtypes.prng_key) else None


def _wrapped(kinds: Kinds, raw: Any) -> Arrays:
    return [
        value if kind is None else jax.random.wrap_key_data(value, impl=kind)
        for kind, value in zip(kinds, raw, strict=True)
    ]


def _unwrapped(carry: Arrays) -> Arrays:
    """Random keys as the integers they are made of, which rows can hold."""
    return [value if _kind(value) is None else jax.random.key_data(value) for value in carry]
