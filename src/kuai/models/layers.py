"""Transformer layers repeated, with what each of them remembers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def layer_caches(layers: Any, batch: int, length: int) -> Any:
    """An empty cache for each layer, stacked along a first axis."""
    caches = [layer.make_cache(batch, length) for layer in layers]
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *caches)


def run_layers(layers: Any, x: Any, cache: Any) -> tuple[Any, Any]:
    """The output of the last layer, and the caches; None where there are none."""
    if cache is None:
        return layers(x), None
    return layers(x, per_layer={"cache": cache})
