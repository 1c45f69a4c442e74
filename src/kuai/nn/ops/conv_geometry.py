"""What a convolution's three products have in common: where its kernel stands over its input.

A convolution y = x ∗ w is linear in x and in w. With g as gradient of y, the gradient of x is a
product of g and w, and the gradient of w one of x and g; all three have one `Geometry`. Arrays are
channels last: x (batch, *sizes, inputs), w (*kernel, inputs / groups, outputs), y and g
(batch, *outputs, outputs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Product = Callable[[jax.Array, jax.Array, "Geometry"], jax.Array]


class Form(NamedTuple):
    """One way to compute a convolution and its gradients.

    Attributes:
        forward: x, w → y.
        input_gradient: g, w → gradient of x.
        weight_gradient: x, g → gradient of w.
    """

    forward: Product
    input_gradient: Product
    weight_gradient: Product


@dataclass(frozen=True)
class Geometry:
    """Where the kernel stands over the input; one entry for each spatial axis.

    Attributes:
        sizes: of the input.
        kernel: sizes of the kernel.
        strides: from one place of the kernel to the next.
        padding: zeros before and after; negative numbers cut off.
        dilation: from one element of the kernel to the next.
        groups: the channels are split into.
    """

    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def axes(self) -> int:
        """How many spatial axes there are."""
        return len(self.sizes)

    @property
    def taps(self) -> int:
        """How many elements the kernel has in space."""
        return math.prod(self.kernel)

    @property
    def extents(self) -> tuple[int, ...]:
        """Sizes of the dilated kernel."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Sizes of the output."""
        padded = (n + sum(pad) for n, pad in zip(self.sizes, self.padding, strict=True))
        rooms = (n - e for n, e in zip(padded, self.extents, strict=True))
        return tuple(max(r // s + 1, 0) for r, s in zip(rooms, self.strides, strict=True))

    @property
    def is_dense(self) -> bool:
        """Whether the kernel stands everywhere and has no gaps."""
        return set(self.strides) == {1} and set(self.dilation) == {1}

    @property
    def numbers(self) -> tuple[str, str, str]:
        """JAX's dimension numbers."""
        space = "DHW"[3 - self.axes :]
        return f"N{space}C", f"{space}IO", f"N{space}C"

    def flipped(self) -> Geometry:
        """Of the convolution that takes g and the flipped kernel to the gradient of x.

        Only for strides of 1: with others, g would have to be dilated.
        """
        padding = tuple(
            (e - 1 - low, e - 1 - high)
            for e, (low, high) in zip(self.extents, self.padding, strict=True)
        )
        return Geometry(
            self.outputs, self.kernel, self.strides, padding, self.dilation, self.groups
        )


def flip(weight: jax.Array, geometry: Geometry) -> jax.Array:
    """The kernel, turned around in space."""
    return jnp.flip(weight, tuple(range(geometry.axes)))


def transposed(forward: Product) -> Form:
    """The form whose gradients are JAX's own transposes of `forward`."""

    def input_gradient(g: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
        inputs = weight.shape[-2] * geometry.groups
        like = jax.ShapeDtypeStruct((g.shape[0], *geometry.sizes, inputs), g.dtype)
        return jax.linear_transpose(lambda x: forward(x, weight, geometry), like)(g)[0]

    def weight_gradient(x: jax.Array, g: jax.Array, geometry: Geometry) -> jax.Array:
        channels = x.shape[-1] // geometry.groups, g.shape[-1]
        like = jax.ShapeDtypeStruct((*geometry.kernel, *channels), x.dtype)
        return jax.linear_transpose(lambda weight: forward(x, weight, geometry), like)(g)[0]

    return Form(forward, input_gradient, weight_gradient)


def by_jax(x: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """JAX's own convolution."""
    return convolved(x, weight, geometry, geometry.strides, geometry.padding)


def convolved(
    x: jax.Array,
    weight: jax.Array,
    geometry: Geometry,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    *,
    spread: Sequence[int] = (),
    dilation: Sequence[int] = (),
) -> jax.Array:
    """JAX's own convolution, with what negative padding cuts off at the low side cut off first.

    XLA's kernel for a CPU reads beside its input where the low padding is negative and the high
    one is not (openxla/xla#48713).

    Args:
        x: the input.
        weight: the kernel.
        geometry: says the axes, and the groups.
        strides: from one place of the kernel to the next.
        padding: zeros before and after; negative numbers cut off.
        spread: from one element of x to the next; default 1.
        dilation: from one element of the kernel to the next; default the geometry's.
    """
    spread = spread or (1,) * geometry.axes
    starts = [
        -low if low < 0 and gap == 1 else 0 for (low, _), gap in zip(padding, spread, strict=True)
    ]
    return lax.conv_general_dilated(
        x[:, *(slice(start, None) for start in starts)],
        weight,
        strides,
        [(low + start, high) for (low, high), start in zip(padding, starts, strict=True)],
        lhs_dilation=spread,
        rhs_dilation=dilation or geometry.dilation,
        feature_group_count=geometry.groups,
        dimension_numbers=geometry.numbers,
    )


JAX = transposed(by_jax)
