"""The plain recurrent layer over a sequence as a pure function, with a gradient of its own."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from kuai.nn.activation import get
from kuai.nn.ops.recurrence import all_widened, over_steps, projected, shifted, where_on
from kuai.nn.over_time import Read, quick

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@functools.partial(jax.jit, static_argnames=("activation", "reverse"))
def rnn(
    x: Float[jax.Array, "time batch inputs"],
    hidden: Float[jax.Array, "batch units"],
    input_weight: Float[jax.Array, "inputs units"],
    recurrent_weight: Float[jax.Array, "units units"],
    bias: Float[jax.Array, " units"] | None = None,
    steps: Bool[jax.Array, "time batch"] | None = None,
    activation: str = "tanh",
    reverse: bool = False,
) -> tuple[Float[jax.Array, "time batch units"], Float[jax.Array, "batch units"]]:
    """A plain recurrent layer over the steps of a sequence.

    h ← activation(x W + h U + b). Computed in at least float32.

    Args:
        x: the inputs, time first.
        hidden: h before the first step.
        input_weight: W.
        recurrent_weight: U.
        bias: b; default none.
        steps: False where a step is to leave the state as it was; default all are steps.
        activation: a name; default "tanh".
        reverse: whether the last step comes first.

    Shape:
        x (time, batch, inputs), state (batch, units), weights (inputs or units, units) →
        h after every step (time, batch, units), h after the last (batch, units).

    Example:
        >>> from kuai.nn import ops
        >>> one = jnp.ones((1, 1))
        >>> outputs, h = ops.rnn(jnp.ones((3, 1, 1)), one * 0, one, one, activation="relu")
        >>> outputs.ravel().tolist(), h.tolist()
        ([1.0, 2.0, 3.0], [[3.0]])

    Reference:
        Elman, "Finding structure in time" (1990).
    """
    dtype, arrays = all_widened(x, input_weight, hidden, recurrent_weight, bias)
    x, input_weight, *others = arrays
    on = None if steps is None else steps[..., None]
    outputs, hidden = _rnn((activation, reverse), projected(x, input_weight), *others, on)
    return outputs.astype(dtype), hidden.astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rnn(static: tuple[str, bool], *arrays: Any) -> Any:
    hidden, (_, states) = _ahead(static, *arrays)
    return states, hidden


def _run_ahead(
    loop: Any, static: tuple[str, bool], inputs: Any, hidden: Any, weight: Any, bias: Any, on: Any
) -> Any:
    """Final h, and of every step what the activation was given, and h after it."""
    activation, reverse = static

    def step(hidden: jax.Array, slot: jax.Array, on: Any = None) -> Any:
        summed = slot + hidden @ weight
        summed = summed if bias is None else summed + bias
        after = where_on(on, get(activation)(summed), hidden)
        return after, (summed, after)

    reads = [Read(inputs)] if on is None else [Read(inputs), Read(on)]
    return loop(step, hidden, reads, reverse=reverse)


def _run_back(
    loop: Any, static: tuple[str, bool], kept: Any, gradients: Any, end: Any, weight: Any, on: Any
) -> Any:
    """Gradients of h before the first step, and of what the activation was given."""
    activation, reverse = static
    across = weight.T

    def step(hidden_gradient: Any, summed: Any, out: Any, on: Any = None) -> Any:
        hidden_gradient = hidden_gradient + out
        (sums,) = jax.vjp(get(activation), summed)[1](hidden_gradient)
        sums = where_on(on, sums, jnp.zeros((), sums.dtype))
        return where_on(on, sums @ across, hidden_gradient), (sums,)

    reads = [Read(kept), Read(gradients), *([] if on is None else [Read(on)])]
    return loop(step, end, reads, reverse=not reverse)


_ahead, _back = quick(_run_ahead), quick(_run_back)


def _forward(
    static: tuple[str, bool], inputs: Any, hidden: Any, weight: Any, bias: Any, on: Any
) -> Any:
    end, (summed, states) = _ahead(static, inputs, hidden, weight, bias, on)
    return (states, end), (summed, states, hidden, weight, bias, on)


def _backward(static: tuple[str, bool], saved: Any, gradients: Any) -> Any:
    summed, states, hidden, weight, bias, on = saved
    first, (sums,) = _back(static, summed, *gradients, weight, on)
    weight_gradient = over_steps(shifted(states, hidden, static[1]), sums)
    bias_gradient = None if bias is None else sums.sum((0, 1))
    return sums, first, weight_gradient, bias_gradient, None


_rnn.defvjp(_forward, _backward)
