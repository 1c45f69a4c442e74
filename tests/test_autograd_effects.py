"""What else a gradient does: State is written, random numbers are drawn, train mode is on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from tests.gradients import X, close, concrete, small_net, squared, total


@pytest.fixture
def net():
    return small_net()


def test_running_statistics_are_written_once_and_are_concrete():
    net = nn.BatchNorm(momentum=0.5).initialize(sample=X)
    with jax.checking_leaks():
        kuai.grad(squared)(net, X)
    np.testing.assert_allclose(net.running_mean, 0.5 * X.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(net.running_var, 0.5 + 0.5 * X.var(0, ddof=1), rtol=1e-5)
    assert concrete(net)


def test_the_first_gradient_also_writes_state_once():
    net, ready = nn.BatchNorm(), nn.BatchNorm().initialize(sample=X)
    for block in (net, ready):
        kuai.grad(squared)(block, X)
    np.testing.assert_array_equal(net.running_mean, ready.running_mean)


def test_vjp_writes_state_once_too():
    net, other = nn.BatchNorm(), nn.BatchNorm()
    net.vjp(X)
    kuai.grad(squared)(other, X)
    np.testing.assert_array_equal(net.running_var, other.running_var)
    assert concrete(net)


def test_a_failing_loss_leaves_state():
    net = nn.BatchNorm().initialize(sample=X)

    def loss(net, x):
        net(x)
        raise RuntimeError("late")

    with pytest.raises(RuntimeError, match="late"):
        kuai.grad(loss)(net, X)
    np.testing.assert_array_equal(net.running_mean, np.zeros(3, np.float32))


def test_a_parameter_written_inside_keeps_the_value():
    net = nn.Dense(1, init="ones").initialize(sample=X)

    def loss(net, x):
        y = net(x).sum()
        net.bias = net.bias + 1
        return y

    kuai.grad(loss)(net, X)
    assert net.bias.tolist() == [1.0]


def test_train_mode_is_on_and_an_explicit_mode_wins():
    seen = []

    def loss(net, x):
        seen.append(kuai.is_training())
        return total(net, x)

    net = nn.Dense(1).initialize(sample=X)
    kuai.grad(loss)(net, X)
    with kuai.eval_mode():
        kuai.grad(loss)(net, X)
    assert seen == [True, False]
    assert not kuai.is_training()


def test_dropout_draws_the_next_key_of_the_stream():
    net = nn.Dropout(0.5)
    kuai.seed(3)
    by_input = kuai.grad(total, wrt=1)(net, X)
    kuai.seed(3)
    with kuai.train_mode():
        expected = net(jnp.ones_like(X))
    np.testing.assert_array_equal(by_input, expected)
    assert kuai.random.get_state()["count"] == 1


def test_eager_and_hybridized_gradients_drop_the_same_elements():
    eager = nn.Sequential(nn.Dense(5), nn.Dropout(0.5), nn.Dense(1)).initialize(sample=X)
    hybrid = eager.copy().hybridize()
    for _ in range(2):
        state = kuai.random.get_state()
        expected = kuai.grad(squared)(eager, X)
        kuai.random.set_state(state)
        close(kuai.grad(squared)(hybrid, X), expected)
