"""What a batch is: inputs for the net, and a target for the loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kuai.data.nested import as_numpy, common_length, map_arrays
from kuai.errors import DataError

TARGET = "target"


class Parts(NamedTuple):
    """A batch taken apart."""

    inputs: tuple[Any, ...]
    keywords: dict[str, Any]
    target: Any


def parts(batch: Any) -> Parts:
    """The positional and keyword inputs of a batch, and its target.

    Args:
        batch: `(x, y)`; `((a, b), y)` for a net with several inputs; or a dict whose `"target"` is
            the target and whose other entries are keyword arguments of forward.

    Raises:
        DataError: it is neither.
    """
    if isinstance(batch, dict):
        if TARGET not in batch or len(batch) < 2:
            raise DataError(
                f"a batch that is a dict: expected the key {TARGET!r} and forward's arguments by "
                f"name, got the keys {sorted(map(str, batch))}"
            )
        return Parts((), {k: v for k, v in batch.items() if k != TARGET}, batch[TARGET])
    if not isinstance(batch, tuple) or len(batch) != 2:
        found = f"{len(batch)} arrays" if isinstance(batch, tuple) else type(batch).__name__
        raise DataError(
            f"a batch: expected (x, y), ((a, b), y) or a dict with {TARGET!r}, got {found}; put "
            "several inputs in a tuple of their own"
        )
    x, y = batch
    inputs = inputs_of(x)
    return Parts(*inputs, y)


def inputs_of(x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of a net for what stands where x does in `(x, y)`."""
    if isinstance(x, dict):
        return (), {name: value for name, value in x.items() if name != TARGET}
    return (x if isinstance(x, tuple) else (x,)), {}


def on_device(batch: Any) -> Any:
    """The batch with JAX arrays in it; lists become tuples."""
    return map_arrays(_to_jax, batch)


def _to_jax(array: Any) -> jax.Array:
    return array if isinstance(array, jax.Array) else jnp.asarray(as_numpy(array))


def check_batch(batch: Any) -> int:
    """How many examples a batch holds.

    Raises:
        DataError: it has another form than a batch, is empty, or its lengths differ.
    """
    parts(batch)
    return common_length(batch, "the batch")
