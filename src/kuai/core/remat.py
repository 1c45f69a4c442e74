"""`Block.remat`: a forward that is run again on the way back, instead of keeping what it computed.

What forward writes to State and how many random keys it draws come out of it as results.

`jax.checkpoint` says "again" by a barrier between the two runs. XLA's CPU compiler drops barriers
and then finds the two runs equal, so that nothing is saved. There the inputs of the second run go
through a gate instead: a choice by a number that only the run knows, and by the gradient that
arrives, so that the second run can be neither merged with the first nor begun early.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from kuai import random
from kuai.core.binding import bound_call, commit
from kuai.core.context import context, entered
from kuai.core.parameter import Holder
from kuai.core.registry import registered
from kuai.core.signature import Template, split
from kuai.core.tree import walk
from kuai.errors import ArgumentError

Keep = Callable[..., Any]

_NAMES = {
    "nothing": "nothing_saveable",
    "everything": "everything_saveable",
    "dots": "dots_saveable",
    "dots_no_batch": "dots_with_no_batch_dims_saveable",
}
_PLAIN = ("checkpoint_dots", "checkpoint_dots_with_no_batch_dims", *_NAMES.values())


def checked_policy(where: str, policy: Any) -> str | Keep | None:
    """What is kept on the way there: a name, a function of JAX's kind, or None for no remat.

    Args:
        where: for messages.
        policy: as for `Block.remat`.

    Raises:
        ArgumentError: there is no such policy.
    """
    if policy is False:
        return None
    if policy is None or policy is True:
        return "nothing"
    if callable(policy) or (isinstance(policy, str) and policy in (*_NAMES, *_PLAIN)):
        return policy
    known = (*_NAMES, *_PLAIN)
    near = difflib.get_close_matches(str(policy), known, n=1) or _NAMES
    raise ArgumentError(
        f"{where}: expected a policy such as {', '.join(map(repr, near))}, a function of "
        f"jax.checkpoint_policies, or False, got {policy!r}; remat() keeps nothing but the inputs"
    )


def checkpointed(function: Callable[..., Any], policy: str | Keep) -> Callable[..., Any]:
    """A function that is run again on the way back, by a policy that `checked_policy` gave.

    Args:
        function: of arrays, pure, and closing over none that is differentiated.
        policy: what is kept all the same.
    """
    again = jax.checkpoint(function, policy=function_of_jax(policy))
    if jax.default_backend() != "cpu":
        return again
    gated = jax.custom_vjp(function)
    gated.defvjp(
        lambda *inputs: jax.vjp(again, *inputs),
        lambda pullback, gradient: _behind(gradient, pullback)(gradient),
    )
    return gated


def function_of_jax(policy: str | Keep) -> Keep:
    """A policy as `jax.checkpoint` takes it."""
    if not isinstance(policy, str):
        return policy
    function: Keep = getattr(jax.checkpoint_policies, _NAMES.get(policy, policy))
    return function


def _behind(gradient: Any, pullback: Any) -> Any:
    """The same pullback, with arrays that are there only once the gradient is."""
    floating = [g for g in jax.tree.leaves(gradient) if jnp.issubdtype(g.dtype, jnp.floating)]
    opened = lax.rng_uniform(jnp.float32(0), jnp.float32(1), ()) < 2
    for first in floating[:1]:
        opened |= (first.ravel()[:1] > 0).any()
    return jax.tree.map(lambda array: _through(opened, array), pullback)


def _through(opened: jax.Array, array: jax.Array) -> jax.Array:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        bits = _through(opened, jax.random.key_data(array))
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(array))
    return jnp.where(opened, array, jnp.zeros_like(array))


def run_again(block: Any, policy: str | Keep, forward: Callable[[], Any], given: Any) -> Any:
    """What `forward` returns for what a block was given, run again on the way back."""
    if not _is_differentiated(block, given):
        return forward()
    written: list[Holder] = []
    templates: list[Template] = []

    def run() -> Any:
        result, writes = bound_call(forward, {})
        arrays: list[Any] = []
        templates[:] = [split(result, arrays, floats_traced=False)]
        written[:] = writes
        return arrays, list(writes.values())

    def call() -> Any:
        traced, tree = jax.make_jaxpr(run, return_shape=True)()
        pure = lambda *consts: jax.core.eval_jaxpr(traced.jaxpr, consts)  # noqa: E731  # below
        results = checkpointed(pure, policy)(*traced.consts)
        arrays, values = jax.tree.unflatten(jax.tree.structure(tree), results)
        commit(dict(zip(written, values, strict=True)))
        return templates[0].join(arrays)

    return call() if context.trace is not None else _traced(call)


def _is_differentiated(block: Any, given: Any) -> bool:
    """Whether somebody may take a gradient: a call on plain numbers runs as plain Python."""
    if context.inferring or (context.scope is not None and context.scope.dry_run is not None):
        return False
    if context.trace is not None:
        return True
    held = [holder.read() for holder in walk(block).holders.values() if holder.ready]
    return any(isinstance(leaf, jax.core.Tracer) for leaf in [*held, *jax.tree.leaves(given)])


def _traced(call: Callable[[], Any]) -> Any:
    """`call()` in plain Python: it is traced all the same, so branches on arrays are converted."""
    trace = registered.make_trace()
    with entered(inline=True, trace=trace):
        result = _on_process_keys(call) if random.current_stream() is None else call()
    trace.close()
    return result


def _on_process_keys(call: Callable[[], Any]) -> Any:
    """`call()` with a stream of its own: keys of the process are never drawn in a trace."""
    results: list[Any] = []

    def use(seed: int, first: int) -> int:
        with random.streaming(random.Stream(seed, first)) as stream:
            results.append(call())
            return int(stream.count())

    random.lend(use)
    return results[0]
