"""Convolution and its transpose as pure functions of arrays.

`_convolve` is the only place that says how a convolution is computed: whatever stands in its room
gets channels last, one stride and one dilation for each axis, and paddings as (low, high) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax

from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn._check import check_count
from kuai.nn._dtypes import promoted
from kuai.nn._spatial import (
    Padding,
    Sizes,
    check_fits,
    check_layout,
    check_padding,
    check_spatial,
    padding_pairs,
    per_axis,
    with_channels_last,
    with_layout,
)
from kuai.nn.ops.conv_forms import convolve, convolve_back

if TYPE_CHECKING:
    from jaxtyping import Float

CONV_PADDINGS = ("valid", "same")
CAUSAL_PADDINGS = (*CONV_PADDINGS, "causal")


def conv(
    x: Float[jax.Array, "*shape"],
    weight: Float[jax.Array, "*kernel_inputs_outputs"],
    strides: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str = "channels_last",
) -> Float[jax.Array, "*out_shape"]:
    """y[o] = Σ over k of x[o · stride + k · dilation - low] W[k], over one to three spatial axes.

    The kernel is not flipped: it is a cross-correlation, as in all the systems.

    Args:
        x: the input.
        weight: W.
        strides: from one output to the next, in elements of the input; default 1. An integer, or
            one for each spatial axis.
        padding: zeros around the input: "valid" (none, the default), "same" (the output has
            size / stride elements, rounded up; an odd zero goes to the high side), "causal" (all
            before the first element; one axis only), an integer, or for each axis an integer or a
            pair (low, high).
        dilation: from one element of the kernel to the next, in elements of the input; default 1.
        groups: parts of the channels that are convolved each by itself; default 1.
        layout: "channels_last" (default) or "channels_first", of x and of the output.

    Shape:
        x (batch, *sizes, inputs), weight (*kernel, inputs / groups, outputs) → (batch, *out,
        outputs), in the dtype that x and W promote to.

    Raises:
        ArgumentError: an argument is none of these, or the groups do not divide the outputs.
        ShapeError: x has other axes or channels than the weight asks for, or is smaller than the
            kernel.

    Example:
        >>> from kuai.nn import ops
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
        >>> ops.conv(x, jnp.array([1.0, 10.0]).reshape(2, 1, 1)).ravel().tolist()
        [21.0, 32.0]
    """
    axes = _checked(x, weight, groups, layout)
    names = CAUSAL_PADDINGS if axes == 1 else CONV_PADDINGS
    padding = check_padding(here(), padding, axes, names)
    steps = per_axis("strides", strides, axes)
    gaps = per_axis("dilation", dilation, axes)
    x = with_channels_last(x, layout)
    reaches = _reaches(weight.shape[:axes], gaps)
    pairs = padding_pairs(padding, x.shape[1:-1], reaches, steps)
    check_fits(x.shape[1:-1], reaches, pairs)
    dtype = promoted(x.dtype, weight.dtype)
    y = convolve(x.astype(dtype), weight.astype(dtype), steps, pairs, gaps, groups)
    return with_layout(y, layout)


def conv_transpose(
    x: Float[jax.Array, "*shape"],
    weight: Float[jax.Array, "*kernel_inputs_outputs"],
    strides: Sizes = 1,
    padding: Padding = "valid",
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str = "channels_last",
) -> Float[jax.Array, "*out_shape"]:
    """y[i · stride + k · dilation - low] += x[i] W[k]: the transpose of `conv` as a linear map.

    Args:
        x: the input.
        weight: W.
        strides: from what one element of the input adds to what the next adds; default 1.
        padding: what is cut off the output, named as the padding of the convolution it transposes:
            "valid" (nothing, the default), "same" (the output has size · stride elements), an
            integer, or for each axis an integer or a pair (low, high).
        output_padding: elements more at the high side; default 0. Below stride or dilation.
        dilation: from one element of the kernel to the next, in elements of the output; default 1.
        groups: parts of the channels that are taken each by itself; default 1.
        layout: "channels_last" (default) or "channels_first", of x and of the output.

    Shape:
        x (batch, *sizes, inputs), weight (*kernel, inputs / groups, outputs) → (batch, *out,
        outputs), where out = (size - 1) · stride + (kernel - 1) · dilation + 1 - low - high +
        output_padding; in the dtype that x and W promote to.

    Raises:
        ArgumentError: an argument is none of these, or the groups do not divide the outputs.
        ShapeError: x has other axes or channels than the weight asks for, or nothing is left.

    Example:
        >>> from kuai.nn import ops
        >>> x = jnp.array([1.0, 2.0]).reshape(1, 2, 1)
        >>> ops.conv_transpose(x, jnp.array([1.0, 10.0]).reshape(2, 1, 1), 2).ravel().tolist()
        [1.0, 10.0, 2.0, 20.0]
    """
    axes = _checked(x, weight, groups, layout)
    padding = check_padding(here(), padding, axes, CONV_PADDINGS)
    steps = per_axis("strides", strides, axes)
    gaps = per_axis("dilation", dilation, axes)
    more = per_axis("output_padding", output_padding, axes, at_least=0)
    check_output_padding(here(), more, steps, gaps)
    x = with_channels_last(x, layout)
    reaches = _reaches(weight.shape[:axes], gaps)
    if padding == "same":
        cut = tuple(_same_cut(reach, step) for reach, step in zip(reaches, steps, strict=True))
    else:
        cut = padding_pairs(padding, x.shape[1:-1], reaches, steps)
    sizes = tuple(
        (n - 1) * step + reach - low - high + extra
        for n, step, reach, (low, high), extra in zip(
            x.shape[1:-1], steps, reaches, cut, more, strict=True
        )
    )
    _check_something_left(sizes)
    dtype = promoted(x.dtype, weight.dtype)
    back = _transposed(weight.astype(dtype), groups)
    pairs = tuple((low, high - extra) for (low, high), extra in zip(cut, more, strict=True))
    y = convolve_back(x.astype(dtype), back, sizes, steps, pairs, gaps, groups)
    return with_layout(y, layout)


def with_bias(y: jax.Array, bias: jax.Array | None, layout: str) -> jax.Array:
    """`y` with a bias added to each channel, in the dtype of `y`."""
    if bias is None:
        return y
    behind = 0 if layout == "channels_last" else y.ndim - 2
    return y + bias.astype(y.dtype).reshape(-1, *(1,) * behind)


def check_groups(where: str, groups: int, inputs: int | None, outputs: int | None) -> None:
    """Check that the groups divide the channels that are known.

    Raises:
        ArgumentError: they do not divide the outputs.
        ShapeError: they do not divide the inputs.
    """
    if outputs is not None and outputs % groups:
        raise ArgumentError(
            f"{where}: expected groups to divide the {outputs} filters, got groups={groups}; make "
            "the filters a multiple of the groups"
        )
    if inputs is not None and inputs % groups:
        raise ShapeError(
            f"{where}: expected groups to divide the {inputs} channels of the input, got "
            f"groups={groups}; choose a divisor of {inputs}"
        )


def check_output_padding(
    where: str, more: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> None:
    """Check that what is added to the output of a transposed convolution could come of a stride.

    Raises:
        ArgumentError: it is not below stride or dilation.
    """
    limits = tuple(max(sizes) for sizes in zip(strides, dilation, strict=True))
    if any(extra >= limit for extra, limit in zip(more, limits, strict=True)):
        raise ArgumentError(
            f"{where}: expected output_padding below strides or dilation, {limits}, got "
            f"{tuple(more)}; choose a smaller one"
        )


def _checked(x: jax.Array, weight: jax.Array, groups: int, layout: str) -> int:
    """The number of spatial axes, once x and the weight fit each other."""
    axes = weight.ndim - 2
    if axes not in (1, 2, 3):
        raise ShapeError(
            f"{here()}: expected a weight of shape (*kernel, inputs / groups, outputs) with one to "
            f"three kernel axes, got {weight.shape}; reshape it"
        )
    check_layout(here(), layout)
    check_spatial(x, axes, layout)
    check_count(here(), "groups", groups)
    check_groups(here(), groups, None, weight.shape[-1])
    inputs = weight.shape[-2] * groups
    channels = x.shape[-1 if layout == "channels_last" else 1]
    if channels != inputs:
        raise ShapeError(
            f"{here()}: expected an input with {inputs} channels ({groups} groups of "
            f"{weight.shape[-2]}), got {channels} in shape {x.shape}; give it that many, or make a "
            "weight for them"
        )
    return axes


def _reaches(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """From the first to the last element that a kernel takes, both counted."""
    return tuple((size - 1) * gap + 1 for size, gap in zip(kernel, dilation, strict=True))


def _same_cut(reach: int, stride: int) -> tuple[int, int]:
    """What leaves size · stride elements; below 0 where the kernel does not reach as far."""
    total = reach - stride
    low = max(total, 0) // 2
    return low, total - low


def _check_something_left(sizes: tuple[int, ...]) -> None:
    if any(n < 1 for n in sizes):
        raise ShapeError(
            f"{here()}: expected padding that leaves an output, got one of size {sizes}; use less "
            "padding or a larger input"
        )


def _transposed(weight: jax.Array, groups: int) -> jax.Array:
    """The weight of the convolution that is transposed: each group's inputs as its outputs."""
    *kernel, inputs, outputs = weight.shape
    parts = weight.reshape(*kernel, inputs, groups, outputs // groups)
    return parts.swapaxes(-1, -3).reshape(*kernel, outputs // groups, groups * inputs)
