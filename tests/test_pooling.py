"""Pooling: a table of configurations against float64 NumPy and torch; ties, NaN, integers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kuai import nn
from kuai.nn import ops
from tests import oracles_spatial as oracles
from tests.peers_spatial import over_channels_first
from tests.spatial_helpers import assert_all_near, normal, with_gradients, with_torchs_gradients


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


# sizes, pool, strides, padding on both sides, whether sizes are rounded up
WINDOWS = [
    ((7,), (2,), (2,), (0,), False),
    ((7,), (3,), (1,), (1,), False),
    slow((7,), (3,), (3,), (1,), True),
    slow((23,), (11,), (3,), (5,), False),
    ((23,), (9,), (4,), (3,), True),
    ((1,), (1,), (1,), (0,), False),
    ((5, 6), (2, 3), (2, 1), (0, 1), False),
    ((5, 6), (3, 3), (2, 2), (1, 1), True),
    slow((5, 4), (2, 2), (3, 3), (0, 1), True),
    slow((6, 1), (2, 1), (2, 1), (1, 0), False),
    ((4, 5, 3), (2, 3, 2), (2, 2, 1), (0, 1, 1), False),
]
windows = pytest.mark.parametrize(("sizes", "pool", "strides", "padding", "ceil_mode"), WINDOWS)


def torchs(name: str, axes: int, *arguments: Any) -> Any:
    def run(x: Any) -> Any:
        import torch.nn.functional as f

        return getattr(f, f"{name}{axes}d")(x, *arguments)

    return over_channels_first(run)


def spans_of(x: np.ndarray, pool: Any, strides: Any, padding: Any, ceil_mode: bool) -> Any:
    return oracles.windows_of(x, pool, strides, [(n, n) for n in padding], ceil_mode)


@windows
def test_max_pool_is_numpys_and_torchs(sizes, pool, strides, padding, ceil_mode):
    # Few values, so that windows have several largest elements.
    x = np.random.default_rng(0).integers(0, 3, (2, *sizes, 2)).astype(float)
    found = with_gradients(lambda x: ops.max_pool(x, pool, strides, padding, ceil_mode), x)
    spans = spans_of(x, pool, strides, padding, ceil_mode)
    assert_all_near(found[:1], [oracles.pooled(x, spans, oracles.largest)])
    if all(2 * low <= size for low, size in zip(padding, pool, strict=True)):
        theirs = torchs("max_pool", len(sizes), pool, strides, padding, 1, ceil_mode)
        assert_all_near(found, with_torchs_gradients(theirs, x))


@windows
@pytest.mark.parametrize("count_padding", [True, False])
def test_avg_pool_is_numpys_and_torchs(sizes, pool, strides, padding, ceil_mode, count_padding):
    x = normal(2, *sizes, 2)
    found = with_gradients(
        lambda x: ops.avg_pool(x, pool, strides, padding, count_padding, ceil_mode), x
    )
    reduce = oracles.mean_with_padding if count_padding else oracles.mean
    spans = spans_of(x, pool, strides, padding, ceil_mode)
    assert_all_near(found[:1], [oracles.pooled(x, spans, reduce)])
    arguments = (pool, strides, padding, ceil_mode, count_padding)
    theirs = torchs("avg_pool", len(sizes), *arguments)
    assert_all_near(found, with_torchs_gradients(theirs, x))


REGIONS = [((7,), (3,)), ((6,), (3,)), ((3,), (7,)), ((5, 6), (2, 6)), ((5, 6), (1, 1)),
           ((1, 9), (1, 4)),
           slow((4, 5, 7), (2, 3, 5))]  # fmt: skip


@pytest.mark.parametrize(("sizes", "count"), REGIONS)
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_adaptive_pooling_is_numpys_and_torchs(sizes, count, kind):
    x = np.random.default_rng(0).integers(0, 3, (2, *sizes, 2)).astype(float)
    function = getattr(ops, f"adaptive_{kind}_pool")
    found = with_gradients(lambda x: function(x, count), x)
    reduce = oracles.largest if kind == "max" else oracles.mean
    assert_all_near(found[:1], [oracles.pooled(x, oracles.regions_of(x, count), reduce)])
    theirs = torchs(f"adaptive_{kind}_pool", len(sizes), count)
    assert_all_near(found, with_torchs_gradients(theirs, x))


def test_same_padding_is_keras():
    """Windows at 0, 2, 4 of five elements and one more; that one is no part of the mean."""
    x = jnp.arange(5.0).reshape(1, 5, 1)
    pool = nn.MaxPool1d(2, padding="same"), nn.AvgPool1d(2, padding="same", count_padding=False)
    assert [layer(x).ravel().tolist() for layer in pool] == [[1.0, 3.0, 4.0], [0.5, 2.5, 4.0]]


def test_none_keeps_an_axis():
    x = jnp.asarray(normal(1, 4, 6, 2))
    found = nn.AdaptiveAvgPool2d((None, 3))(x)
    np.testing.assert_allclose(found, x.reshape(1, 4, 3, 2, 2).mean(3), rtol=1e-6)
    assert repr(nn.AdaptiveAvgPool2d([None, 3])) == "AdaptiveAvgPool2d((None, 3))"


@pytest.mark.parametrize("pool", [2, 9])
def test_the_first_of_equals_gets_the_gradient(pool):
    x = jnp.zeros((1, 18, 1))
    gradient = jax.grad(lambda x: ops.max_pool(x, pool).sum())(x)
    assert np.flatnonzero(gradient).tolist() == list(range(0, 18, pool))


@pytest.mark.parametrize("layer", [nn.MaxPool1d(3), nn.MaxPool1d(9), nn.GlobalMaxPool1d(True)])
@pytest.mark.parametrize("place", [0, 4, 8])
def test_nan_is_the_largest(layer, place):
    x = jnp.arange(9.0).reshape(1, 9, 1).at[0, place].set(jnp.nan)
    assert jnp.isnan(layer(x)).sum() == 1


def test_what_is_not_finite_stays_in_its_region():
    x = jnp.array([jnp.inf, 1.0, 2.0, 3.0, 4.0]).reshape(1, 5, 1)
    assert ops.adaptive_avg_pool(x, 3).ravel().tolist() == [jnp.inf, 2.0, 3.5]
    assert ops.avg_pool(x, 2).ravel().tolist() == [jnp.inf, 2.5]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool"])
def test_the_largest_of_integers(dtype):
    x = jnp.array([0, 1, 0, 0], dtype).reshape(1, 4, 1)
    windows, regions = nn.MaxPool1d(2, padding=1)(x), nn.AdaptiveMaxPool1d(3)(x)
    assert (windows.dtype, regions.dtype) == (x.dtype, x.dtype)
    assert (windows.ravel().tolist(), regions.ravel().tolist()) == ([0, 1, 0], [1, 1, 0])


def test_means_of_half_precision_are_taken_wide():
    x = jnp.full((1, 64, 64, 1), 300.0, jnp.float16)  # their sum is beyond float16
    layers = nn.AvgPool2d(64), nn.AdaptiveAvgPool2d(1), nn.GlobalAvgPool2d(keep_axes=True)
    assert [layer(x).item() for layer in layers] == [300.0] * 3


@pytest.mark.parametrize("first", [False, True])
def test_global_pooling_drops_or_keeps_the_axes(first):
    x = jnp.asarray(normal(2, 3, 4, 5))
    layout, axes = ("channels_first", (2, 3)) if first else ("channels_last", (1, 2))
    for kept in (False, True):
        mean, largest = (kind(kept, layout) for kind in (nn.GlobalAvgPool2d, nn.GlobalMaxPool2d))
        np.testing.assert_allclose(mean(x), x.mean(axes, keepdims=kept), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(largest(x), x.max(axes, keepdims=kept))


@pytest.mark.parametrize("name", ["max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool"])
def test_channels_first_is_channels_last_moved(name):
    x, function = jnp.asarray(normal(2, 4, 5, 3)), getattr(ops, name)
    first = function(jnp.moveaxis(x, -1, 1), (2, 3), layout="channels_first")
    np.testing.assert_array_equal(jnp.moveaxis(first, 1, -1), function(x, (2, 3)))


def test_second_order_vmap_and_forward_mode():
    x = jnp.asarray(normal(2, 1, 4, 1))

    def cubes(x: Any) -> Any:
        return (ops.max_pool(x, 2) ** 3).sum()

    chosen = (x == jnp.repeat(ops.max_pool(x[:, 0], 2), 2, 1)[:, None]).astype(x.dtype)
    hessian = jax.jit(jax.vmap(jax.hessian(cubes)))(x).reshape(2, 4, 4)
    expected = [np.diag(row) for row in (6 * x * chosen).reshape(2, 4)]
    np.testing.assert_allclose(hessian, expected, rtol=1e-5)
