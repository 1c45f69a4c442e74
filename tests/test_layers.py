"""What is particular to one layer: State, randomness, paths. What all share: test_catalogue.py."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn

BOTH = pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# ---- BatchNorm


@BOTH
def test_running_statistics_follow_the_batches(hybridized):
    norm = nn.BatchNorm(momentum=0.8).hybridize(hybridized)
    mean, variance = np.zeros(3), np.ones(3)
    for step in range(4):
        x = normal(5, 3, seed=step) * 3 + step
        with kuai.train_mode():
            norm(x)
        mean = 0.8 * mean + 0.2 * x.mean(0)
        variance = 0.8 * variance + 0.2 * x.var(0, ddof=1)
    np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(norm.running_var, variance, rtol=1e-5)


@BOTH
def test_eval_mode_uses_running_statistics_and_leaves_them(hybridized):
    norm = nn.BatchNorm(epsilon=0.0).hybridize(hybridized)
    norm(normal(5, 3))
    norm.running_mean, norm.running_var = jnp.full(3, 2.0), jnp.full(3, 4.0)
    np.testing.assert_array_equal(norm(jnp.full((1, 3), 8.0)), [[3.0, 3.0, 3.0]])
    assert (norm.running_mean.tolist(), norm.running_var.tolist()) == ([2.0] * 3, [4.0] * 3)


@BOTH
def test_a_gradient_updates_running_statistics_once(hybridized):
    net = nn.Sequential(nn.BatchNorm(momentum=0.5), nn.Dense(1)).hybridize(hybridized)
    x = normal(6, 3) + 4
    kuai.value_and_grad(lambda net, x: net(x).sum())(net, x)
    found = net[0].running_mean
    assert not isinstance(found, jax.core.Tracer)
    np.testing.assert_allclose(found, 0.5 * x.mean(0), rtol=1e-5)


def test_running_statistics_get_no_gradient():
    norm = nn.BatchNorm().initialize(sample=jnp.ones((2, 3)))
    grads = kuai.grad(lambda net, x: (net(x) ** 3).sum())(norm, normal(6, 3))
    assert sorted(grads) == ["bias", "weight"]


@BOTH
def test_pinned_to_eval_it_stays_frozen_inside_a_gradient(hybridized):
    norm = nn.BatchNorm().eval().hybridize(hybridized)
    kuai.grad(lambda net, x: net(x).sum())(norm, normal(6, 3) + 4)
    np.testing.assert_array_equal(norm.running_mean, np.zeros(3))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_statistics_of_half_inputs_are_kept_in_float32(dtype):
    norm = nn.BatchNorm(momentum=0.0)
    x = (normal(512, 2) + 30).astype(dtype)
    with kuai.train_mode():
        y = norm(x)
    assert (norm.running_mean.dtype, y.dtype) == (jnp.float32, jnp.dtype(dtype))
    np.testing.assert_allclose(norm.running_mean, x.astype("float64").mean(0), rtol=1e-6)


def test_statistics_of_half_parameters_are_kept_in_float32():
    norm = nn.BatchNorm(dtype=jnp.bfloat16)
    dtypes = {name: str(norm.params[name].dtype) for name in norm.params}
    assert dtypes == {"weight": "bfloat16", "bias": "bfloat16",
                      "running_mean": "float32", "running_var": "float32"}  # fmt: skip


@pytest.mark.parametrize(("momentum", "expected"), [(0, [3.0]), (1, [0.0])])
def test_momentum_at_its_ends(momentum, expected):
    norm = nn.BatchNorm(momentum=float(momentum))
    with kuai.train_mode():
        norm(jnp.array([[2.0], [4.0]]))
    assert norm.running_mean.tolist() == expected


def test_channels_first_is_channels_last_moved():
    x = normal(2, 3, 4, 5)
    with kuai.train_mode():
        first = nn.BatchNorm(axis=1)(x)
        last = nn.BatchNorm()(np.moveaxis(x, 1, -1))
    np.testing.assert_allclose(first, np.moveaxis(last, -1, 1), rtol=1e-5, atol=1e-6)


def test_batch_norm_without_scale_and_bias_has_state_alone():
    norm = nn.BatchNorm(use_scale=False, use_bias=False)
    assert list(norm.params) == ["running_mean", "running_var"]
    assert norm.parameters() == []


# ---- Dropout


@BOTH
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate, hybridized):
    n = 20_000
    with kuai.train_mode():
        y = nn.Dropout(rate).hybridize(hybridized)(jnp.ones(n))
    bound = 5 * math.sqrt(n * rate * (1 - rate))  # five standard deviations of a binomial
    assert abs(int((y == 0).sum()) - n * rate) < bound
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


@BOTH
def test_dropout_draws_anew_on_every_call(hybridized):
    drop, x = nn.Dropout(0.5).hybridize(hybridized), jnp.ones(64)
    with kuai.train_mode():
        assert not np.array_equal(drop(x), drop(x))


@BOTH
def test_the_seed_decides_the_mask(hybridized):
    drop, x = nn.Dropout(0.5).hybridize(hybridized), jnp.ones(64)
    with kuai.train_mode():
        drop(x)
        kuai.seed(5)
        first = drop(x)
        kuai.seed(5)
        np.testing.assert_array_equal(drop(x), first)


def test_shared_axes_share_their_decision():
    with kuai.train_mode():
        y = nn.Dropout(0.5, shared_axes=(1, -1))(jnp.ones((50, 4, 3, 5)))
    np.testing.assert_array_equal(y, jnp.broadcast_to(y[:, :1, :, :1], y.shape))
    assert len(np.unique(np.asarray(y[:, 0, :, 0]))) == 2


def test_the_gradient_of_dropout_is_its_mask():
    x = jnp.ones(100)
    output, backward = nn.Dropout(0.25).vjp(x)
    _, gradient = backward(jnp.ones(100))
    np.testing.assert_array_equal(gradient, output)


@BOTH
def test_a_rate_changed_later_takes_effect(hybridized):
    drop, x = nn.Dropout(0.5).hybridize(hybridized), jnp.ones(100)
    with kuai.train_mode():
        drop(x)
        drop.rate = 0.0
        np.testing.assert_array_equal(drop(x), x)


def test_dropout_without_effect_draws_no_key():
    before = kuai.random.get_state()
    nn.Dropout(0.5)(jnp.ones(3))
    with kuai.train_mode():
        nn.Dropout(0.0)(jnp.ones(3))
    assert kuai.random.get_state() == before


# ---- Dense, Embedding, LayerNorm, Flatten


def test_a_block_as_activation_is_registered_once():
    net = nn.Dense(3, activation=nn.Sequential(nn.Dense(2)))
    net(jnp.ones((1, 4)))
    paths = [path for path, _ in net.named_parameters()]
    assert paths == ["weight", "bias", "activation.0.weight", "activation.0.bias"]
    assert net.activation in net.blocks()


def test_layers_take_numpy_arrays_inside_a_forward():
    net = nn.Sequential(lambda x: np.ones((2, 3), "float32"), nn.Dense(4), nn.LayerNorm())
    assert net(jnp.zeros(())).shape == (2, 4)


def test_a_dense_layer_of_width_zero_gives_its_bias():
    net = nn.Dense(2, init="zeros", bias_init="ones")
    np.testing.assert_array_equal(net(jnp.ones((2, 3, 0))), np.ones((2, 3, 2)))


@BOTH
def test_initializers_are_used(hybridized):
    net = nn.Dense(2, init=kuai.init.constant(2.0), bias_init=0.5).hybridize(hybridized)
    assert net(jnp.ones((1, 3))).tolist() == [[6.5, 6.5]]
    assert nn.Embedding(3, 2, init="ones")(jnp.array(1)).tolist() == [1.0, 1.0]


def test_a_bias_stays_zero_under_a_nets_own_initializer():
    net = nn.Dense(2).initialize(init="ones", sample=jnp.ones((1, 3)))
    assert (net.weight.min().item(), net.bias.tolist()) == (1.0, [0.0, 0.0])


@pytest.mark.parametrize(
    "make",
    [partial(nn.Dense, 2), partial(nn.Embedding, 3, 2), nn.LayerNorm, nn.BatchNorm],
    ids=["Dense", "Embedding", "LayerNorm", "BatchNorm"],
)
def test_a_dtype_is_taken_in_any_form_and_shown_as_code(make):
    blocks = [make(dtype=dtype) for dtype in ("bfloat16", jnp.bfloat16, jnp.dtype("bfloat16"))]
    assert len({repr(block) for block in blocks}) == 1
    assert "dtype='bfloat16'" in repr(blocks[0])
    assert {str(p.dtype) for block in blocks for p in block.parameters()} == {"bfloat16"}


def test_embedding_starts_small():
    table = nn.Embedding(1000, 50).initialize().weight
    assert table.std().item() == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize("shape", [(0,), (2, 0), ()])
def test_embedding_of_no_or_one_index(shape):
    assert nn.Embedding(4, 3)(jnp.zeros(shape, int)).shape == (*shape, 3)


def test_embedding_out_of_range_is_nan_when_compiled():
    net = nn.Embedding(4, 1, init="ones").hybridize()
    assert str(net(jnp.array([0, 4, -1])).ravel().tolist()) == "[1.0, nan, nan]"


def test_layer_norm_over_all_axes_but_the_first_normalizes_each_example():
    y = nn.LayerNorm(axes=2)(normal(2, 3, 4) * 5 + 7)
    assert y.mean((1, 2)).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert y.std((1, 2)).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_layer_norm_of_a_vector_takes_its_one_axis():
    assert nn.LayerNorm()(jnp.array([1.0, 3.0])).tolist() == pytest.approx([-1, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("start", "shape", "expected"),
    [(0, (2, 3), (6,)), (1, (4,), (4, 1)), (2, (2, 3), (2, 3, 1)), (1, (2, 0, 3), (2, 0))],
)
def test_flatten_from(start, shape, expected):
    assert nn.Flatten(start)(jnp.ones(shape)).shape == expected
