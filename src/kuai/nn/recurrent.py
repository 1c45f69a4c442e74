"""Any cell over the steps of sequences, in one direction or in both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.context import following
from kuai.core.replicate import replicate
from kuai.core.steps import as_block
from kuai.core.tree import here
from kuai.errors import ArgumentError
from kuai.nn.sequences import over_steps, steps_of, time_first


class Recurrent(Block):
    """A cell called at every step of a batch of sequences, each time with the state it left.

    kuai's own cells are computed for all steps at once. Any other block that takes (x, state) and
    returns (output, state) is called step by step: in a compiled program by one loop, which carries
    the `State` that it assigns and the random keys that it draws; in plain Python by a Python loop.

    Args:
        cell: a block (x, state) → (output, state). Without a state given, it begins with what its
            `initial_state(x)` makes for the inputs x of a step.
        reverse: whether the last step comes first; outputs stay in the order of the steps.
        return_state: whether the last state is returned too; default True. In a `Sequential` give
            False: it would hand the state to the next block.
        time_major: whether inputs and outputs are (time, batch, ...); default (batch, time, ...).
        whole: whether kuai's own cells are computed for all steps at once; default True. That has
            derivatives of any order in reverse mode; forward mode (`jax.jvp`, `jax.hessian`) needs
            False.

    Shape:
        x (batch, time, ...), state as the cell has it, `lengths` (batch,) → (outputs
        (batch, time, ...), last state).

    Raises:
        ArgumentError: when called, a length is below 0 or beyond the time axis (compiled, such a
            length counts as 0 or as the whole), there is no state to begin with, or the cell does
            not return (output, state).
        ShapeError: when called, the input has no time axis or no step, there is not one length for
            each sequence, or the state changes its shape or dtype from step to step.

    Behind the end of a sequence, as `lengths` has it, outputs are zero, and the last state is that
    of its last step: what PyTorch's packed sequences give. A sequence of length 0 leaves the state
    as it was.

    Example:
        >>> net = nn.Recurrent(nn.GRUCell(4))
        >>> outputs, state = net(jnp.ones((2, 5, 3)), lengths=jnp.array([5, 2]))
        >>> outputs.shape, bool((outputs[1, 1] == state[1]).all())
        ((2, 5, 4), True)
    """

    def __init__(
        self,
        cell: Any,
        reverse: bool = False,
        return_state: bool = True,
        time_major: bool = False,
        whole: bool = True,
    ) -> None:
        super().__init__()
        self.cell = as_block(cell, "Recurrent")
        self.reverse, self.return_state = reverse, return_state
        self.time_major, self.whole = time_major, whole

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> Any:
        """(outputs, last state), or outputs."""
        x = time_first(x, self.time_major)
        steps = steps_of(lengths, x)
        outputs, state = over_steps(
            self.cell, x, state, steps, reverse=self.reverse, whole=self.whole
        )
        outputs = batch_first(outputs, self.time_major)
        return (outputs, state) if self.return_state else outputs


class Bidirectional(Block):
    """One cell over the steps from first to last, another from last to first, outputs joined.

    Args:
        ahead: the cell for the steps in their order.
        back: the cell for the steps from the end; default a copy of `ahead` with initial values of
            its own.
        join: "concat" on the last axis, "sum", or a function of the two outputs; default "concat".
        return_state: whether the last states are returned too; default True.
        time_major: whether inputs and outputs are (time, batch, ...); default (batch, time, ...).
        whole: as for `Recurrent`.

    Shape:
        x (batch, time, ...), state (ahead's, back's), `lengths` (batch,) → (outputs joined,
        (ahead's last state, back's)). With `lengths`, `back` starts at each sequence's last step.

    Raises:
        ArgumentError: `join` is none of these; when called, as for `Recurrent`, or the state is no
            tuple of two.
        ShapeError: when called, as for `Recurrent`.

    Example:
        >>> outputs, (ahead, back) = nn.Bidirectional(nn.GRUCell(4))(jnp.ones((2, 5, 3)))
        >>> outputs.shape, bool((outputs[:, 0, 4:] == back).all())
        ((2, 5, 8), True)

    Reference:
        Schuster and Paliwal, "Bidirectional recurrent neural networks" (1997).
    """

    def __init__(
        self,
        ahead: Any,
        back: Any = None,
        join: Literal["concat", "sum"] | Callable[..., Any] = "concat",
        return_state: bool = True,
        time_major: bool = False,
        whole: bool = True,
    ) -> None:
        super().__init__()
        if not callable(join) and join not in ("concat", "sum"):
            raise ArgumentError(
                f"Bidirectional: expected join 'concat', 'sum' or a function, got {join!r}"
            )
        self.ahead = as_block(ahead, "Bidirectional")
        copied = back is None
        self.back = replicate(self.ahead, 1)[0] if copied else as_block(back, "Bidirectional")
        self.join = join
        self.return_state, self.time_major, self.whole = return_state, time_major, whole

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> Any:
        """(outputs, (state of ahead, state of back)), or outputs."""
        x = time_first(x, self.time_major)
        steps = steps_of(lengths, x)
        first, second = self._states(state)
        there, ahead = over_steps(self.ahead, x, first, steps, reverse=False, whole=self.whole)
        back_again, back = over_steps(self.back, x, second, steps, reverse=True, whole=self.whole)
        outputs = batch_first(self._joined(there, back_again), self.time_major)
        return (outputs, (ahead, back)) if self.return_state else outputs

    def _states(self, state: Any) -> Any:
        if state is None:
            return None, None
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise ArgumentError(
                f"{here()}: expected the state as a tuple (ahead's, back's), got "
                f"{type(state).__name__}; None stands for the one that a cell begins with"
            )
        return state

    def _joined(self, first: Any, second: Any) -> Any:
        if callable(self.join):
            return following(self.join)(first, second)
        if self.join == "concat":
            return jax.tree.map(lambda a, b: jnp.concatenate([a, b], -1), first, second)
        return jax.tree.map(jnp.add, first, second)


def batch_first(outputs: Any, time_major: bool) -> Any:
    """Outputs (time, batch, ...) as the user wants them."""
    if time_major:
        return outputs
    return jax.tree.map(lambda array: jnp.swapaxes(array, 0, 1), outputs)
