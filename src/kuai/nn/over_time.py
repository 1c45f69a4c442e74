"""Loops over the steps of a sequence, in two forms that compute the same.

`in_place` is the quick one on CPU: what a step leaves overwrites what it read, and a slot is read
in contiguous parts, which XLA vectorizes (a slot read whole and split afterwards it does not).
JAX's derivative of it would copy whole sequences at every step. `scanned` is the one that JAX
differentiates well. `quick` ties them: it runs the first, and differentiates the second.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Step = Callable[..., tuple[Any, tuple[jax.Array, ...]]]


class Read(NamedTuple):
    """An array (time, batch, parts · width) of which a step gets its slot, in `parts` arrays."""

    array: jax.Array
    parts: int = 1


def in_place(
    step: Step, carry: Any, reads: Sequence[Read], *, reverse: bool, reuse: bool = False
) -> tuple[Any, list[jax.Array]]:
    """The carry after the last step, and each output of all steps as (time, batch, width).

    Args:
        step: (carry, *what is read) → (carry, outputs).
        carry: before the first step.
        reads: what the steps are given.
        reverse: whether the last step comes first.
        reuse: whether the first output, of its shape, takes the place of what was read first.
    """
    length = reads[0].array.shape[0]
    slots = jax.eval_shape(lambda: [part for read in reads for part in _parts(read, 0)])
    _, shapes = jax.eval_shape(step, carry, *slots)
    made = [lax.empty((length, *shape.shape), shape.dtype) for shape in shapes[int(reuse) :]]
    buffers = [reads[0].array, *made] if reuse else made

    def trip(index: Any, state: Any) -> Any:
        carry, buffers = state
        index = length - 1 - index if reverse else index
        sources = [reads[0]._replace(array=buffers[0]), *reads[1:]] if reuse else reads
        carry, outputs = step(carry, *[p for read in sources for p in _parts(read, index)])
        pairs = zip(buffers, outputs, strict=True)
        return carry, [lax.dynamic_update_index_in_dim(b, new, index, 0) for b, new in pairs]

    return lax.fori_loop(0, length, trip, (carry, buffers))


def scanned(
    step: Step, carry: Any, reads: Sequence[Read], *, reverse: bool, reuse: bool = False
) -> tuple[Any, list[jax.Array]]:
    """What `in_place` gives, by `lax.scan`."""
    del reuse  # a scan has buffers of its own
    slots = [part for read in reads for part in jnp.split(read.array, read.parts, -1)]
    end, outputs = lax.scan(lambda c, xs: step(c, *xs), carry, slots, reverse=reverse)
    return end, list(outputs)


def quick(run: Callable[..., Any]) -> Callable[..., Any]:
    """A function (static, *arrays) that is differentiable to any order.

    Args:
        run: (loop, static, *arrays) → the result; the loop is `in_place` in a call, and `scanned`
            where that is differentiated.
    """

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def call(static: Any, *arrays: Any) -> Any:
        return run(in_place, static, *arrays)

    def forward(static: Any, *arrays: Any) -> Any:
        return call(static, *arrays), arrays

    def backward(static: Any, arrays: Any, cotangents: Any) -> Any:
        return jax.vjp(functools.partial(run, scanned, static), *arrays)[1](cotangents)

    call.defvjp(forward, backward)
    return call


def _parts(read: Read, index: Any) -> list[jax.Array]:
    _, batch, width = read.array.shape
    size = width // read.parts
    return [
        lax.dynamic_slice(read.array, (index, 0, part * size), (1, batch, size))[0]
        for part in range(read.parts)
    ]
