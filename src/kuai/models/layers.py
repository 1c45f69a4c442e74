"""Transformer layers repeated, with what each of them remembers.

Caches that are alike stand in one, stacked along a first axis, so that the layers run as one. Where
a layer was replaced they may differ: then they are a tuple, and the layers run one by one.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai import nn
from kuai.errors import ArgumentError


def layer_caches(where: str, layers: Any, batch: int, length: int) -> Any:
    """An empty cache for each layer; None for one that lets its input through.

    Raises:
        ArgumentError: a layer keeps none, or no layer does.
    """
    caches = tuple(_cache(where, index, layer, batch, length) for index, layer in enumerate(layers))
    if all(cache is None for cache in caches):
        raise ArgumentError(
            f"{where}.make_cache: expected a layer with attention among {len(caches)}, got nn."
            "Identity everywhere; run the net without a cache"
        )
    if len({_form(cache) for cache in caches}) > 1:
        return caches
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *caches)


def run_layers(layers: Any, x: Any, cache: Any) -> tuple[Any, Any]:
    """The output of the last layer, and the caches; None where there are none."""
    if cache is None:
        return layers(x), None
    if type(cache) is not tuple:
        return layers(x, per_layer={"cache": cache})
    left = []
    for layer, own in zip(layers, cache, strict=True):
        x, own = (layer(x), None) if own is None else layer(x, cache=own)
        left.append(own)
    return x, tuple(left)


def position(cache: Any) -> Any:
    """How many tokens are in the layers' caches."""
    if type(cache) is not tuple:
        return cache.position[0]
    return next(own.position for own in cache if own is not None)


def _cache(where: str, index: int, layer: Any, batch: int, length: int) -> Any:
    if isinstance(layer, nn.Identity):
        return None
    if not callable(getattr(layer, "make_cache", None)):
        raise ArgumentError(
            f"{where}.make_cache: expected layers with make_cache(batch, length), got "
            f"{type(layer).__name__} as layer {index}, which would forget the tokens before; give "
            "it one and forward(x, *, cache), or run the net without a cache"
        )
    return layer.make_cache(batch, length)


def _form(cache: Any) -> Any:
    leaves, structure = jax.tree.flatten(cache)
    return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
