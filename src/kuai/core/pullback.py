"""`Block.vjp`: the output of a block and its backward function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.automatic import run_transform
from kuai.core.binding import bound_call, commit
from kuai.core.context import context
from kuai.core.initialize import ready, retried
from kuai.core.modes import transform_mode
from kuai.core.parameter import Holder
from kuai.core.stack import Arrays, apart, bindings, read
from kuai.core.targets import trainable
from kuai.errors import ArgumentError, ShapeError, TransformError

_TRACED = (jax.Array, np.ndarray, np.generic, float)


def vjp(
    block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[Any, Callable[..., Any]]:
    """The output of `block` and its backward function, as `Block.vjp` documents them."""
    with transform_mode():
        output, pullback = run_transform(block, _pullback, inputs, keywords)
    # A pullback of a compiled program is the same program on every call: compiling it pays.
    apply = _compiled if block.hybridized and not context.inline else _plain
    specs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), output)
    name = type(block).__name__
    return output, functools.partial(
        _backward, name, functools.partial(apply, pullback), specs, inputs
    )


def _pullback(block: Any, *inputs: Any, **keywords: Any) -> tuple[Any, Any]:
    ready([block], block, inputs, keywords)
    leaves, rebuild = _arrays(inputs)
    written: list[Holder] = []

    def run(values: Arrays, leaves: list[Any]) -> Any:
        bound = bindings(trainable(block), values)
        output, writes = bound_call(lambda: block(*rebuild(leaves), **keywords), bound)
        written[:] = writes
        return jax.tree.map(_differentiable, output), list(writes.values())

    def attempt() -> Any:
        return jax.vjp(run, read(trainable(block)), leaves, has_aux=True)

    output, pullback, writes = retried([block], attempt)
    commit(dict(zip(written, writes, strict=True)))
    return output, pullback


def _arrays(inputs: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The arrays and floats among the leaves, and a function that puts others in their places."""
    leaves, tree = _flat(inputs)
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, _TRACED)]

    def rebuild(arrays: list[Any]) -> Any:
        filled = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            filled[place] = array
        return tree.unflatten(filled)

    return [jnp.asarray(leaves[place]) for place in places], rebuild


def _flat(value: Any, is_leaf: Any = None) -> tuple[list[Any], Any]:
    return jax.tree.flatten(value, is_leaf)


def _differentiable(leaf: Any) -> jax.Array:
    if not isinstance(leaf, (*_TRACED, int, complex)):
        raise TransformError(
            f"vjp: expected an output of arrays, got {type(leaf).__name__}; return arrays only"
        )
    return jnp.asarray(leaf)


def _backward(name: str, pullback: Any, specs: Any, inputs: Any, gradient: Any) -> tuple[Any, ...]:
    """Gradients (parameters by path, then each input; None where there is none)."""
    params, by_array = pullback(_cotangent(name, specs, gradient))
    gradients = iter(by_array)
    return apart(params), *jax.tree.map(lambda leaf: _next_for(leaf, gradients), inputs)


def _next_for(leaf: Any, gradients: Any) -> Any:
    gradient = next(gradients) if isinstance(leaf, _TRACED) else None
    return None if gradient is None or gradient.dtype == jax.dtypes.float0 else gradient


def _cotangent(name: str, specs: Any, gradient: Any) -> Any:
    """The gradient of the output as JAX wants it.

    Raises:
        ArgumentError: it has another structure than the output.
    """
    wanted, tree = _flat(specs)
    given, other = _flat(gradient, is_leaf=lambda leaf: leaf is None)
    if tree != other:
        raise ArgumentError(
            f"{name}: backward expected a gradient of the output's structure {tree}, got {other}; "
            "None stands for zeros"
        )
    return tree.unflatten(
        [_leaf(name, spec, leaf) for spec, leaf in zip(wanted, given, strict=True)]
    )


def _leaf(name: str, spec: Any, leaf: Any) -> Any:
    if not jnp.issubdtype(spec.dtype, jnp.inexact):
        return np.zeros(spec.shape, jax.dtypes.float0)
    if leaf is None:
        return jnp.zeros(spec.shape, spec.dtype)
    array = jnp.asarray(leaf)
    if array.shape != spec.shape:
        raise ShapeError(
            f"{name}: backward expected a gradient of the output's shape {spec.shape}, got "
            f"{array.shape}; jnp.ones_like(output) has it"
        )
    return array.astype(spec.dtype)


def _plain(pullback: Any, gradient: Any) -> Any:
    return pullback(gradient)


_compiled = jax.jit(_plain)
