"""RNN, LSTM and GRU: cells in layers, in one direction or in both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kuai import random
from kuai.core.block import Block
from kuai.core.modes import is_training
from kuai.core.representation import parts
from kuai.core.tree import here
from kuai.errors import ShapeError
from kuai.nn import ops
from kuai.nn._check import as_array, check_count, check_number
from kuai.nn.cells import GRUCell, LSTMCell, RNNCell
from kuai.nn.recurrent import batch_first
from kuai.nn.sequences import over_steps, steps_of, time_first


class StackedCells(Block):
    """Layers of cells, each over the outputs of the one before.

    Attributes:
        cells: layer after layer, in each first the one for the steps in their order.
    """

    cells: Any

    def _stack(
        self,
        make: Callable[[], Block],
        layers: int,
        bidirectional: bool,
        dropout: float,
        return_state: bool,
        time_major: bool,
    ) -> None:
        """The cells, from a constructor's arguments."""
        name = type(self).__name__
        self.layers = check_count(name, "layers", layers)
        self.bidirectional = bidirectional
        self.dropout = check_number(name, "dropout", dropout, 1.0)
        self.return_state, self.time_major = return_state, time_major
        self.cells = [make() for _ in range(self.layers * self._directions)]

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example."""
        return str(self.cells[0].dtype)

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> Any:
        """(outputs, last state), or outputs. A state of None is zeros."""
        x = time_first(x, self.time_major)
        steps = steps_of(lengths, x)
        self._check_state(state)
        ends = []
        for layer in range(self.layers):
            if layer:
                x = self._dropped(x)
            outputs = []
            for direction in range(self._directions):
                place = layer * self._directions + direction
                first = None if state is None else jax.tree.map(lambda s, k=place: s[k], state)
                cell, reverse = self.cells[place], direction == 1
                output, end = over_steps(cell, x, first, steps, reverse=reverse, whole=True)
                outputs.append(output)
                ends.append(end)
            x = outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs, -1)
        x = batch_first(x, self.time_major)
        return (x, jax.tree.map(lambda *s: jnp.stack(s), *ends)) if self.return_state else x

    def _dropped(self, x: jax.Array) -> jax.Array:
        if not is_training() or self.dropout == 0:
            return x
        return ops.dropout(x, random.bernoulli(1 - self.dropout, x.shape), self.dropout)

    def _check_state(self, state: Any) -> None:
        for array in map(as_array, jax.tree.leaves(state)):
            if jnp.ndim(array) != 3 or jnp.shape(array)[0] != len(self.cells):
                raise ShapeError(
                    f"{here()}: expected a state of shape ({len(self.cells)}, batch, units), one "
                    f"for each layer and direction, got {jnp.shape(array)}; None stands for zeros"
                )

    def _kuai_parts(self) -> list[str]:
        """What made it, which says all unless a cell was replaced."""
        kinds = (RNNCell, LSTMCell, GRUCell)
        shown = parts(self)
        replaced = any(type(cell) not in kinds for cell in self.cells)
        return shown if replaced else [part for part in shown if not part.startswith("cells=")]


class RNN(StackedCells):
    """Plain recurrent layers: h ← activation(x W + b + h U + d) at each step.

    Calling it gives (outputs, last state), as in PyTorch; `net(x, state, lengths)` begins with a
    state, and takes the lengths of padded sequences. Keras returns
    `outputs[:, -1]` unless told `return_sequences`, and Gluon outputs alone unless given a state.

    Args:
        units: size of the hidden state.
        activation: a name ("relu"), a function or a block; default "tanh".
        layers: how many, each over the outputs of the one before; default 1.
        bidirectional: whether each layer also runs from the last step to the first, the outputs
            side by side; default False.
        dropout: rate at which outputs between layers are dropped in training; default 0.
        use_bias: whether b and d are added; default True.
        return_state: whether the last state is returned too; default True. In a `Sequential` give
            False: it would hand the state to the next block.
        time_major: whether inputs and outputs are (time, batch, features); default
            (batch, time, features).
        init, recurrent_init, bias_init: as for `RNNCell`; default glorot_uniform, orthogonal,
            zeros.
        dtype: of the parameters; default float32. Outputs have the dtype that it and the input's
            promote to; the steps are computed in at least float32.

    Shape:
        x (batch, time, inputs), state (layers · directions, batch, units), `lengths` (batch,)
        → (outputs (batch, time, directions · units), state). `cells` has layers · directions of
        `RNNCell`, in the order of the state: `cells.0.input_weight` (inputs, units),
        `cells.0.recurrent_weight` (units, units), `cells.0.bias` and
        `cells.0.recurrent_bias` (units,).

    Raises:
        ArgumentError: a number is out of its range, or the dtype is not floating; when called, a
            length is below 0 or beyond the time axis (compiled, such a length counts as 0 or as the
            whole).
        DtypeError: when called, the input or state is not floating, or a length no integer.
        ShapeError: when called, the input has not three axes, no step or another width than at
            first, the state another shape, or there is not one length for each sequence.

    Example:
        >>> outputs, state = nn.RNN(4, layers=2)(jnp.ones((2, 5, 3)))
        >>> outputs.shape, state.shape
        ((2, 5, 4), (2, 2, 4))

    Reference:
        Elman, "Finding structure in time" (1990).
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        use_bias: bool = True,
        return_state: bool = True,
        time_major: bool = False,
        init: Any = None,
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()

        def make() -> RNNCell:
            return RNNCell(units, activation, use_bias, init, recurrent_init, bias_init, dtype)

        self._stack(make, layers, bidirectional, dropout, return_state, time_major)


