"""Convolution and its transpose: a table of configurations against float64 NumPy and torch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kuai import nn
from kuai.nn import ops
from tests import oracles_spatial as oracles
from tests import peers_spatial as peers
from tests.spatial_helpers import assert_all_near, normal, with_gradients, with_torchs_gradients

# x, weight, options of ops.conv, the padding as (low, high) pairs
CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], list[Any]]] = [
    ((2, 7, 3), (3, 3, 4), {}, [(0, 0)]),
    ((2, 7, 3), (2, 3, 4), {"padding": "same", "strides": 2}, [(0, 1)]),
    ((2, 7, 3), (3, 3, 4), {"padding": "causal", "dilation": 2, "strides": 3}, [(4, 0)]),
    ((1, 1, 2), (1, 2, 3), {}, [(0, 0)]),
    ((1, 2, 2), (7, 2, 3), {"padding": ((4, 1),)}, [(4, 1)]),
    ((2, 6, 5, 3), (3, 3, 3, 4), {"padding": 1}, [(1, 1)] * 2),
    ((2, 6, 5, 3), (4, 2, 3, 4), {"padding": "same"}, [(1, 2), (0, 1)]),
    ((2, 6, 5, 3), (3, 3, 3, 4), {"padding": "same", "strides": 2}, [(0, 1), (1, 1)]),
    ((2, 5, 6, 3), (1, 2, 3, 1), {"padding": "same", "strides": (3, 4)}, [(0, 0), (0, 0)]),
    ((2, 6, 7, 3), (2, 3, 3, 4), {"dilation": (2, 3), "padding": (1, (0, 2))}, [(1, 1), (0, 2)]),
    ((1, 6, 5, 4), (3, 3, 2, 6), {"groups": 2, "strides": (1, 2)}, [(0, 0)] * 2),
    ((1, 5, 5, 4), (3, 3, 1, 8), {"groups": 4, "padding": "same"}, [(1, 1)] * 2),
    ((2, 1, 5, 3), (1, 5, 3, 2), {}, [(0, 0)] * 2),
    ((1, 3, 4, 5, 2), (2, 3, 1, 2, 3), {"padding": (1, 0, (0, 1))}, [(1, 1), (0, 0), (0, 1)]),
    ((1, 3, 4, 5, 4), (2, 2, 2, 2, 2), {"groups": 2, "strides": (1, 2, 3)}, [(0, 0)] * 3),
]


def each(value: Any, axes: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * axes


def torch_conv(options: dict[str, Any], pairs: list[Any]) -> Any:
    def run(x: Any, weight: Any) -> Any:
        import torch.nn.functional as f

        around = [n for pair in reversed(pairs) for n in pair]
        axes = weight.ndim - 2
        y = getattr(f, f"conv{axes}d")(
            f.pad(x.movedim(-1, 1), around),
            peers.kernel(weight),
            stride=options.get("strides", 1),
            dilation=options.get("dilation", 1),
            groups=options.get("groups", 1),
        )
        return y.movedim(1, -1)

    return run


@pytest.mark.parametrize(("shape", "kernel", "options", "pairs"), CONVOLUTIONS)
def test_conv_is_numpys_and_torchs(shape, kernel, options, pairs):
    x, weight, axes = normal(*shape), normal(*kernel, seed=1), len(shape) - 2
    found = with_gradients(lambda x, w: ops.conv(x, w, **options), x, weight)
    strides, dilation = (each(options.get(n, 1), axes) for n in ("strides", "dilation"))
    expected = oracles.conv(x, weight, pairs, strides, dilation, options.get("groups", 1))
    assert_all_near(found[:1], [expected])
    assert_all_near(found, with_torchs_gradients(torch_conv(options, pairs), x, weight))


# x, weight, options of ops.conv_transpose, what is cut off, torch's options where it knows them
TRANSPOSED: list[tuple[Any, Any, dict[str, Any], list[Any], dict[str, Any] | None]] = [
    ((2, 4, 3), (3, 3, 4), {}, [(0, 0)], {}),
    ((2, 4, 3), (3, 3, 4), {"strides": 2, "padding": 1, "output_padding": 1}, [(1, 1)],
     {"stride": 2, "padding": 1, "output_padding": 1}),
    ((2, 4, 3), (4, 3, 4), {"strides": 2, "padding": "same"}, [(1, 1)],
     {"stride": 2, "padding": 1}),
    ((2, 4, 3), (3, 3, 4), {"strides": 2, "padding": "same"}, [(0, 1)], None),
    ((2, 4, 3), (2, 3, 4), {"strides": 3, "padding": "same"}, [(0, -1)], {"stride": 3,
     "output_padding": 1}),
    ((1, 1, 2), (1, 2, 3), {"strides": 2}, [(0, 0)], {"stride": 2}),
    ((1, 3, 2), (5, 2, 3), {"padding": ((0, 4),)}, [(0, 4)], None),
    ((2, 3, 2, 4), (3, 2, 2, 6), {"groups": 2, "strides": (2, 1)}, [(0, 0)] * 2,
     {"stride": (2, 1), "groups": 2}),
    ((2, 3, 2, 3), (2, 3, 3, 2), {"dilation": (1, 2), "output_padding": (0, 1)}, [(0, 0)] * 2,
     {"dilation": (1, 2), "output_padding": (0, 1)}),
    ((1, 5, 4, 4), (3, 3, 1, 4), {"groups": 4, "padding": "same"}, [(1, 1)] * 2,
     {"groups": 4, "padding": 1}),
    ((1, 2, 1, 3, 2), (2, 3, 1, 2, 3), {"strides": (1, 2, 3), "padding": (0, 1, 0)},
     [(0, 0), (1, 1), (0, 0)], {"stride": (1, 2, 3), "padding": (0, 1, 0)}),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "kernel", "options", "cut", "theirs"), TRANSPOSED)
def test_conv_transpose_is_numpys_and_torchs(shape, kernel, options, cut, theirs):
    x, weight, axes = normal(*shape), normal(*kernel, seed=1), len(shape) - 2
    found = with_gradients(lambda x, w: ops.conv_transpose(x, w, **options), x, weight)
    more = each(options.get("output_padding", 0), axes)
    if cut == [(0, -1)]:  # where nothing is to be cut, the output is extended
        cut, more = [(0, 0)], (1,)
    strides, dilation = (each(options.get(n, 1), axes) for n in ("strides", "dilation"))
    groups = options.get("groups", 1)
    expected = oracles.conv_transpose(x, weight, cut, strides, dilation, groups, more)
    assert_all_near(found[:1], [expected])
    if theirs is None:
        return

    def torch_transpose(x: Any, weight: Any) -> Any:
        import torch.nn.functional as f

        function = getattr(f, f"conv_transpose{axes}d")
        moved = peers.transposed_kernel(weight, groups)
        return function(x.movedim(-1, 1), moved, **theirs).movedim(1, -1)

    assert_all_near(found, with_torchs_gradients(torch_transpose, x, weight))


@pytest.mark.slow
@settings(max_examples=40)
@given(*map(st.integers, (1, 1, 1, 1, 0), (4, 4, 3, 3, 2)), st.sampled_from(["same", 0, 1]))
def test_conv_transpose_is_the_transpose_of_conv(outputs, kernel, stride, dilation, more, padding):
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩."""
    assume(more < stride or padding == "same")
    more = 0 if padding == "same" else more
    reach = (kernel - 1) * dilation + 1
    cut = 2 * padding if padding != "same" else reach - stride
    size = (outputs - 1) * stride + reach - cut + more
    assume(size > 0)
    x, weight, y = normal(1, size, 1), normal(kernel, 1, 1, seed=1), normal(1, outputs, 1, seed=2)
    options = {"strides": stride, "padding": padding, "dilation": dilation}
    with jax.enable_x64(True):
        there = ops.conv(jnp.asarray(x), jnp.asarray(weight), **options)
        back = ops.conv_transpose(
            jnp.asarray(y), jnp.asarray(weight), **options, output_padding=more
        )
        assert (there.shape, back.shape) == (y.shape, x.shape)
        np.testing.assert_allclose((there * y).sum(), (x * back).sum(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("function", [ops.conv, ops.conv_transpose])
def test_channels_first_is_channels_last_moved(function):
    x, weight = jnp.asarray(normal(2, 4, 5, 3)), jnp.asarray(normal(2, 3, 3, 4))
    last = function(x, weight, 2)
    first = function(jnp.moveaxis(x, -1, 1), weight, 2, layout="channels_first")
    np.testing.assert_allclose(jnp.moveaxis(first, 1, -1), last, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_adds_up_in_float32(dtype):
    x, weight = jnp.ones((1, 3, 4096), dtype), jnp.ones((3, 4096, 1), dtype)
    assert ops.conv(x, weight / 64).item() == 192.0  # each step of 1 / 64 from 4 on would be lost
    gradient = jax.grad(lambda x: ops.conv(x, weight).sum().astype("float32"))(x)
    assert (gradient.dtype, gradient.shape) == (jnp.dtype(dtype), x.shape)


def test_mixed_dtypes_promote():
    x, weight = jnp.ones((1, 3, 1), "bfloat16"), jnp.ones((2, 1, 1), "float32")
    assert ops.conv(x, weight).dtype == ops.conv_transpose(x, weight).dtype == jnp.float32


def test_second_order_and_forward_mode():
    x, weight = jnp.asarray(normal(1, 4, 1)), jnp.asarray(normal(2, 1, 1))

    def cube(w: Any) -> Any:
        return (ops.conv(x, w) ** 3).sum()

    hessian = jax.jit(jax.hessian(cube))(weight).reshape(2, 2)
    patches = np.stack([x[0, :-1, 0], x[0, 1:, 0]], -1).astype(np.float64)
    expected = 6 * (patches.T * (patches @ np.asarray(weight)[:, 0, 0])) @ patches
    np.testing.assert_allclose(hessian, expected, rtol=1e-5)


def test_vmap_over_kernels():
    x, weights = jnp.asarray(normal(1, 5, 2)), jnp.asarray(normal(3, 2, 2, 1))
    found = jax.vmap(lambda w: ops.conv(x, w))(weights)
    expected = jnp.stack([ops.conv(x, w) for w in weights])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_a_kernel_is_kept_as_inputs_of_a_group_and_outputs():
    net = nn.Conv2d(6, (3, 2), groups=2).initialize(sample=jnp.ones((1, 4, 4, 4)))
    assert (net.weight.shape, net.bias.shape) == ((3, 2, 2, 6), (6,))
    deep = nn.DepthwiseConv2d(3, multiplier=2).initialize(sample=jnp.ones((1, 4, 4, 4)))
    assert (deep.weight.shape, deep.bias.shape) == ((3, 3, 1, 8), (8,))


def test_initial_values_scale_by_kernel_and_channels():
    """Glorot's bound is the square root of 6 / (9 · 32 + 9 · 64)."""
    net = nn.Conv2d(64, 3).initialize(seed=0, sample=jnp.ones((1, 4, 4, 32)))
    bound = (6 / (9 * 32 + 9 * 64)) ** 0.5
    assert 0.99 * bound < float(jnp.abs(net.weight).max()) <= bound


def test_a_list_is_a_tuple_and_numpys_integers_are_sizes():
    net = nn.Conv2d(np.int64(2), [3, np.int32(2)], padding=[1, [0, 1]])
    assert repr(net) == "Conv2d(2, (3, 2), padding=(1, (0, 1)))"
