"""Which form computes a convolution on a CPU, by its shape: what was quickest when measured.

docs/decisions/0018-convolutions-on-cpu.md has the figures behind the numbers here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from kuai.nn.ops.conv_direct import DIRECT
from kuai.nn.ops.conv_geometry import JAX, Form, Geometry
from kuai.nn.ops.conv_grouped import in_blocks
from kuai.nn.ops.conv_taps import COLUMNS, DEPTHWISE, POINTWISE
from kuai.nn.ops.winograd import WINOGRAD

MOST_TAPS = 128  # that are written one by one into a program
NARROW = 32  # outputs, below which XLA has no quick kernel
LEAST_TILES, LEAST_CHANNELS = 96, 128  # below, Winograd's transforms cost more than they save
MANY_TILES, SOME_CHANNELS = 2048, 64  # from here on it saves in the weight gradient nevertheless
# Up to so many places of the kernel, XLA spends longer on turning a kernel, or on putting together
# the few sums of its gradient, than one matmul takes.
FEW_PLACES = {"input_gradient": 256, "weight_gradient": 128}


@dataclass(frozen=True)
class Work:
    """What the choice goes by.

    Attributes:
        step: the name of a field of `Form`.
        batch: how many examples there are.
        inputs: channels.
        outputs: channels.
        dtype: of the arrays.
        geometry: of the convolution.
    """

    step: str
    batch: int
    inputs: int
    outputs: int
    dtype: np.dtype
    geometry: Geometry


def chosen(work: Work) -> Form:
    """The form for a work."""
    geometry = work.geometry
    if 0 in (work.batch, work.inputs, *geometry.outputs):
        return JAX
    few_taps = geometry.taps <= MOST_TAPS
    if geometry.groups == work.inputs and few_taps and _is_thin(work):
        return DEPTHWISE
    if geometry.groups > 1:
        return _BLOCKS
    if geometry.taps == 1:
        return POINTWISE
    if _winograd_saves(work):
        return WINOGRAD
    return COLUMNS if few_taps and (_overhangs(work) or _has_few_places(work)) else DIRECT


def _is_thin(work: Work) -> bool:
    """Whether a channel has so few kernels that sums of vectors beat XLA's matmul."""
    if work.inputs > 1:
        return work.outputs < NARROW * work.inputs
    return work.outputs < NARROW and work.step != "weight_gradient"


def _overhangs(work: Work) -> bool:
    """Whether what XLA would take as kernel is larger than its input, on every axis.

    It has a nest of loops for that, 50 times slower than its other kernels.
    """
    geometry = work.geometry
    sizes, kernel = {
        "forward": (geometry.sizes, geometry.kernel),
        "input_gradient": (geometry.outputs, geometry.kernel),
        "weight_gradient": (geometry.sizes, geometry.outputs),
    }[work.step]
    return all(size < extent for size, extent in zip(sizes, kernel, strict=True))


def _has_few_places(work: Work) -> bool:
    """Whether a gradient is one of many channels at few places."""
    places = work.batch * math.prod(work.geometry.outputs)
    channels = min(work.inputs, work.outputs)
    return channels >= SOME_CHANNELS and places <= FEW_PLACES.get(work.step, 0)


def _winograd_saves(work: Work) -> bool:
    geometry = work.geometry
    if geometry.kernel != (3, 3) or not geometry.is_dense or work.dtype != jnp.float32:
        return False
    channels = min(work.inputs, work.outputs)
    tiles = work.batch * math.prod(-(-size // 2) for size in geometry.outputs)
    if work.step == "weight_gradient" and tiles >= MANY_TILES:
        return channels >= SOME_CHANNELS
    return channels >= LEAST_CHANNELS and tiles >= LEAST_TILES


def _forward(x: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    work = Work("forward", len(x), x.shape[-1], weight.shape[-1], x.dtype, geometry)
    return chosen(work).forward(x, weight, geometry)


def _input_gradient(g: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    inputs = weight.shape[-2] * geometry.groups
    work = Work("input_gradient", len(g), inputs, g.shape[-1], g.dtype, geometry)
    return chosen(work).input_gradient(g, weight, geometry)


def _weight_gradient(x: jax.Array, g: jax.Array, geometry: Geometry) -> jax.Array:
    work = Work("weight_gradient", len(x), x.shape[-1], g.shape[-1], x.dtype, geometry)
    return chosen(work).weight_gradient(x, g, geometry)


CPU = Form(_forward, _input_gradient, _weight_gradient)
_BLOCKS = in_blocks(CPU)
