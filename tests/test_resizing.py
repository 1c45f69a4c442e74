"""Resizing, padding, shuffling and the bilinear layer, against float64 NumPy and torch."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kuai import nn
from kuai.nn import ops
from kuai.nn.ops.resizing import _nearest
from tests import oracles_spatial as oracles
from tests.peers_spatial import over_channels_first
from tests.spatial_helpers import assert_all_near, normal, with_gradients, with_torchs_gradients

# sizes of the input, size or scale, method, align_corners
RESIZES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((5,), {"scale": 2}),
    ((5,), {"size": 12}),
    ((5,), {"scale": 1.5}),
    ((5,), {"scale": 2, "method": "linear"}),
    ((5,), {"scale": 1.7, "method": "linear"}),
    ((1,), {"size": 3, "method": "linear"}),
    ((5,), {"size": 9, "method": "linear", "align_corners": True}),
    ((3, 4), {"scale": (2, 3)}),
    ((3, 4), {"scale": (2, 3), "method": "bilinear"}),
    ((5, 7), {"size": (3, 11), "method": "bilinear", "align_corners": True}),
    ((3, 4), {"scale": 2, "method": "bicubic"}),
    ((5, 7), {"size": (3, 11), "method": "bicubic"}),
]
MORE_RESIZES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((7,), {"size": 3}),
    ((5,), {"scale": 1.7, "method": "nearest-exact"}),
    ((7,), {"size": 3, "method": "nearest-exact"}),
    ((5,), {"size": 1, "method": "linear", "align_corners": True}),
    ((4, 6), {"scale": 0.5}),
    ((4, 6), {"scale": 0.5, "method": "bilinear"}),
    ((5, 7), {"size": (3, 11), "method": "bilinear"}),
    ((5, 7), {"size": (3, 11), "method": "bicubic", "align_corners": True}),
    ((1, 2), {"scale": 2.5, "method": "bicubic"}),
    ((2, 3, 4), {"scale": 2, "method": "trilinear"}),
    ((2, 3, 4), {"size": (3, 2, 4)}),
]


def assert_torch_resizes_so(sizes: tuple[int, ...], options: dict[str, Any]) -> None:
    x = normal(2, *sizes, 2)
    found = with_gradients(lambda x: ops.resize(x, **options), x)

    def theirs(x: Any) -> Any:
        import torch.nn.functional as f

        corners = {"align_corners": options["align_corners"]} if "align_corners" in options else {}
        return f.interpolate(
            x,
            options.get("size"),
            options.get("scale"),
            options.get("method", "nearest"),
            **corners,
        )

    assert_all_near(found, with_torchs_gradients(over_channels_first(theirs), x))


@pytest.mark.parametrize(("sizes", "options"), RESIZES)
def test_resize_is_torchs_interpolate(sizes, options):
    assert_torch_resizes_so(sizes, options)


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "options"), MORE_RESIZES)
def test_more_sizes_are_torchs_interpolate(sizes, options):
    assert_torch_resizes_so(sizes, options)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("method", "weights"), [("linear", oracles.linear_weights),
                                                 ("cubic", oracles.cubic_weights)])  # fmt: skip
@pytest.mark.parametrize(
    ("sizes", "size"), [((5,), (12,)), ((4, 6), (8, 2)), ((3, 1, 2), (2, 2, 5))]
)
def test_resize_is_numpys(sizes, size, method, weights, align_corners):
    x = normal(2, *sizes, 2)
    with jax.enable_x64(True):
        found = ops.resize(jnp.asarray(x), size, None, method, align_corners)
    assert_all_near([found], [oracles.resized(x, size, weights, align_corners)])


@pytest.mark.parametrize("method", ["nearest", "nearest-exact"])
def test_nearest_is_torchs_at_every_size(method):
    """For images torch finds places in float32, which moves some of them to the next element."""
    torch = pytest.importorskip("torch", reason="torch is not installed; `make peers` adds it")
    for length, count in itertools.product(range(1, 30), range(1, 60)):
        numbers = torch.arange(length, dtype=torch.float64)[None, None, None]
        theirs = torch.nn.functional.interpolate(numbers, (1, count), mode=method).ravel()
        places = _nearest(method, length, count, length / count)
        assert places.tolist() == theirs.tolist()


def test_half_precision_is_resized_in_float32():
    x = jnp.array([1.0, 1.0], jnp.bfloat16).reshape(1, 2, 1)
    found = ops.resize(x, 7, method="cubic")
    assert (found.dtype, found.ravel().tolist()) == (jnp.bfloat16, [1.0] * 7)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, layout: ops.resize(x, scale=1.5, method="bilinear", layout=layout),
        lambda x, layout: ops.pixel_shuffle(x, 2, layout),
        lambda x, layout: ops.pixel_unshuffle(x, 2, layout),
        lambda x, layout: ops.pad(x, (1, (0, 2)), "reflect", layout=layout),
    ],
)
def test_channels_first_is_channels_last_moved(call):
    x = jnp.asarray(normal(2, 4, 6, 4))

    def both(x: Any) -> Any:
        first = call(jnp.moveaxis(x, -1, 1), "channels_first")
        return jnp.moveaxis(first, 1, -1), call(x, "channels_last")

    np.testing.assert_allclose(*jax.jit(both)(x), rtol=1e-6, atol=1e-6)


def torchs(name: str, *arguments: Any) -> Any:
    def run(x: Any) -> Any:
        import torch.nn.functional as f

        return getattr(f, name)(x, *arguments)

    return over_channels_first(run)


def test_shuffling_is_numpys_and_torchs():
    x = normal(2, 4, 6, 8)
    found = with_gradients(lambda x: ops.pixel_shuffle(x, 2), x)
    assert_all_near(found[:1], [oracles.shuffled(x, 2)])
    assert_all_near(found, with_torchs_gradients(torchs("pixel_shuffle", 2), x))
    found = with_gradients(lambda x: ops.pixel_unshuffle(x, 2), x)
    assert_all_near(found[:1], [oracles.unshuffled(x, 2)])
    assert_all_near(found, with_torchs_gradients(torchs("pixel_unshuffle", 2), x))


# sizes, padding, torch's: the last axis first
PADDINGS: list[Any] = [
    ((4,), 2, (2, 2)),
    ((4,), ((0, 3),), (0, 3)),
    ((4, 5), 1, (1, 1, 1, 1)),
    ((4, 5), (2, (0, 1)), (0, 1, 2, 2)),
    pytest.param((2, 3, 4), ((1, 0), 2, (0, 3)), (0, 3, 2, 2, 1, 0), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("method", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("sizes", "padding", "theirs"), PADDINGS)
def test_pad_is_torchs(sizes, padding, theirs, method):
    x = normal(2, *sizes, 2)
    found = with_gradients(lambda x: ops.pad(x, padding, method, 7.0), x)
    arguments = (theirs, method, 7.0) if method == "constant" else (theirs, method)
    assert_all_near(found, with_torchs_gradients(torchs("pad", *arguments), x))


def test_integers_are_padded_and_shuffled():
    x = jnp.arange(4, dtype=jnp.int8).reshape(1, 1, 1, 4)
    found = nn.Pad2d(1, value=9)(nn.PixelShuffle(2)(x))
    assert found.dtype == jnp.int8
    assert found[0, :, :, 0].tolist() == [[9] * 4, [9, 0, 1, 9], [9, 2, 3, 9], [9] * 4]


def test_bilinear_keeps_every_axis_of_the_batch():
    x, y = normal(2, 3, 4), normal(2, 3, 5, seed=1)
    net = nn.Bilinear(6, use_bias=False).initialize(sample=(jnp.asarray(x), jnp.asarray(y)))
    expected = np.einsum("abi,iju,abj->abu", x, net.weight, y)
    np.testing.assert_allclose(net(x, y), expected, rtol=1e-5, atol=1e-5)
