"""How a token is drawn from logits: the likeliest, or by chance among some of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Draw(NamedTuple):
    """How a token is drawn, as far as it decides the program."""

    random: bool
    top_k: int | None
    top_p: bool


def drawn(logits: jax.Array, how: Draw, numbers: Any, key: Any) -> jax.Array:
    """One token for each row of logits."""
    if not how.random:
        return logits.argmax(-1)
    temperature, top_p = numbers
    logits = logits.astype(jnp.float32) / temperature
    if how.top_k is not None:
        least = lax.top_k(logits, min(how.top_k, logits.shape[-1]))[0][:, -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    if how.top_p:
        logits = among_likeliest(logits, top_p)
    return jax.random.categorical(key, logits)


def among_likeliest(logits: jax.Array, top_p: jax.Array) -> jax.Array:
    """Logits, -inf but for the likeliest tokens that have a probability of `top_p` together."""
    ordered = jnp.sort(logits, axis=-1)[:, ::-1]
    shares = jax.nn.softmax(ordered, axis=-1)
    before = jnp.cumsum(shares, -1) - shares  # of the likelier ones; the likeliest always stays
    least = jnp.min(jnp.where(before < top_p, ordered, jnp.inf), -1, keepdims=True)
    return jnp.where(logits < least, -jnp.inf, logits)
