"""What the recurrent cells have in common: weights for inputs and state, and a first state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from kuai import init as initializers
from kuai.core.block import Block
from kuai.core.context import context, entered
from kuai.core.parameter import Parameter
from kuai.core.settling import settle
from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn._check import (
    as_array,
    as_floating,
    check_axes,
    check_count,
    check_width,
    dtype_of,
    floating_name,
)
from kuai.nn._dtypes import promoted
from kuai.nn.ops.recurrence import all_widened


class GatedCell(Block):
    """A cell whose gates are sums over the input and the hidden state, side by side.

    Attributes:
        gates: how many.
        states: names of the arrays that the state consists of; a single one stands by itself.
    """

    gates: ClassVar[int]
    states: ClassVar[tuple[str, ...]] = ("hidden",)

    input_weight: Any
    recurrent_weight: Any
    bias: Any
    recurrent_bias: Any

    def _make(
        self, units: int, use_bias: bool, init: Any, recurrent_init: Any, bias_init: Any, dtype: Any
    ) -> None:
        """The parameters, from a constructor's arguments."""
        name = type(self).__name__
        self.units = check_count(name, "units", units)
        self.use_bias = use_bias
        self.init, self.recurrent_init = init, recurrent_init
        dtype = self._given_dtype = floating_name(name, dtype)
        width = self.gates * self.units
        self.input_weight = Parameter(shape=(None, width), init=init, dtype=dtype)
        self.recurrent_weight = Parameter(
            shape=(self.units, width), init=recurrent_init, dtype=dtype
        )
        self.bias = Parameter(shape=(width,), init=bias_init, dtype=dtype) if use_bias else None
        self.recurrent_bias = (
            Parameter(shape=(width,), init="zeros", dtype=dtype) if use_bias else None
        )

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example."""
        return dtype_of(self, self._given_dtype)

    def infer_shapes(self, x: Any, state: Any = None) -> None:  # noqa: ARG002  # forward's
        """Settle the width of the input."""
        x = as_array(x)
        check_axes(x, 1)
        self.params.input_weight.settle((x.shape[-1], self.gates * self.units))

    def initial_state(self, x: Any) -> Any:
        """The state before the first step: zeros, for inputs like `x` (..., inputs)."""
        x = as_floating(x)
        dtype = promoted(x.dtype, self.params.recurrent_weight.dtype)
        zeros = jnp.zeros((*x.shape[:-1], self.units), dtype)
        return self._packed([zeros] * len(self.states))

    def over_time(
        self, x: jax.Array, state: Any, steps: jax.Array | None, reverse: bool
    ) -> tuple[jax.Array, Any]:
        """(outputs, last state) for all steps at once, as if the cell were called at each.

        Args:
            x: inputs (time, batch, inputs).
            state: before the first step; None for zeros.
            steps: (time, batch), False where a step leaves the state as it was; None: all are.
            reverse: whether the last step comes first.
        """
        with entered(stack=(*context.stack, self)):
            settle(self, (x[0],), {})
            states = self._given(x[0], state)
            outputs, *ends = self._whole(as_floating(x), states, steps, reverse)
            return outputs, self._packed(ends)

    def runs_whole(self) -> bool:
        """Whether `over_time` does what calls of this cell would: nothing was put on it."""
        own = self._kuai
        changed = own.before or own.after or own.derived or own.remat is not None
        return type(self).__module__ == "kuai.nn.cells" and not changed

    def _whole(self, x: Any, states: list[Any], steps: Any, reverse: bool) -> tuple[Any, ...]:
        raise NotImplementedError

    def _given(self, x: Any, state: Any) -> list[jax.Array]:
        """The arrays of the state, those of the first step where it is None; all checked."""
        x = as_floating(x)
        check_axes(x, 1)
        check_width(x, -1, self.input_weight.shape[0])
        arrays = self._unpacked(self.initial_state(x) if state is None else state)
        for name, array in zip(self.states, arrays, strict=True):
            if array.shape != (*x.shape[:-1], self.units):
                raise ShapeError(
                    f"{here()}: expected a {name} state of shape {(*x.shape[:-1], self.units)} for "
                    f"an input of shape {x.shape}, got {array.shape}; None stands for zeros"
                )
        return arrays

    def _sums(self, x: Any, hidden: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
        """(dtype of the output, x W + b, h U + d), the latter two in at least float32."""
        given = hidden, self.recurrent_weight, self.bias, self.recurrent_bias
        dtype, arrays = all_widened(as_floating(x), self.input_weight, *given)
        x, input_weight, hidden, recurrent_weight, bias, recurrent_bias = arrays
        inputs, across = x @ input_weight, hidden @ recurrent_weight
        return (
            dtype,
            inputs if bias is None else inputs + bias,
            across if recurrent_bias is None else across + recurrent_bias,
        )

    def _summed_bias(self) -> jax.Array | None:
        return None if self.bias is None else self.bias + self.recurrent_bias

    def _packed(self, arrays: list[Any]) -> Any:
        return arrays[0] if len(self.states) == 1 else tuple(arrays)

    def _unpacked(self, state: Any) -> list[jax.Array]:
        if len(self.states) == 1:
            return [as_floating(state)]
        if not isinstance(state, (tuple, list)) or len(state) != len(self.states):
            shown = f"{type(state).__name__}"
            shown += f" of {len(state)}" if isinstance(state, (tuple, list)) else ""
            raise ArgumentError(
                f"{here()}: expected the state as a tuple ({', '.join(self.states)}), got "
                f"{shown}; None stands for zeros"
            )
        return [as_floating(array) for array in state]


@dataclass(frozen=True)
class ForgetBias:
    """An initializer of a bias of four gates whose second, the forget gate, starts at a value."""

    others: Any
    value: float

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        made = initializers.get(self.others)(key, shape, dtype)
        units = shape[0] // 4
        return made.at[units : 2 * units].set(jnp.asarray(self.value, dtype))
