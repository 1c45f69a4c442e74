"""Keys and values that attention keeps from call to call: plain arrays, handed in and out."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError


class KeyValues(NamedTuple):
    """Keys and values of a context, as `MultiHeadAttention.project` makes them once for many calls.

    Attributes:
        key: (batch, keys, key_heads, head_width).
        value: the same.

    Example:
        >>> attention = nn.MultiHeadAttention(2)
        >>> x, context = jnp.ones((1, 3, 4)), jnp.ones((1, 5, 4))
        >>> y = attention(x, context)
        >>> bool((attention(x, attention.project(context)) == y).all())
        True
    """

    key: Any
    value: Any


class KeyValueCache(NamedTuple):
    """Room for the keys and values of a sequence that comes piece by piece.

    It is arrays and nothing else: it goes through compiled loops, scans and `jax.tree`.

    Attributes:
        key: (batch, length, key_heads, head_width); zeros where nothing has been written.
        value: the same.
        position: how much has been written, an int32 scalar.

    Example:
        >>> attention = nn.MultiHeadAttention(2, head_width=4, causal=True)
        >>> cache = attention.make_cache(batch=1, length=8)
        >>> y, cache = attention(jnp.ones((1, 3, 8)), cache=cache)
        >>> cache.key.shape, cache.position.item()
        ((1, 8, 2, 4), 3)
    """

    key: Any
    value: Any
    position: Any


def caches_of(where: str, layers: Any, *sizes: Any) -> list[Any]:
    """An empty cache for each layer.

    Args:
        where: names the asker in an error.
        layers: blocks with a `make_cache`.
        sizes: what it is given.

    Raises:
        ArgumentError: a layer has none.
    """
    for index, layer in enumerate(layers):
        if not hasattr(layer, "make_cache"):
            raise ArgumentError(
                f"{where}: expected layers that have make_cache(batch, length), got "
                f"{type(layer).__name__} as layer {index}; give it one, or take it out with "
                f"del layers[{index}]"
            )
    return [layer.make_cache(*sizes) for layer in layers]


def caches_told(cache: Any) -> str:
    """What was passed in place of caches, for an error."""
    if isinstance(cache, KeyValueCache):
        return "one"
    if not isinstance(cache, (tuple, list)):
        return f"{type(cache).__name__}"
    missing = sum(kept is None for kept in cache)
    return f"{len(cache)}, {missing} of them None" if missing else str(len(cache))


def check_cache(cache: Any) -> None:
    """Check what was passed as the cache of one attention.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(cache, KeyValueCache):
        raise ArgumentError(
            f"{here()}: expected a nn.KeyValueCache, got {type(cache).__name__}; make one with "
            "make_cache(batch, length)"
        )


def empty_cache(shape: tuple[int, ...], dtype: Any) -> KeyValueCache:
    """A cache of zeros with nothing written."""
    return KeyValueCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.int32(0))


def written(cache: KeyValueCache, key: jax.Array, value: jax.Array) -> KeyValueCache:
    """The cache with new keys and values behind those it has.

    Raises:
        ArgumentError: there is no room left, as far as its position is known.
        ShapeError: it was made for another batch or other heads, or is shorter than the input.
    """
    _check_fits(cache, key.shape)
    zero = jnp.zeros_like(cache.position)
    start = (zero, cache.position, zero, zero)
    return KeyValueCache(
        lax.dynamic_update_slice(cache.key, key.astype(cache.key.dtype), start),
        lax.dynamic_update_slice(cache.value, value.astype(cache.value.dtype), start),
        cache.position + jnp.asarray(key.shape[1], cache.position.dtype),
    )


def visible(cache: KeyValueCache, queries: int, causal: bool) -> jax.Array:
    """Which slots the last written positions may attend to: (1, 1, queries or 1, length)."""
    length = cache.key.shape[1]
    last = cache.position - 1
    if causal:
        last = last - jnp.arange(queries - 1, -1, -1, dtype=last.dtype)[:, None]
    return (jnp.arange(length, dtype=last.dtype) <= last)[(None,) * (4 - max(last.ndim, 1))]


def overflown(cache: KeyValueCache, y: jax.Array) -> jax.Array:
    """NaN for an output whose keys found no room: where the position was a tracer."""
    if not isinstance(cache.position, jax.core.Tracer):
        return y
    fits = cache.position <= cache.key.shape[1]
    return jnp.where(fits, y, jnp.asarray(jnp.nan, y.dtype))


def _check_fits(cache: KeyValueCache, shape: tuple[int, ...]) -> None:
    batch, length, *heads = cache.key.shape
    if (batch, *heads) != (shape[0], *shape[2:]):
        raise ShapeError(
            f"{here()}: expected a cache of shape {(shape[0], length, *shape[2:])}, got "
            f"{cache.key.shape}; make one with make_cache({shape[0]}, {length})"
        )
    if shape[1] > length:
        raise ShapeError(
            f"{here()}: expected a cache of at least {shape[1]} positions, got one of {length}; "
            f"make it longer: make_cache({batch}, length)"
        )
    if isinstance(cache.position, jax.core.Tracer):
        return
    end = int(cache.position) + shape[1]
    if end > length:
        raise ArgumentError(
            f"{here()}: expected a cache of at least {end} positions, got one of {length} with "
            f"{int(cache.position)} written; make it longer: make_cache({batch}, length)"
        )
