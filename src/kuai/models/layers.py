"""Transformer layers repeated, with what each of them remembers.

The caches of equal layers are one stack of arrays, and a program runs these layers as one. Where
caches differ, because a layer was replaced by another kind, they are a tuple, and the layers are
called one after the other.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.tree import here
from kuai.errors import ArgumentError
from kuai.models.generation import LanguageModel
from kuai.nn.key_value_cache import KeyValueCache, caches_of, caches_told


class LayeredLanguageModel(LanguageModel):
    """A language model whose memory is that of its `layers`."""

    layers: Any

    def make_cache(self, batch: int, length: int) -> Any:
        """Room for the keys and values of each layer, to hand to a call as `cache=`.

        They are one `nn.KeyValueCache` whose arrays have an axis of layers in front; a tuple with
        one for each layer where a layer was replaced by one whose cache has another shape.

        Args:
            batch: number of sequences.
            length: of the longest sequence, in tokens, those of later calls included.

        Raises:
            ArgumentError: a number is out of its range, or a layer was replaced by one without
                `make_cache`.
            DeferredInitError: the width of the heads is not known yet: call the net once, or
                `initialize(sample=tokens)`.
        """
        return layer_caches(f"{type(self).__name__}.make_cache", self.layers, batch, length)


def layer_caches(where: str, layers: Any, batch: int, length: int) -> Any:
    """An empty cache for each layer: stacked along a first axis, a tuple where they differ.

    Raises:
        ArgumentError: a layer makes no cache, or a number is out of its range.
    """
    caches = caches_of(where, layers, batch, length)
    if len({_kind(cache) for cache in caches}) != 1:
        return tuple(caches)
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *caches)


def run_layers(layers: Any, x: Any, cache: Any) -> tuple[Any, Any]:
    """The output of the last layer, and the caches; None where there are none.

    Raises:
        ArgumentError: there is not a cache for each layer.
    """
    if cache is None:
        return layers(x), None
    _check(layers, cache)
    if not _apart(cache):
        return layers(x, per_layer={"cache": cache})
    kept = []
    for layer, own in zip(layers, cache, strict=True):
        x, own = layer(x, cache=own)
        kept.append(own)
    return x, tuple(kept)


def position_of(layers: Any, cache: Any) -> Any:
    """How many tokens the first layer has seen, and so each.

    Raises:
        ArgumentError: there is not a cache for each layer, or the first is another kind.
    """
    _check(layers, cache)
    first = cache[0] if _apart(cache) else cache
    if not isinstance(first, KeyValueCache):
        raise ArgumentError(
            f"{here()}: expected nn.KeyValueCache, got {type(first).__name__}; make the cache with "
            "make_cache(batch, length)"
        )
    return first.position if _apart(cache) else first.position[0]


def _check(layers: Any, cache: Any) -> None:
    n = len(layers)
    firsts = [np.shape(leaf)[:1] for leaf in jax.tree.leaves(cache)]
    if _apart(cache):
        fits = len(cache) == n and all(own is not None for own in cache)
    else:
        fits = bool(firsts) and set(firsts) == {(n,)}
    if not fits:
        stack = isinstance(cache, KeyValueCache) and len(set(firsts)) == 1 and firsts[0]
        got = firsts[0][0] if stack else caches_told(cache)
        raise ArgumentError(
            f"{here()}: expected a cache for each of {n} layers, got {got}; make them with "
            "make_cache(batch, length)"
        )


def _apart(cache: Any) -> bool:
    """Whether each layer's cache is by itself; a stack of them is a named tuple of arrays."""
    return type(cache) is tuple


def _kind(cache: Any) -> Any:
    leaves, structure = jax.tree.flatten(cache)
    return structure, *((leaf.shape, str(leaf.dtype)) for leaf in leaves)
