"""What is particular to norms by groups and size, dropout's kin, noise and drawn slopes.

What they share with all layers: tests/test_catalogue.py.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.nn import ops

BOTH = pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# ---- norms


def test_groups_of_one_feature_are_instances():
    x = normal(2, 3, 5, 4)
    np.testing.assert_array_equal(nn.GroupNorm(4)(x), nn.InstanceNorm()(x))


def test_one_group_of_features_alone_is_a_layer():
    x = normal(3, 6)
    np.testing.assert_allclose(nn.GroupNorm(1)(x), nn.LayerNorm()(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [lambda axis: nn.GroupNorm(2, axis), nn.InstanceNorm])
def test_channels_first_is_channels_last_moved(make):
    x = normal(2, 4, 3, 5)
    last = make(-1)(np.moveaxis(x, 1, -1))
    np.testing.assert_allclose(make(1)(x), np.moveaxis(last, -1, 1), rtol=1e-5, atol=1e-6)


def test_group_norm_is_the_same_in_training_and_knows_no_other_example():
    x, norm = normal(3, 5, 4), nn.GroupNorm(2)
    expected = norm(x)
    with kuai.train_mode():
        np.testing.assert_array_equal(norm(x), expected)
    np.testing.assert_allclose(norm(x[:1]), expected[:1], rtol=1e-6)
    assert [str(path) for path, _ in norm.named_holders()] == ["weight", "bias"]


def test_groups_survive_a_large_mean_and_half_precision():
    x = jnp.asarray(normal(2, 64, 4) + 30, jnp.float16)
    found = np.asarray(nn.GroupNorm(2, epsilon=0.0)(x), np.float64)
    parted = np.asarray(x, np.float64).reshape(2, 64, 2, 2)
    mean, std = parted.mean((1, 3), keepdims=True), parted.std((1, 3), keepdims=True)
    np.testing.assert_allclose(found, ((parted - mean) / std).reshape(2, 64, 4), atol=2e-3)


def test_layers_of_no_features_or_one_place_too_few():
    assert nn.GroupNorm(2)(jnp.ones((2, 3, 0))).shape == (2, 3, 0)
    assert nn.InstanceNorm()(jnp.ones((2, 3, 0))).shape == (2, 3, 0)
    np.testing.assert_array_equal(nn.GroupNorm(2)(normal(3, 2)), np.zeros((3, 2)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_without_an_epsilon_rms_norm_takes_torchs(dtype):
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    small = normal(2, 8) * 1e-4  # so small that the epsilon decides
    with jax.enable_x64(dtype == "float64"):
        x = jnp.asarray(small, dtype)
        found = np.asarray(nn.RMSNorm(use_scale=False)(x), np.float64)
        theirs = torch.from_numpy(small).to(getattr(torch, dtype))
        tolerance = 2 * float(jnp.finfo(x.dtype).eps)
    expected = torch.nn.functional.rms_norm(theirs, (8,)).double().numpy()
    np.testing.assert_allclose(found, expected, rtol=tolerance)


def test_a_unit_offset_starts_as_the_identity_scale():
    x = normal(2, 4)
    plain, offset = nn.RMSNorm(), nn.RMSNorm(unit_offset=True)
    np.testing.assert_array_equal(plain(x), offset(x))
    assert (plain.weight.tolist(), offset.weight.tolist()) == ([1.0] * 4, [0.0] * 4)


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_torch_agrees_on_windows_of_any_size(size):
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    x = normal(2, 5, 3)
    expected = torch.nn.functional.local_response_norm(torch.from_numpy(x), size, alpha=0.5)
    found = ops.local_response_norm(jnp.asarray(x), size, 0.5, 0.75, 1.0, axis=1)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


# ---- what is drawn


@BOTH
@pytest.mark.parametrize(
    ("make", "shape", "shared"),
    [
        (lambda: nn.SpatialDropout(0.25), (100, 2, 3, 50), (1, 2)),
        (lambda: nn.SpatialDropout(0.25, "channels_first"), (100, 50, 2, 3), (2, 3)),
        (lambda: nn.SpatialDropout(0.25), (100, 50), ()),
        (lambda: nn.DropPath(0.25), (5000, 2, 3), (1, 2)),
    ],
    ids=["channels last", "channels first", "no places", "paths"],
)
def test_a_decision_holds_for_all_that_share_it(make, shape, shared, hybridized):
    with kuai.train_mode():
        y = np.asarray(make().hybridize(hybridized)(jnp.ones(shape)))
    first = y[tuple(slice(1) if axis in shared else slice(None) for axis in range(y.ndim))]
    np.testing.assert_array_equal(y, np.broadcast_to(first, shape))
    bound = 5 * math.sqrt(first.size * 0.25 * 0.75)  # five standard deviations of a binomial
    assert abs((first == 0).sum() - first.size * 0.25) < bound
    np.testing.assert_allclose(first[first != 0], 1 / 0.75, rtol=1e-6)


@BOTH
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(rate, hybridized):
    x = normal(40_000)
    with kuai.train_mode():
        y = np.asarray(nn.AlphaDropout(rate).hybridize(hybridized)(x))
    assert abs(y.mean()) < 0.03
    assert y.std() == pytest.approx(1, abs=0.02)
    value, counts = np.unique(y, return_counts=True)
    floor = value[counts.argmax()]
    a = ((1 - rate) * (1 + rate * 1.7580993408473766**2)) ** -0.5
    assert floor == pytest.approx(-a * 1.7580993408473766 * (1 - rate), rel=1e-5)
    assert abs(counts.max() - 40_000 * rate) < 5 * math.sqrt(40_000 * rate * (1 - rate))


def test_features_share_their_alpha_dropout():
    with kuai.train_mode():
        y = np.asarray(nn.AlphaDropout(0.5, shared_axes=(1,))(jnp.ones((50, 4, 3))))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert len(np.unique(y)) == 2


@BOTH
@pytest.mark.parametrize(
    ("make", "mean", "std"),
    [(lambda: nn.GaussianNoise(0.5), 2.0, 0.5), (lambda: nn.GaussianDropout(0.2), 2.0, 1.0)],
    ids=["added", "multiplied"],
)
def test_noise_has_its_mean_and_deviation(make, mean, std, hybridized):
    with kuai.train_mode():
        y = np.asarray(make().hybridize(hybridized)(jnp.full(40_000, 2.0)))
    assert y.mean() == pytest.approx(mean, abs=5 * std / 200)
    assert y.std() == pytest.approx(std, rel=0.02)


@BOTH
def test_slopes_are_drawn_between_their_bounds(hybridized):
    x = jnp.concatenate([jnp.full(10_000, -1.0), jnp.full(10, 3.0)])
    with kuai.train_mode():
        y = np.asarray(nn.RReLU(0.25, 0.5).hybridize(hybridized)(x))
    slopes = -y[:10_000]
    assert slopes.min() >= 0.25
    assert slopes.max() < 0.5
    assert slopes.mean() == pytest.approx(0.375, abs=0.005)
    np.testing.assert_array_equal(y[10_000:], 3.0)


DRAWN = [
    lambda rate: nn.SpatialDropout(rate),
    lambda rate: nn.DropPath(rate),
    lambda rate: nn.AlphaDropout(rate),
    lambda rate: nn.GaussianNoise(rate),
    lambda rate: nn.GaussianDropout(rate),
]


@pytest.mark.parametrize("make", DRAWN)
def test_without_effect_no_key_is_drawn_and_with_it_one_is(make):
    x = jnp.ones((2, 3))
    before = kuai.random.get_state()
    assert make(0.5)(x) is x
    with kuai.train_mode():
        assert make(0.0)(x) is x
        assert kuai.random.get_state() == before
        make(0.5)(x)
    assert kuai.random.get_state()["count"] == before["count"] + 1


# ---- activations


def test_a_threshold_of_nothing_shrinks_nothing():
    x = normal(8)
    np.testing.assert_array_equal(nn.HardShrink(0.0)(x), x)
    np.testing.assert_array_equal(nn.SoftShrink(0.0)(x), x)


def test_at_its_threshold_an_input_is_shrunk_as_torchs_is():
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    x = np.array([-0.5, 0.5, 0.0, 1.0], "float32")
    for ours, theirs in [
        (nn.HardShrink(), torch.nn.Hardshrink()),
        (nn.SoftShrink(), torch.nn.Softshrink()),
        (nn.Threshold(0.5, 7.0), torch.nn.Threshold(0.5, 7.0)),
        (nn.PReLU(), torch.nn.PReLU()),
    ]:
        tensor = torch.from_numpy(x).requires_grad_()
        expected = theirs(tensor)
        expected.sum().backward()
        output, backward = ours.vjp(jnp.asarray(x))
        np.testing.assert_array_equal(output, expected.detach().numpy())
        np.testing.assert_array_equal(backward(jnp.ones(4))[1], tensor.grad.numpy())


def test_prelus_slope_learns_from_the_negative_side_alone():
    net = nn.PReLU(axis=-1).initialize(sample=jnp.ones((1, 3)))
    grads = kuai.grad(lambda net, x: net(x).sum())(net, jnp.array([[-2.0, 0.0, 3.0]]))
    assert grads["weight"].tolist() == [-2.0, 0.0, 0.0]


def test_sparsemax_is_a_sparse_distribution_and_moves_with_a_shift():
    x = jnp.asarray(normal(20, 7) * 2)
    y = nn.sparsemax(x)
    np.testing.assert_allclose(y.sum(-1), 1.0, rtol=1e-6)
    assert 0 < int((y == 0).sum()) < y.size
    np.testing.assert_allclose(nn.sparsemax(x + 1000.0), y, atol=2e-4)
    np.testing.assert_allclose(nn.sparsemax(jnp.full((1, 4), 9.0)), np.full((1, 4), 0.25))


def test_maxout_behind_dense_is_a_layer_of_pieces():
    net = nn.Sequential(nn.Dense(6), nn.Maxout(3))
    x = normal(4, 5)
    expected = np.asarray(net[0](x)).reshape(4, 2, 3).max(-1)
    np.testing.assert_allclose(net(x), expected, rtol=1e-6)


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_softplus_of_large_inputs_is_the_input(beta):
    y = nn.Softplus(beta)(jnp.array([-1e4, 1e4]))
    np.testing.assert_array_equal(y, [0.0, 1e4])
