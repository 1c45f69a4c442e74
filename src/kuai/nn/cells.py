"""Recurrent cells: one step of a sequence, from an input and a state to an output and a state."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from kuai.nn import ops
from kuai.nn._check import check_number
from kuai.nn.activation import get, kept
from kuai.nn.gated import ForgetBias, GatedCell


class RNNCell(GatedCell):
    """One step of a plain recurrent layer: h ← activation(x W + b + h U + d).

    Args:
        units: size of the hidden state.
        activation: a name ("relu"), a function or a block; default "tanh".
        use_bias: whether b and d are added; default True.
        init: initializer of W; default that of `initialize(init=)`, at last glorot_uniform.
        recurrent_init: initializer of U; default orthogonal, as in Keras. PyTorch draws all
            parameters uniformly from ±1 / sqrt(units).
        bias_init: initializer of b; default zeros. d starts at zero.
        dtype: of the parameters; default float32. The output has the dtype that it and the input's
            promote to; the step is computed in at least float32.

    Shape:
        x (..., inputs), state (..., units) → (h, h), each (..., units). `input_weight`
        (inputs, units), `recurrent_weight` (units, units), `bias` and `recurrent_bias` (units,).

    Raises:
        ArgumentError: `units` is no positive integer, the dtype is not floating, or the activation
            is unknown.
        DtypeError: when called, the input or the state is not floating.
        ShapeError: when called, the input has another width than at first, or the state another
            shape than (..., units).

    Example:
        >>> cell = nn.RNNCell(3)
        >>> state = None
        >>> for x in jnp.ones((5, 2, 4)):
        ...     output, state = cell(x, state)
        >>> output.shape
        (2, 3)

    Reference:
        Elman, "Finding structure in time" (1990).
    """

    gates = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        init: Any = None,
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.activation = kept(activation, "RNNCell")
        self._make(units, use_bias, init, recurrent_init, bias_init, dtype)

    def forward(self, x: Any, state: Any = None) -> tuple[jax.Array, jax.Array]:
        """(h, h) after this step: the output is the state. A state of None is zeros."""
        [hidden] = self._given(x, state)
        dtype, inputs, across = self._sums(x, hidden)
        hidden = get(self.activation)(inputs + across).astype(dtype)
        return hidden, hidden

    def runs_whole(self) -> bool:
        """Whether `over_time` does what calls of this cell would."""
        return isinstance(self.activation, str) and super().runs_whole()

    def _whole(self, x: Any, states: list[Any], steps: Any, reverse: bool) -> tuple[Any, ...]:
        weights = self.input_weight, self.recurrent_weight, self._summed_bias()
        return ops.rnn(x, *states, *weights, steps, self.activation, reverse)


class LSTMCell(GatedCell):
    """One step of a long short-term memory.

    i, f, g, o = x W + b + h U + d; c ← sigmoid(f) c + sigmoid(i) tanh(g); h ← sigmoid(o) tanh(c).
    The gates stand side by side in the order input, forget, new, output, as in PyTorch, Gluon and
    Keras. PyTorch's cell returns (h, c) alone.

    Args:
        units: size of the hidden and of the cell state.
        use_bias: whether b and d are added; default True.
        init: initializer of W; default that of `initialize(init=)`, at last glorot_uniform.
        recurrent_init: initializer of U; default orthogonal, as in Keras. PyTorch draws all
            parameters uniformly from ±1 / sqrt(units).
        bias_init: initializer of b; default zeros. d starts at zero.
        forget_bias: value at which b starts for the forget gate; default 1, as in Keras, so that a
            new net remembers. PyTorch and Gluon have 0. None leaves it to `bias_init`.
        dtype: of the parameters; default float32. The output has the dtype that it and the input's
            promote to; the step is computed in at least float32.

    Shape:
        x (..., inputs), state (h, c) → (h, (h, c)), each (..., units). `input_weight`
        (inputs, 4 · units), `recurrent_weight` (units, 4 · units), `bias` and `recurrent_bias`
        (4 · units,).

    Raises:
        ArgumentError: `units` is no positive integer, the dtype is not floating, or `forget_bias`
            is no number; when called, the state is no tuple (h, c).
        DtypeError: when called, the input or the state is not floating.
        ShapeError: when called, the input has another width than at first, or the state another
            shape than (..., units).

    Example:
        >>> cell = nn.LSTMCell(3)
        >>> output, (hidden, memory) = cell(jnp.ones((2, 4)))
        >>> output.shape, bool((output == hidden).all()), memory.shape
        ((2, 3), True, (2, 3))

    Reference:
        Hochreiter and Schmidhuber, "Long short-term memory" (1997).
    """

    gates = 4
    states = ("hidden", "cell")

    def __init__(
        self,
        units: int,
        use_bias: bool = True,
        init: Any = None,
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
        forget_bias: float | None = 1.0,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.forget_bias = forget_bias
        if forget_bias is not None:
            check_number("LSTMCell", "forget_bias", forget_bias, math.inf)
            bias_init = ForgetBias(bias_init, float(forget_bias))
        self._make(units, use_bias, init, recurrent_init, bias_init, dtype)

    def forward(self, x: Any, state: Any = None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """(h, (h, c)) after this step. A state of None is zeros."""
        hidden, cell = self._given(x, state)
        dtype, inputs, across = self._sums(x, hidden)
        i, f, g, o = jnp.split(inputs + across, 4, -1)
        cell = jax.nn.sigmoid(f) * cell.astype(f.dtype) + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = (jax.nn.sigmoid(o) * jnp.tanh(cell)).astype(dtype)
        return hidden, (hidden, cell.astype(dtype))

    def _whole(self, x: Any, states: list[Any], steps: Any, reverse: bool) -> tuple[Any, ...]:
        weights = self.input_weight, self.recurrent_weight, self._summed_bias()
        return ops.lstm(x, *states, *weights, steps, reverse)


class GRUCell(GatedCell):
    """One step of a gated recurrent unit, "reset after" form.

    With x W + b in three parts a and h U + d in three parts e: r = sigmoid(a₀ + e₀);
    z = sigmoid(a₁ + e₁); n = tanh(a₂ + r e₂); h ← (1 - z) n + z h. This is the form of PyTorch,
    cuDNN, Gluon and Keras's default, and their order of gates: reset, update, new; Keras has the
    update gate first.

    Args:
        units: size of the hidden state.
        use_bias: whether b and d are added; default True.
        init: initializer of W; default that of `initialize(init=)`, at last glorot_uniform.
        recurrent_init: initializer of U; default orthogonal, as in Keras. PyTorch draws all
            parameters uniformly from ±1 / sqrt(units).
        bias_init: initializer of b; default zeros. d starts at zero.
        dtype: of the parameters; default float32. The output has the dtype that it and the input's
            promote to; the step is computed in at least float32.

    Shape:
        x (..., inputs), state (..., units) → (h, h), each (..., units). `input_weight`
        (inputs, 3 · units), `recurrent_weight` (units, 3 · units), `bias` and `recurrent_bias`
        (3 · units,).

    Raises:
        ArgumentError: `units` is no positive integer, or the dtype is not floating.
        DtypeError: when called, the input or the state is not floating.
        ShapeError: when called, the input has another width than at first, or the state another
            shape than (..., units).

    Example:
        >>> cell = nn.GRUCell(3)
        >>> output, state = cell(jnp.ones((2, 4)))
        >>> output.shape, cell.recurrent_weight.shape
        ((2, 3), (3, 9))

    Reference:
        Cho et al., "Learning phrase representations using RNN encoder–decoder" (2014).
    """

    gates = 3

    def __init__(
        self,
        units: int,
        use_bias: bool = True,
        init: Any = None,
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self._make(units, use_bias, init, recurrent_init, bias_init, dtype)

    def forward(self, x: Any, state: Any = None) -> tuple[jax.Array, jax.Array]:
        """(h, h) after this step: the output is the state. A state of None is zeros."""
        [hidden] = self._given(x, state)
        dtype, inputs, across = self._sums(x, hidden)
        (r, z, n), (u, v, recalled) = jnp.split(inputs, 3, -1), jnp.split(across, 3, -1)
        reset, update = jax.nn.sigmoid(r + u), jax.nn.sigmoid(z + v)
        new = jnp.tanh(n + reset * recalled)
        hidden = ((1 - update) * new + update * hidden.astype(new.dtype)).astype(dtype)
        return hidden, hidden

    def _whole(self, x: Any, states: list[Any], steps: Any, reverse: bool) -> tuple[Any, ...]:
        weights = self.input_weight, self.recurrent_weight, self.bias, self.recurrent_bias
        return ops.gru(x, *states, *weights, steps, reverse)