class LSTM(StackedCells):
    """Long short-term memory layers; `LSTMCell` has the formulas of a step.

    Calling it gives (outputs, last state), as in PyTorch; `net(x, state, lengths)` begins with a
    state, and takes the lengths of padded sequences. The state is
    (h, c). Keras returns `outputs[:, -1]` unless told `return_sequences`, and Gluon outputs alone
    unless given a state.

    Args:
        units: size of the hidden state.
        layers: how many, each over the outputs of the one before; default 1.
        bidirectional: whether each layer also runs from the last step to the first, the outputs
            side by side; default False.
        dropout: rate at which outputs between layers are dropped in training; default 0.
        use_bias: whether b and d are added; default True.
        return_state: whether the last state is returned too; default True. In a `Sequential` give
            False: it would hand the state to the next block.
        time_major: whether inputs and outputs are (time, batch, features); default
            (batch, time, features).
        init, recurrent_init, bias_init, forget_bias: as for `LSTMCell`; default glorot_uniform,
            orthogonal, zeros, 1.
        dtype: of the parameters; default float32. Outputs have the dtype that it and the input's
            promote to; the steps are computed in at least float32.

    Shape:
        x (batch, time, inputs), state (h, c), each (layers · directions, batch, units), `lengths`
        (batch,) → (outputs (batch, time, directions · units), state). `cells` has layers ·
        directions of `LSTMCell`, in the order of the state: `cells.0.input_weight` (inputs,
        4 · units), `cells.0.recurrent_weight` (units, 4 · units), `cells.0.bias` and
        `cells.0.recurrent_bias` (4 · units,).

    Raises:
        ArgumentError: a number is out of its range, or the dtype is not floating; when called, a
            length is below 0 or beyond the time axis (compiled, such a length counts as 0 or as the
            whole).
        DtypeError: when called, the input or state is not floating, or a length no integer.
        ShapeError: when called, the input has not three axes, no step or another width than at
            first, the state another shape, or there is not one length for each sequence.

    Example:
        >>> net = nn.LSTM(4, bidirectional=True)
        >>> outputs, (hidden, cell) = net(jnp.ones((2, 5, 3)), lengths=jnp.array([5, 2]))
        >>> outputs.shape, hidden.shape, bool((outputs[1, 2:] == 0).all())
        ((2, 5, 8), (2, 2, 4), True)

    Reference:
        Hochreiter and Schmidhuber, "Long short-term memory" (1997).
    """

    def __init__(
        self,
        units: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        use_bias: bool = True,
        return_state: bool = True,
        time_major: bool = False,
        init: Any = None,
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
        forget_bias: float | None = 1.0,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()

        def make() -> LSTMCell:
            return LSTMCell(units, use_bias, init, recurrent_init, bias_init, forget_bias, dtype)

        self._stack(make, layers, bidirectional, dropout, return_state, time_major)


class GRU(StackedCells):
    """Gated recurrent unit layers; `GRUCell` has the formulas of a step.

    Calling it gives (outputs, last state), as in PyTorch; `net(x, state, lengths)` begins with a
    state, and takes the lengths of padded sequences. Keras returns
    `outputs[:, -1]` unless told `return_sequences`, and Gluon outputs alone unless given a state.

    Args:
        units: size of the hidden state.
        layers: how many, each over the outputs of the one before; default 1.
        bidirectional: whether each layer also runs from the last step to the first, the outputs
            side by side; default False.
        dropout: rate at which outputs between layers are dropped in training; default 0.
        use_bias: whether b and d are added; default True.
        return_state: whether the last state is returned too; default True. In a `Sequential` give
            False: it would hand the state to the next block.
        time_major: whether inputs and outputs are (time, batch, features); default
            (batch, time, features).
        init, recurrent_init, bias_init: as for `GRUCell`; default glorot_uniform, orthogonal,
            zeros.
        dtype: of the parameters; default float32. Outputs have the dtype that it and the input's
            promote to; the steps are computed in at least float32.

    Shape:
        x (batch, time, inputs), state (layers · directions, batch, units), `lengths` (batch,)
        → (outputs (batch, time, directions · units), state). `cells` has layers · directions of
        `GRUCell`, in the order of the state: `cells.0.input_weight` (inputs, 3 · units),
        `cells.0.recurrent_weight` (units, 3 · units), `cells.0.bias` and
        `cells.0.recurrent_bias` (3 · units,).

    Raises:
        ArgumentError: a number is out of its range, or the dtype is not floating; when called, a
            length is below 0 or beyond the time axis (compiled, such a length counts as 0 or as the
            whole).
        DtypeError: when called, the input or state is not floating, or a length no integer.
        ShapeError: when called, the input has not three axes, no step or another width than at
            first, the state another shape, or there is not one length for each sequence.

    Example:
        >>> net = nn.GRU(4, return_state=False)
        >>> nn.Sequential(net, nn.Dense(2))(jnp.ones((2, 5, 3))).shape
        (2, 5, 2)

    Reference:
        Cho et al., "Learning phrase representations using RNN encoder–decoder" (2014).
    """

    def __init__(
        self,
        units: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        use_bias: bool = True,
        return_state: bool = True,
        time_major: bool = False,
        init: Any = None,
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()

        def make() -> GRUCell:
            return GRUCell(units, use_bias, init, recurrent_init, bias_init, dtype)

        self._stack(make, layers, bidirectional, dropout, return_state, time_major)
