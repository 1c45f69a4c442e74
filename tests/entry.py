"""An entry of the catalogue: a layer in one configuration, and inputs for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import kuai
from kuai.core.block import Block

FLOATING = (2, 6)


@dataclass(frozen=True)
class Integers:
    """An input of integers from 0 up to below `limit`."""

    shape: tuple[int, ...]
    limit: int


@dataclass(frozen=True)
class Entry:
    """A layer in one configuration.

    Attributes:
        make: gives a new instance.
        oracle: (arrays by path, *inputs) → output, in float64 NumPy; None where it is random.
        inputs: a shape for a floating input, or `Integers`.
        output: its shape.
        peer: torch → the module that computes the same, or None where torch has none.
        names: path → the peer's name for it; ".T" at its end where the peer has it transposed.
        training: whether the entry runs in train mode.
        state: paths of what a call in that mode changes.
        mixed: the output's dtype where the parameters have another than the input: the input's, the
            one that both promote to, or none where both differ: strict promotion refuses.
        batch: the axis that may be empty; None where it may not.
        slow: whether its tests are marked so: beside a configuration or a kin that is not.
    """

    name: str
    make: Callable[[], Block]
    oracle: Callable[..., np.ndarray] | None
    inputs: tuple[Any, ...] = (FLOATING,)
    output: tuple[int, ...] = FLOATING
    peer: Callable[[Any], Any] | None = None
    names: dict[str, str] = field(default_factory=dict)
    training: bool = False
    state: tuple[str, ...] = ()
    mixed: Literal["input", "promoted", "refused"] = "input"
    batch: int | None = 0
    slow: bool = False


def drawn(entry: Entry, dtype: Any, batch: int | None = None) -> list[jax.Array]:
    """Inputs from the normal distribution, with `batch` as the size of their batch axis."""
    source = np.random.default_rng(1)
    arrays = []
    for given in entry.inputs:
        shape = given.shape if isinstance(given, Integers) else given
        if batch is not None and entry.batch is not None:
            shape = (*shape[: entry.batch], batch, *shape[entry.batch + 1 :])
        if isinstance(given, Integers):
            arrays.append(jnp.asarray(source.integers(0, given.limit, shape), jnp.int32))
        else:
            arrays.append(jnp.asarray(source.normal(size=shape), dtype))
    return arrays


def filled(entry: Entry, dtype: Any) -> Block:
    """A new instance with random values everywhere, so that no bias is 0 and no scale is 1."""
    block = entry.make().initialize(sample=tuple(drawn(entry, jnp.float32))).astype(dtype)
    source = np.random.default_rng(2)
    for path, holder in block.named_holders():
        values = source.normal(size=holder.array.shape)
        values = np.exp(values) if path.endswith("running_var") else values
        holder.array = jnp.asarray(values, holder.dtype)
    return block


def mode(entry: Entry) -> Any:
    return kuai.train_mode() if entry.training else kuai.eval_mode()
