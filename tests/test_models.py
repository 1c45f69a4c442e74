"""The models, against the arithmetic they stand for."""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.models import mlp


def float64_forward(net: nn.Sequential, x: np.ndarray) -> np.ndarray:
    value = x.reshape(len(x), -1).astype(np.float64)
    layers = net.blocks(nn.Dense)
    for layer in layers:
        value = value @ np.asarray(layer.weight, np.float64) + np.asarray(layer.bias, np.float64)
        value = value if layer is layers[-1] else np.maximum(value, 0)
    return value


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_mlp_is_dense_layers_with_relu_between(hidden):
    net = mlp(hidden, classes=3)
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    found = net(jnp.asarray(x))
    np.testing.assert_allclose(found, float64_forward(net, x), rtol=1e-5, atol=1e-6)
    widths = [layer.weight.shape for layer in net.blocks(nn.Dense)]
    sizes = (6, *hidden, 3)
    assert widths == list(itertools.pairwise(sizes))


def test_mlp_drops_in_training_only():
    net = mlp((50, 50), dropout=0.5)
    x = jnp.ones((1, 4))
    assert len(net.blocks(nn.Dropout)) == 2
    np.testing.assert_array_equal(net(x), net(x))
    with kuai.train_mode():
        assert not np.array_equal(net(x), net(x))


def test_mlp_takes_one_number_for_one_hidden_layer():
    assert [layer.units for layer in mlp(32).blocks(nn.Dense)] == [32, 10]


def test_mlp_leaves_wrong_units_to_the_layer():
    with pytest.raises(kuai.errors.ArgumentError, match="units"):
        mlp((0,))
