"""A loop with everything in it that matters, in kuai and by hand in float64 NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from kuai.hybrid.loops import LoopOptions, while_loop

X = np.array([0.3, -1.2, 2.0])
W = np.array(0.7)
V = np.array([1.0, -2.0, 0.5])  # what the last x is weighed with


def wave(x, w, n, options=LoopOptions()):
    """x ← x + sin(w x + 0.3 i) / 20 for i below n; each trip differs, and w is closed over."""

    def body(carry):
        x, i = carry
        phase = x.dtype.type(0.3) * i.astype(x.dtype)
        return [x + jnp.sin(w * x + phase) / 20, i + 1]

    (x, _), trips = while_loop(lambda carry: carry[1] < n, body, [x, jnp.int32(0)], options)
    return x, trips


def weighed(x, w, n, options=LoopOptions()):
    x, _ = wave(x, w, n, options)
    return jnp.sum(x * jnp.asarray(V, x.dtype))


def unrolled(x, w, n):
    """The same by JAX, without a loop."""
    for i in range(n):
        x = x + jnp.sin(w * x + x.dtype.type(0.3 * i)) / 20
    return jnp.sum(x * jnp.asarray(V, x.dtype))


def oracle(x, w, n):
    """The last x, and the gradients of `weighed` with respect to x and w."""
    xs = [np.asarray(x, np.float64)]
    for i in range(n):
        xs.append(xs[-1] + np.sin(w * xs[-1] + 0.3 * i) / 20)
    dx, dw = V, 0.0
    for i in reversed(range(n)):
        slope = np.cos(w * xs[i] + 0.3 * i) / 20
        dw += (dx * slope * xs[i]).sum()
        dx = dx * (1 + w * slope)
    return xs[-1], dx, dw


def gradients(options=LoopOptions()):
    """(x, w, n) → value and gradients of `weighed`, one program for all n."""
    return jax.jit(jax.value_and_grad(lambda x, w, n: weighed(x, w, n, options), argnums=(0, 1)))
