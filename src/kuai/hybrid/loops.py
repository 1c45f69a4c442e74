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
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from kuai.hybrid.batched import plain
from kuai.hybrid.checkpoints import LoopOptions
from kuai.hybrid.reverse import differentiable
from kuai.hybrid.silence import is_debug
from kuai.hybrid.trips import Arrays, TracedTrip, is_float, pick, spread

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
    moving = [i for i, out in enumerate(step.jaxpr.outvars) if out is not step.jaxpr.invars[i]]
    test, step = _closed_over(raw, moving, test), _closed_over(raw, moving, step, moving)
    last, trips = _runner(test, step, options)([*step.consts, *test.consts], pick(moving, raw))
    return _wrapped(kinds, spread(moving, last, raw)), trips


def _closed_over(
    raw: Arrays, moving: list[int], traced: ClosedJaxpr, outputs: list[int] | None = None
) -> ClosedJaxpr:
    """A function of the carry as one of the values that move; what no trip changes is constant."""
    if len(moving) == len(raw):
        return traced

    def function(*values: jax.Array) -> Arrays:
        whole = spread(moving, list(values), raw)
        result = jax.core.eval_jaxpr(traced.jaxpr, traced.consts, *whole)
        return result if outputs is None else pick(outputs, result)

    return jax.make_jaxpr(function)(*pick(moving, raw))


def _runner(
    test: ClosedJaxpr, step: ClosedJaxpr, options: LoopOptions
) -> Callable[[Arrays, Arrays], tuple[Arrays, jax.Array]]:
    """`lax.while_loop` itself where no gradient can be asked for.

    JAX takes no effect but a debug callback into a function that has a backward rule.
    """
    trip = TracedTrip(test, step)
    if all(map(is_debug, (*test.effects, *step.effects))) and any(map(is_float, step.in_avals)):
        return differentiable(trip, options)
    return partial(plain, trip, options)


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
