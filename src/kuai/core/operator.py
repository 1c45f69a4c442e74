"""Blocks that define their own backward.

Such a block is run through `jax.custom_vjp`, with every array it could read as an explicit input,
so that it works in every transform, to any order.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.binding import bound_call, commit
from kuai.core.parameter import Holder, Parameter
from kuai.core.signature import split
from kuai.core.tree import here, walk
from kuai.errors import BackwardError


def run_operator(block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a block whose class defines `backward`: its output alone, its own gradient attached."""
    arrays: list[Any] = []
    template = split((args, kwargs), arrays)
    holders = {path: h for path, h in walk(block).holders.items() if h.settled}
    written: list[Holder] = []

    def forward(values: dict[str, jax.Array], arrays: list[Any]) -> Any:
        positional, keywords = template.join(arrays)
        bound = {holders[path]: value for path, value in values.items()}
        result, writes = bound_call(lambda: block.forward(*positional, **keywords), bound)
        written[:] = writes
        output, residuals = _checked_result(result)
        return (output, list(writes.values())), (values, residuals, arrays)

    def backward(saved: Any, gradient: Any) -> Any:
        values, residuals, arrays = saved
        bound = {holders[path]: value for path, value in values.items()}
        returned, _ = bound_call(lambda: block.backward(residuals, gradient[0]), bound)
        return _cotangents(returned, values, holders, arrays)

    function = jax.custom_vjp(lambda values, arrays: forward(values, arrays)[0])
    function.defvjp(forward, backward)
    inputs = [jnp.asarray(array) for array in arrays]
    output, writes = function({path: h.read() for path, h in holders.items()}, inputs)
    commit(dict(zip(written, writes, strict=True)))
    return output


def _checked_result(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise BackwardError(
            f"{here()}: the block defines backward, so forward must return (output, residuals), "
            f"got {type(result).__name__}; return what backward needs as the second value"
        )
    return result


def _cotangents(returned: Any, values: dict[str, Any], holders: Any, arrays: list[Any]) -> Any:
    """What `jax.custom_vjp` wants, from what `backward` returned."""
    parts = list(returned) if isinstance(returned, tuple) else [returned]
    by_path = parts.pop() if parts and isinstance(parts[-1], dict) and len(parts) > len(arrays) else {}
    if len(parts) != len(arrays):
        raise BackwardError(
            f"{here()}: backward must return one gradient for each of {len(arrays)} input arrays "
            f"(and then a dict path -> gradient of parameters), got {len(parts)} gradients"
        )
    _check_paths(by_path, values, holders)
    inputs = [_cotangent(f"input {i}", a, g) for i, (a, g) in enumerate(zip(arrays, parts, strict=True))]
    params = {path: _cotangent(path, value, by_path.get(path)) for path, value in values.items()}
    return params, inputs


def _check_paths(by_path: dict[str, Any], values: dict[str, Any], holders: dict[str, Holder]) -> None:
    needed = {p for p, h in holders.items() if isinstance(h, Parameter) and h.trainable}
    unknown = sorted(set(by_path) - set(values))
    missing = sorted(needed - set(by_path))
    if unknown or missing:
        raise BackwardError(
            f"{here()}: backward must return a dict with the gradient of each of "
            f"{sorted(needed)}; missing {missing}, unknown {unknown}"
        )


def _cotangent(name: str, primal: jax.Array, gradient: Any) -> Any:
    if not jnp.issubdtype(primal.dtype, jnp.inexact):
        return np.zeros(primal.shape, jax.dtypes.float0)
    if gradient is None:
        return jnp.zeros(primal.shape, primal.dtype)
    gradient = jnp.asarray(gradient)
    if gradient.shape != primal.shape:
        raise BackwardError(
            f"{here()}: backward returned a gradient of shape {gradient.shape} for {name}, "
            f"expected {primal.shape}"
        )
    return gradient.astype(primal.dtype)
