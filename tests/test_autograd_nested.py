"""Transforms of transforms: gradients of gradients, and raw JAX around and inside."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import TransformError
from tests.gradients import X, close, oracle, small_net, squared, total


@pytest.fixture
def net():
    return small_net()


def test_gradient_of_gradient():
    third = kuai.grad(kuai.grad(kuai.grad(lambda x: x**4, wrt=0), wrt=0), wrt=0)
    assert float(third(2.0)) == 48.0


def test_second_order_in_parameters(net):
    def penalty(net, x):
        return sum((g**2).sum() for g in kuai.grad(squared)(net, x).values())

    found = kuai.grad(penalty)(net, X)
    apply, params, state = kuai.functional(net)

    def loss(params):
        return (apply(params, state, X)[0] ** 2).sum()

    expected = jax.grad(lambda p: sum((g**2).sum() for g in jax.grad(loss)(p).values()))(params)
    close(found, expected)


def test_second_order_through_vjp(net):
    def loss(x):
        y, backward = net.vjp(x)
        return (backward(y)[1] ** 2).sum()

    def expected(x):
        return (jax.grad(lambda x: (net(x) ** 2).sum() / 2)(x) ** 2).sum()

    np.testing.assert_allclose(jax.grad(loss)(X), jax.grad(expected)(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hybridized", [False, True])
def test_raw_transforms_around(net, hybridized):
    net.hybridize(hybridized)
    by_input = oracle(net, X)[2]
    grad = kuai.grad(squared, wrt=1)
    for found in (
        jax.jit(lambda x: grad(net, x))(X),
        jax.vmap(lambda x: grad(net, x[None])[0])(X),
        jax.grad(lambda x: squared(net, x))(X),
        jax.grad(jax.checkpoint(lambda x: squared(net, x)))(X),
        jax.jacfwd(lambda x: squared(net, x))(X),
        jax.lax.scan(lambda carry, x: (carry, grad(net, x[None])[0]), 0, X)[1],
    ):
        np.testing.assert_allclose(found, by_input, rtol=2e-5, atol=1e-5)


def test_hessian_is_symmetric_and_fits_two_gradients(net):
    x = X[0]
    found = jax.hessian(lambda x: squared(net, x[None]))(x)
    expected = jax.jacrev(lambda x: kuai.grad(squared, wrt=1)(net, x[None])[0])(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found, found.T, rtol=1e-4, atol=1e-5)


def test_gradients_for_each_example(net):
    grads = jax.vmap(lambda x: kuai.grad(squared)(net, x[None]))(X)
    close({path: g.sum(0) for path, g in grads.items()}, oracle(net, X)[1])


def test_a_whole_step_compiles(net):
    compiled = kuai.hybrid(kuai.value_and_grad(squared))
    value, grads = compiled(net, X)
    close(grads, oracle(net, X)[1])
    np.testing.assert_allclose(value, oracle(net, X)[0], rtol=1e-5)


def test_gradient_inside_forward():
    class Descent(kuai.Block):
        def __init__(self):
            self.rate = kuai.Parameter(jnp.array(0.1))

        def forward(self, x):
            return x - self.rate * kuai.grad(lambda x: (x**2).sum(), wrt=0)(x)

    np.testing.assert_allclose(Descent()(X), 0.8 * X, rtol=1e-5)
    np.testing.assert_allclose(kuai.grad(total)(Descent(), X)["rate"], -2 * X.sum(), rtol=1e-5)


def test_a_data_dependent_loop_differentiates_eagerly():
    class Halving(kuai.Block):
        def __init__(self):
            self.scale = kuai.Parameter(jnp.array(8.0))

        def forward(self, x):
            y = self.scale * x
            while y.sum() > 1:
                y = y / 2
            return y.sum()

    assert float(kuai.grad(Halving())(jnp.array(1.0))["scale"]) == 1 / 8


def test_state_written_under_raw_jit_is_refused_and_unchanged():
    net = nn.BatchNorm().initialize(sample=X)
    text = (
        "a State of shape (3,) was assigned inside a raw JAX transform, where the value cannot "
        "outlive the trace; use kuai.functional(block), kuai.hybrid, or kuai.eval_mode()"
    )
    with pytest.raises(TransformError, match=re.escape(text)):
        jax.jit(lambda x: kuai.grad(squared)(net, x))(X)
    np.testing.assert_array_equal(net.running_mean, np.zeros(3, np.float32))
    with kuai.train_mode(), pytest.raises(TransformError, match=re.escape(text)):
        jax.jit(net)(X)


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.vmap])
def test_a_block_as_an_argument_of_a_raw_transform(transform):
    text = (
        "a block (Dense) was given to JAX where an array is expected, for example as an "
        "argument of jax.jit; use kuai.hybrid(function) for functions that take blocks, or "
        "kuai.functional(block)"
    )
    with pytest.raises(TransformError, match=re.escape(text)):
        transform(lambda net, x: net(x).sum())(nn.Dense(1), X)
