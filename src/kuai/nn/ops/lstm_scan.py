"""The LSTM over a sequence as a pure function, with a gradient of its own.

What makes it quick on CPU: the inputs of all steps are multiplied by one product outside the loop,
and the gradient of the recurrent weight is one product over all steps after it; the gates stay as
they come out of the product, in one array, and take the place of its summand in memory.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.nn.ops.recurrence import all_widened, over_steps, projected, shifted, where_on
from kuai.nn.over_time import Read, quick

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_HALVED = (0.5, 0.5, 1.0, 0.5)  # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: one tanh for all four gates


@functools.partial(jax.jit, static_argnames="reverse")
def lstm(
    x: Float[jax.Array, "time batch inputs"],
    hidden: Float[jax.Array, "batch units"],
    cell: Float[jax.Array, "batch units"],
    input_weight: Float[jax.Array, "inputs gates"],
    recurrent_weight: Float[jax.Array, "units gates"],
    bias: Float[jax.Array, " gates"] | None = None,
    steps: Bool[jax.Array, "time batch"] | None = None,
    reverse: bool = False,
) -> tuple[
    Float[jax.Array, "time batch units"],
    Float[jax.Array, "batch units"],
    Float[jax.Array, "batch units"],
]:
    """A long short-term memory over the steps of a sequence.

    i, f, g, o = x W + h U + b; c ← sigmoid(f) c + sigmoid(i) tanh(g); h ← sigmoid(o) tanh(c).
    Computed in at least float32.

    Args:
        x: the inputs, time first.
        hidden: h before the first step.
        cell: c before the first step.
        input_weight: W, the four gates side by side.
        recurrent_weight: U, likewise.
        bias: b; default none.
        steps: False where a step is to leave the state as it was; default all are steps.
        reverse: whether the last step comes first.

    Shape:
        x (time, batch, inputs), states (batch, units), weights (inputs or units, 4 · units) →
        h after every step (time, batch, units), h and c after the last (batch, units).

    Example:
        >>> from kuai.nn import ops
        >>> zeros, ones = jnp.zeros((2, 4)), jnp.ones((3, 16))
        >>> outputs, h, c = ops.lstm(jnp.ones((5, 2, 3)), zeros, zeros, ones, jnp.ones((4, 16)))
        >>> outputs.shape, bool((outputs[-1] == h).all())
        ((5, 2, 4), True)

    Reference:
        Hochreiter and Schmidhuber, "Long short-term memory" (1997).
    """
    dtype, arrays = all_widened(x, input_weight, hidden, cell, recurrent_weight, bias)
    x, input_weight, *others = arrays
    on = None if steps is None else steps[..., None]
    outputs = _lstm(reverse, projected(x, input_weight), *others, on)
    return tuple(array.astype(dtype) for array in outputs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lstm(reverse: bool, *arrays: Any) -> Any:
    return _outputs(_ahead(reverse, *arrays))


def _outputs(found: Any) -> Any:
    (hidden, cell), (_, states, _) = found
    return states, hidden, cell


def _run_ahead(
    loop: Any, reverse: bool, inputs: Any, hidden: Any, cell: Any, weight: Any, bias: Any, on: Any
) -> Any:
    """Final (h, c), and of every step the gates, h after it and c before it."""
    half = np.repeat(np.asarray(_HALVED, inputs.dtype), hidden.shape[-1])

    def step(state: Any, slot: jax.Array, on: Any = None) -> Any:
        hidden, cell = state
        summed = slot + hidden @ weight
        summed = summed if bias is None else summed + bias
        gates = jnp.tanh(summed * half) * half + (1 - half)
        i, f, g, o = jnp.split(gates, 4, -1)
        after = f * cell + i * g
        after = where_on(on, (o * jnp.tanh(after), after), state)
        return after, (gates, after[0], cell)

    reads = [Read(inputs)] if on is None else [Read(inputs), Read(on)]
    return loop(step, (hidden, cell), reads, reverse=reverse, reuse=True)


def _run_back(
    loop: Any, reverse: bool, gates: Any, cells: Any, gradients: Any, end: Any, weight: Any, on: Any
) -> Any:
    """Gradients of (h, c) before the first step, and of the gates' sums at every step."""
    across = weight.T

    def step(
        state: Any, i: Any, f: Any, g: Any, o: Any, cell: Any, out: Any, on: Any = None
    ) -> Any:
        hidden_gradient, cell_gradient = state[0] + out, state[1]
        squashed = jnp.tanh(f * cell + i * g)
        through = cell_gradient + hidden_gradient * o * (1 - squashed * squashed)
        sums = jnp.concatenate(
            [
                through * g * i * (1 - i),
                through * cell * f * (1 - f),
                through * i * (1 - g * g),
                hidden_gradient * squashed * o * (1 - o),
            ],
            -1,
        )
        sums = where_on(on, sums, jnp.zeros((), sums.dtype))
        before = where_on(on, (sums @ across, through * f), (hidden_gradient, cell_gradient))
        return before, (sums,)

    reads = [Read(gates, 4), Read(cells), Read(gradients), *([] if on is None else [Read(on)])]
    return loop(step, end, reads, reverse=not reverse)


_ahead, _back = quick(_run_ahead), quick(_run_back)


def _forward(
    reverse: bool, inputs: Any, hidden: Any, cell: Any, weight: Any, bias: Any, on: Any
) -> Any:
    found = _ahead(reverse, inputs, hidden, cell, weight, bias, on)
    return _outputs(found), (found[1], hidden, weight, bias, on)


def _backward(reverse: bool, kept: Any, gradients: Any) -> Any:
    (gates, states, cells), hidden, weight, bias, on = kept
    at_steps, *end = gradients
    first, (sums,) = _back(reverse, gates, cells, at_steps, tuple(end), weight, on)
    weight_gradient = over_steps(shifted(states, hidden, reverse), sums)
    bias_gradient = None if bias is None else sums.sum((0, 1))
    return sums, *first, weight_gradient, bias_gradient, None


_lstm.defvjp(_forward, _backward)
