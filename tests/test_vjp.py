"""`Block.vjp`: the output of a block and its backward function."""

from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, ShapeError, TransformError
from tests.gradients import X, close, oracle, small_net


@pytest.fixture
def net():
    return small_net()


@pytest.mark.parametrize("hybridized", [False, True])
def test_vjp_gives_output_and_gradients(net, hybridized):
    net.hybridize(hybridized)
    y, backward = net.vjp(X)
    np.testing.assert_allclose(y, net(X), rtol=1e-6)
    dparams, dx = backward(2 * y)
    _, expected, by_input = oracle(net, X)
    close(dparams, expected)
    np.testing.assert_allclose(dx, by_input, rtol=2e-5, atol=1e-5)


def test_backward_is_linear_and_may_be_called_again(net):
    y, backward = net.vjp(X)
    one, two = backward(jnp.ones_like(y)), backward(2 * jnp.ones_like(y))
    np.testing.assert_allclose(2 * one[1], two[1], rtol=1e-6)


def test_a_compiled_backward_compiles_once(net):
    net.hybridize()
    net.vjp(X)[1](jnp.ones((4, 2)))
    from kuai.core import pullback

    before = pullback._compiled._cache_size()
    net.vjp(X + 1)[1](jnp.ones((4, 2)))
    assert pullback._compiled._cache_size() == before


class Many(kuai.Block):
    """Takes trees, integers, strings and keywords."""

    def __init__(self):
        self.scale = kuai.Parameter(jnp.array(2.0))

    def forward(self, pair, index, power, *, name="sum", shift=0.0):
        y = (pair["b"] ** power)[index] * self.scale + pair["a"] + shift
        return {"y": y, "index": index} if name == "dict" else y


@pytest.mark.parametrize("hybridized", [False, True])
def test_vjp_of_trees_integers_and_keywords(hybridized):
    net = Many().hybridize(hybridized)
    pair = {"b": jnp.array([1.0, 2.0, 3.0]), "a": jnp.array(1.0)}
    y, backward = net.vjp(pair, jnp.array([2, 0]), 2, shift=jnp.array(1.0))
    assert y.tolist() == [20.0, 4.0]
    dparams, dpair, dindex, dpower = backward(jnp.ones(2))
    assert float(dparams["scale"]) == 10.0
    assert dpair["b"].tolist() == [4.0, 0.0, 12.0]
    assert float(dpair["a"]) == 2.0
    assert (dindex, dpower) == (None, None)


def test_vjp_of_an_output_with_integers_in_it():
    net = Many()
    pair = {"b": jnp.array([1.0, 2.0, 3.0]), "a": jnp.array(1.0)}
    y, backward = net.vjp(pair, jnp.array([2, 0]), 2, name="dict")
    dparams = backward({"y": jnp.ones(2), "index": None})[0]
    assert float(dparams["scale"]) == 10.0
    assert float(backward({"y": None, "index": y["index"]})[0]["scale"]) == 0.0


def test_vjp_leaves_frozen_parameters_out(net):
    y, backward = net.freeze("0.*").vjp(X)
    assert sorted(backward(y)[0]) == ["1.bias", "1.weight"]


def test_a_gradient_that_does_not_fit_the_output(net):
    _, backward = net.vjp(X)
    text = "Sequential: backward expected a gradient of the output's shape (4, 2), got (4, 3)"
    with pytest.raises(ShapeError, match=re.escape(text)):
        backward(X)
    with pytest.raises(
        ArgumentError, match="Sequential: backward expected a gradient of the output's"
    ):
        backward((X, X))


def test_an_output_that_is_no_array():
    with pytest.raises(TransformError, match="vjp: expected an output of arrays, got str"):
        nn.Lambda(lambda x: "text").vjp(X)


def test_low_precision_gradients_keep_their_dtype():
    net = nn.Dense(2, dtype=jnp.bfloat16)
    y, backward = net.vjp(X.astype(jnp.bfloat16))
    dparams, dx = backward(jnp.ones(y.shape))
    assert {dx.dtype, *(g.dtype for g in dparams.values())} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("told", [True, False])
def test_the_backward_function_of_a_loop(told):
    class Halving(kuai.Block):
        def forward(self, x):
            while x.sum() > 1:
                x = x / 2
            return x

    net, x = Halving(), jnp.array([3.0, 4.0])
    if told:
        net.hybridize()
    for _ in range(3):  # by itself: plain, compiled and compared, from the cache
        output, backward = net.vjp(x)
        np.testing.assert_array_equal(output, x / 8)
        np.testing.assert_array_equal(backward(jnp.ones(2))[1], [0.125, 0.125])
