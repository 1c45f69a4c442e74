"""Blocks that define their own backward.

Such a block is run through `jax.custom_vjp`, with every array it could read as an explicit input,
so that it works in every reverse-mode transform, to any order. Random numbers come from one key
that is an input too: a transform may trace forward more than once, and every trace must draw alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai import random
from kuai.core.binding import bound_call, commit
from kuai.core.context import context, entered, following
from kuai.core.initialize import settle_here
from kuai.core.parameter import Holder, Parameter
from kuai.core.signature import split
from kuai.core.tree import here, walk
from kuai.errors import BackwardError


class _KeyWanted(BaseException):
    """Forward drew a random number and has no key yet."""


def run_operator(block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a block whose class defines `backward`: its output alone, its own gradient attached."""
    arrays: list[Any] = []
    template = split((args, kwargs), arrays)
    holders = {path: h for path, h in walk(block).holders.items() if h.settled}
    settle_here(block, [holder for holder in holders.values() if not holder.ready])
    operator = _Operator(block, holders, template.join, len(arrays))
    values = {path: holder.read() for path, holder in holders.items()}
    inputs = [jnp.asarray(array) for array in arrays]
    try:
        output, writes = operator(values, inputs, None)
    except _KeyWanted:
        output, writes = operator(values, inputs, random.key())
    # No gradient flows through what was written: without this, it would be a tracer all the same.
    constants = [jax.lax.stop_gradient(value) for value in writes]
    commit(dict(zip(operator.written, constants, strict=True)))
    return output


class _Operator:
    """The block as a function of its values, its inputs and a key, with its own gradient.

    Args:
        block: defines forward and backward.
        holders: path → holder of everything below it.
        join: from input arrays to (args, kwargs) of forward.
        inputs: number of input arrays.
    """

    def __init__(
        self, block: Any, holders: dict[str, Holder], join: Callable[..., Any], inputs: int
    ) -> None:
        self._block = block
        self._holders = holders
        self._join = join
        self._inputs = inputs
        self.written: list[Holder] = []
        # backward may run after the call, when the thread stands elsewhere
        self._place = {
            "stack": context.stack,
            "training": context.training,
            "forced": context.forced,
            "compute_dtype": context.compute_dtype,
            "inline": True,
        }
        self._trace = None if context.trace is None else context.trace.fresh()

    @contextmanager
    def _placed(self) -> Iterator[None]:
        trace = None if self._trace is None else self._trace.fresh()
        with entered(trace=trace, **self._place):
            yield
        if trace is not None:
            trace.close()

    def __call__(self, values: dict[str, jax.Array], inputs: list[jax.Array], key: Any) -> Any:
        function = jax.custom_vjp(lambda *primals: self._forward(*primals)[0])
        function.defvjp(self._forward, self._backward)
        return function(values, inputs, key)

    def _bound(self, values: dict[str, jax.Array]) -> dict[Holder, jax.Array]:
        return {self._holders[path]: value for path, value in values.items()}

    def _forward(self, values: dict[str, jax.Array], inputs: list[jax.Array], key: Any) -> Any:
        args, kwargs = self._join(inputs)
        stream = random.KeylessStream(_KeyWanted()) if key is None else random.KeyStream(key)
        with self._placed():
            result, writes = bound_call(
                lambda: following(self._block.forward)(*args, **kwargs),
                self._bound(values),
                stream=stream,
            )
            output, residuals = _checked_result(result)
        self.written = list(writes)
        return (output, list(writes.values())), (values, residuals, inputs, key)

    def _backward(self, saved: Any, gradient: Any) -> Any:
        values, residuals, inputs, key = saved
        with self._placed():
            returned, _ = bound_call(
                lambda: following(self._block.backward)(residuals, gradient[0]), self._bound(values)
            )
            by_input, by_path = _separated(returned, len(inputs))
            _check_paths(by_path, self._holders)
            params = {path: _fit(path, value, by_path.get(path)) for path, value in values.items()}
            pairs = enumerate(zip(inputs, by_input, strict=True))
            return params, [_fit(f"input {i}", x, g) for i, (x, g) in pairs], _no_gradient(key)


def _checked_result(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise BackwardError(
            f"{here()}: the block defines backward, so forward must return (output, residuals), "
            f"got {type(result).__name__}; return what backward needs as the second value"
        )
    return result


def _separated(returned: Any, inputs: int) -> tuple[list[Any], dict[str, Any]]:
    """(gradients of the inputs, gradients of parameters by path)."""
    parts = list(returned) if isinstance(returned, (tuple, list)) else [returned]
    by_path = parts.pop() if len(parts) > inputs and isinstance(parts[-1], dict) else {}
    if len(parts) != inputs:
        raise BackwardError(
            f"{here()}: backward must return one gradient for each of {inputs} input arrays (and "
            f"then a dict path -> gradient of parameters), got {len(parts)} gradients; None stands "
            "for zeros"
        )
    return parts, by_path


def _check_paths(by_path: dict[str, Any], holders: dict[str, Holder]) -> None:
    needed = {p for p, h in holders.items() if isinstance(h, Parameter) and h.trainable}
    unknown = sorted(set(by_path) - set(holders))
    missing = sorted(needed - set(by_path))
    if unknown or missing:
        raise BackwardError(
            f"{here()}: backward must return a dict with the gradient of each of "
            f"{sorted(needed)}; missing {missing}, unknown {unknown}; None stands for zeros"
        )


def _fit(name: str, primal: jax.Array, gradient: Any) -> Any:
    """The gradient as `jax.custom_vjp` wants it for a primal."""
    if not jnp.issubdtype(primal.dtype, jnp.inexact):
        return _no_gradient(primal)
    if gradient is None:
        return jnp.zeros(primal.shape, primal.dtype)
    array = _as_array(name, gradient)
    if array.shape != primal.shape:
        raise BackwardError(
            f"{here()}: backward returned a gradient of shape {array.shape} for {name}, expected "
            f"{primal.shape}; sum over the axes that were broadcast"
        )
    return array.astype(primal.dtype)


def _as_array(name: str, gradient: Any) -> jax.Array:
    try:
        return jnp.asarray(gradient)
    except (TypeError, ValueError):
        raise BackwardError(
            f"{here()}: backward returned a {type(gradient).__name__} for {name}, expected an "
            "array; None stands for zeros"
        ) from None


def _no_gradient(primal: Any) -> Any:
    return None if primal is None else np.zeros(primal.shape, jax.dtypes.float0)
