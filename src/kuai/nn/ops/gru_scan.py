"""The GRU over a sequence as a pure function, with a gradient of its own.

As for the LSTM: one product for the inputs of all steps before the loop, one for the gradient of
the recurrent weight after it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from kuai.nn.ops.recurrence import all_widened, over_steps, projected, shifted, where_on
from kuai.nn.over_time import Read, quick

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@functools.partial(jax.jit, static_argnames="reverse")
def gru(
    x: Float[jax.Array, "time batch inputs"],
    hidden: Float[jax.Array, "batch units"],
    input_weight: Float[jax.Array, "inputs gates"],
    recurrent_weight: Float[jax.Array, "units gates"],
    bias: Float[jax.Array, " gates"] | None = None,
    recurrent_bias: Float[jax.Array, " gates"] | None = None,
    steps: Bool[jax.Array, "time batch"] | None = None,
    reverse: bool = False,
) -> tuple[Float[jax.Array, "time batch units"], Float[jax.Array, "batch units"]]:
    """A gated recurrent unit over the steps of a sequence, "reset after" form.

    With x W + b in three parts a and h U + d in three parts e: r = sigmoid(a₀ + e₀);
    z = sigmoid(a₁ + e₁); n = tanh(a₂ + r e₂); h ← (1 - z) n + z h. Computed in at least float32.

    Args:
        x: the inputs, time first.
        hidden: h before the first step.
        input_weight: W, the three gates side by side: reset, update, new.
        recurrent_weight: U, likewise.
        bias: b; default none.
        recurrent_bias: d; default none.
        steps: False where a step is to leave the state as it was; default all are steps.
        reverse: whether the last step comes first.

    Shape:
        x (time, batch, inputs), state (batch, units), weights (inputs or units, 3 · units) →
        h after every step (time, batch, units), h after the last (batch, units).

    Example:
        >>> from kuai.nn import ops
        >>> weights = jnp.ones((3, 12)), jnp.ones((4, 12))
        >>> outputs, h = ops.gru(jnp.ones((5, 2, 3)), jnp.zeros((2, 4)), *weights)
        >>> outputs.shape, bool((outputs[-1] == h).all())
        ((5, 2, 4), True)

    Reference:
        Cho et al., "Learning phrase representations using RNN encoder–decoder" (2014).
    """
    given = hidden, recurrent_weight, bias, recurrent_bias
    dtype, (x, input_weight, *others) = all_widened(x, input_weight, *given)
    on = None if steps is None else steps[..., None]
    outputs, hidden = _gru(reverse, projected(x, input_weight), *others, on)
    return outputs.astype(dtype), hidden.astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gru(reverse: bool, *arrays: Any) -> Any:
    hidden, (_, states, _) = _ahead(reverse, *arrays)
    return states, hidden


def _run_ahead(
    loop: Any,
    reverse: bool,
    inputs: Any,
    hidden: Any,
    weight: Any,
    bias: Any,
    recurrent_bias: Any,
    on: Any,
) -> Any:
    """Final h, and of every step the gates, h after it and e₂."""

    def step(hidden: jax.Array, slot: jax.Array, on: Any = None) -> Any:
        across = hidden @ weight
        slot = slot if bias is None else slot + bias
        across = across if recurrent_bias is None else across + recurrent_bias
        units = hidden.shape[-1]
        reset, update = jnp.split(_sigmoid((slot + across)[:, : 2 * units]), 2, -1)
        recalled = across[:, 2 * units :]
        new = jnp.tanh(slot[:, 2 * units :] + reset * recalled)
        after = where_on(on, (1 - update) * new + update * hidden, hidden)
        return after, (jnp.concatenate([reset, update, new], -1), after, recalled)

    reads = [Read(inputs)] if on is None else [Read(inputs), Read(on)]
    return loop(step, hidden, reads, reverse=reverse, reuse=True)


def _run_back(
    loop: Any, reverse: bool, kept: Any, before: Any, gradients: Any, end: Any, weight: Any, on: Any
) -> Any:
    """Gradients of h before the first step, and of x W and h U at every step."""
    gates, recalled = kept
    across = weight.T

    def step(hidden_gradient: Any, reset: Any, update: Any, new: Any, recalled: Any, hidden: Any,
             out: Any, on: Any = None) -> Any:  # fmt: skip
        hidden_gradient = hidden_gradient + out
        of_new = hidden_gradient * (1 - update) * (1 - new * new)
        of_update = hidden_gradient * (hidden - new) * update * (1 - update)
        of_reset = of_new * recalled * reset * (1 - reset)
        off = jnp.zeros((), of_new.dtype)
        sums = where_on(on, jnp.concatenate([of_reset, of_update, of_new], -1), off)
        recurrent = jnp.concatenate([of_reset, of_update, of_new * reset], -1)
        recurrent = where_on(on, recurrent, off)
        earlier = hidden_gradient * update + recurrent @ across
        return where_on(on, earlier, hidden_gradient), (sums, recurrent)

    reads = [Read(gates, 3), Read(recalled), Read(before), Read(gradients)]
    return loop(step, end, reads + ([] if on is None else [Read(on)]), reverse=not reverse)


_ahead, _back = quick(_run_ahead), quick(_run_back)


def _sigmoid(x: jax.Array) -> jax.Array:
    return jnp.tanh(x * 0.5) * 0.5 + 0.5  # quicker than an exponential and a division


def _forward(reverse: bool, inputs: Any, hidden: Any, weight: Any, *rest: Any) -> Any:
    end, (gates, states, recalled) = _ahead(reverse, inputs, hidden, weight, *rest)
    return (states, end), ((gates, recalled), states, hidden, weight, *rest)


def _backward(reverse: bool, saved: Any, gradients: Any) -> Any:
    kept, states, hidden, weight, bias, recurrent_bias, on = saved
    before = shifted(states, hidden, reverse)
    first, (sums, recurrent) = _back(reverse, kept, before, *gradients, weight, on)
    return (
        sums,
        first,
        over_steps(before, recurrent),
        None if bias is None else sums.sum((0, 1)),
        None if recurrent_bias is None else recurrent.sum((0, 1)),
        None,
    )


_gru.defvjp(_forward, _backward)
