"""The loop that writes: draw a token, append it, let the net run on it.

The whole loop is one program: a while on arrays that carries the tokens, the net's cache and a
random key, and stops as soon as every sequence has ended. Without a window the net remembers all
tokens in its cache. With one it does until the window is full; from then on it runs on the last
tokens anew each time, since a learnt position cannot move with what was remembered at it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from kuai.models.drawing import Draw, drawn


class Task(NamedTuple):
    """What decides the program, beside the shapes.

    Attributes:
        known: how many tokens of every prompt count at least.
        length: how many are added at most.
        end: the token that ends a sequence, or None.
        window: how many of the last tokens the net sees at most; None: all.
        how: tokens are drawn.
    """

    known: int
    length: int
    end: int | None
    window: int | None
    how: Draw


class _State(NamedTuple):
    place: jax.Array  # of the next token
    written: jax.Array
    logits: jax.Array  # of the next token
    memory: Any  # the net's cache
    key: Any
    ended: jax.Array


def continued(
    net: Any, tokens: jax.Array, counts: jax.Array, task: Task, numbers: Any, key: Any
) -> jax.Array:
    """The prompts and what a net writes behind them.

    Args:
        net: a `LanguageModel`.
        tokens: (batch, prompt).
        counts: (batch,): how many tokens of each prompt count.
        task: the rest.
        numbers: temperature and top_p.
        key: of the draws, None without.
    """
    batch, prompt = tokens.shape
    total = prompt + task.length
    room = total if task.window is None else min(total, task.window)
    limits = counts + task.length
    written = jnp.pad(tokens, ((0, 0), (0, task.length)), constant_values=task.end or 0)
    seen = tokens[:, max(task.known - room, 0) : task.known]
    logits, cache = net(seen, cache=net.make_cache(batch, room))
    ended = limits <= task.known
    state = _State(jnp.int32(task.known), written, logits[:, -1], cache, key, ended)

    def remembering(state: _State, token: jax.Array) -> Any:
        logits, cache = net(token[:, None], cache=state.memory)
        return logits[:, -1], cache

    def sliding(state: _State, _: jax.Array) -> Any:
        return net(lax.dynamic_slice_in_dim(state.written, state.place - room, room, 1))[:, -1], ()

    one_more = _appended(counts, limits, task, numbers)
    if task.known < room:
        state = _repeated(one_more, remembering, state, room)
    if room < total:
        state = _repeated(one_more, sliding, state._replace(memory=()), total)
    return _behind_end(state.written, limits, task.end)


def _repeated(
    one_more: Callable[[_State], Any], look: Callable[..., Any], state: _State, until: int
) -> _State:
    """Append tokens until a place, or until all sequences have ended."""

    def going(state: _State) -> jax.Array:
        return (state.place < until) & ~state.ended.all()

    def step(state: _State) -> _State:
        state, token = one_more(state)
        logits, memory = look(state, token)
        return state._replace(logits=logits, memory=memory)

    return lax.while_loop(going, step, state)


def _appended(
    counts: jax.Array, limits: jax.Array, task: Task, numbers: Any
) -> Callable[[_State], tuple[_State, jax.Array]]:
    """A function that writes the next token of each sequence: the state → (it, the token)."""

    def one_more(state: _State) -> tuple[_State, jax.Array]:
        place, written, logits, memory, key, ended = state
        key, own = (key, None) if key is None else jax.random.split(key)
        token = drawn(logits, task.how, numbers, own).astype(written.dtype)
        given = lax.dynamic_index_in_dim(written, place, 1, keepdims=False)
        in_prompt = place < counts
        token = jnp.where(in_prompt | ended, given, token)
        written = lax.dynamic_update_index_in_dim(written, token, place, 1)
        ended = ended | (place + 1 >= limits)
        if task.end is not None:
            ended = ended | (~in_prompt & (token == task.end))
        return _State(place + 1, written, logits, memory, key, ended), token

    return one_more


def _behind_end(written: jax.Array, limits: jax.Array, end: int | None) -> jax.Array:
    """Shorter prompts leave room behind their last token."""
    places = jnp.arange(written.shape[1])
    filler = jnp.asarray(end or 0, written.dtype)
    return jnp.where(places < limits[:, None], written, filler)
