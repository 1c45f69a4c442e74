"""`kuai.hybrid`: functions of blocks and arrays, compiled."""

from __future__ import annotations

from collections import UserList

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, HybridizeError

X = jnp.linspace(-1.0, 1.0, 8).reshape(2, 4)


def loss(net, x):
    return jnp.square(net(x)).mean()


def sgd_step(net, x, rate):
    value, gradients = kuai.value_and_grad(loss)(net, x)
    for path, parameter in net.named_parameters():
        parameter.array = parameter.array - rate * gradients[path]
    return value


def make():
    return nn.Sequential(
        nn.Dense(8, activation="tanh"), nn.BatchNorm(), nn.Dropout(0.3), nn.Dense(1)
    )


def test_a_training_step_equals_the_eager_one():
    eager, compiled = make().initialize(sample=X), make().initialize(sample=X)
    step = kuai.hybrid(sgd_step)
    kuai.seed(4)
    expected = [float(sgd_step(eager, X, 0.1)) for _ in range(4)]
    kuai.seed(4)
    got = [float(step(compiled, X, 0.1)) for _ in range(4)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert expected[-1] < expected[0]
    for (path, a), (_, b) in zip(eager.named_holders(), compiled.named_holders(), strict=True):
        np.testing.assert_allclose(b.array, a.array, rtol=1e-4, atol=1e-6, err_msg=path)


def test_one_compile_for_each_net_and_signature():
    traces = UserList()  # a library's object: kuai lets it be

    @kuai.hybrid
    def total(net, x):
        traces.append(x.shape)
        return net(x).sum()

    first, second = make().initialize(sample=X), make().initialize(sample=X)
    for _ in range(3):
        assert float(total(first, X)) == float(total(second, X))
    assert len(traces) == 2
    total(first, X[:1])
    assert len(traces) == 3
    first[1].momentum = 0.5
    total(first, X)
    assert len(traces) == 4


def test_a_net_that_is_not_ready_is_made_ready():
    net, step = make(), kuai.hybrid(sgd_step)
    twin = make().initialize(sample=X, seed=1)
    kuai.seed(1)
    got = step(net, X, 0.0)
    kuai.seed(1)
    np.testing.assert_allclose(got, kuai.hybrid(sgd_step)(twin, X, 0.0), rtol=1e-6)


def test_nets_inside_containers_and_from_outside():
    net, outside = nn.Dense(2).initialize(sample=X), nn.Dense(4, init="ones")

    @kuai.hybrid
    def run(nets, x):
        return nets["a"](outside(x))

    with kuai.eager():
        expected = net(outside(X))
    np.testing.assert_allclose(run({"a": net}, X), expected, rtol=1e-6)
    outside.weight = jnp.zeros((4, 4))
    np.testing.assert_allclose(run({"a": net}, X), jnp.zeros((2, 2)))
    outside.bias = jnp.ones(4)
    np.testing.assert_allclose(run({"a": net}, X), net(jnp.ones((2, 4))), rtol=1e-6)


def test_optimizer_state_passes_through():
    net, optimizer = make().initialize(sample=X), optax.sgd(5e-2, momentum=0.9)
    state = optimizer.init({path: p.array for path, p in net.named_parameters()})

    @kuai.hybrid
    def step(net, state, x):
        value, gradients = kuai.value_and_grad(loss)(net, x)
        updates, state = optimizer.update(gradients, state)
        for path, parameter in net.named_parameters():
            parameter.array = parameter.array + updates[path]
        return value, state

    losses = []
    for _ in range(30):
        value, state = step(net, state, X)
        losses.append(float(value))
    assert losses[-1] < 0.5 * losses[0]
    assert float(jnp.abs(state[0].trace["0.weight"]).max()) > 0


def test_random_numbers_follow_the_seed_and_move_on():
    noise = kuai.hybrid(lambda x: x + kuai.random.normal(x.shape))
    kuai.seed(2)
    got = [noise(X), noise(X)]
    kuai.seed(2)
    expected = [X + kuai.random.normal(X.shape) for _ in range(2)]
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert (np.asarray(got[0]) != np.asarray(got[1])).any()


def test_functions_without_blocks_static_arguments_and_inlining():
    power = kuai.hybrid(lambda x, n: x**n)
    outer = kuai.hybrid(lambda x: power(x, 2) + 1)
    np.testing.assert_allclose(power(X, 3), X**3, rtol=1e-6)
    np.testing.assert_allclose(outer(X), X**2 + 1, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: power(x, 2).sum())(X), 2 * X, rtol=1e-6)


def test_a_block_returned_is_the_very_block():
    net = make().initialize(sample=X)
    same = kuai.hybrid(lambda net: (net, net[0].weight * 2))
    got, doubled = same(net)
    assert got is net
    np.testing.assert_array_equal(doubled, net[0].weight * 2)


def test_a_failure_inside_changes_nothing():
    net = nn.Dense(1, init="ones").initialize(sample=X)

    @kuai.hybrid
    def breaks(net):
        net.weight = net.weight * 0
        raise ValueError("after the write")

    with pytest.raises(ValueError, match="after the write"):
        breaks(net)
    np.testing.assert_array_equal(net.weight, jnp.ones((4, 1)))


def test_wrong_uses_say_what_to_do():
    with pytest.raises(ArgumentError, match=r"a block is compiled by \.hybridize"):
        kuai.hybrid(nn.Dense(1))
    with pytest.raises(ArgumentError, match="expected a function, got int"):
        kuai.hybrid(3)
    with pytest.raises(HybridizeError, match=r"tests/test_hybrid_function\.py:\d+ in .*<lambda>"):
        kuai.hybrid(lambda x: x if x > 0 else -x)(X)
    with pytest.raises(ArgumentError, match=r"expected options among .*'verify'.*got \['speed'\]"):
        kuai.hybrid(jnp.sin, speed=1)
    with pytest.raises(ArgumentError, match=r"expected verify among .*got 'maybe'"):
        kuai.hybrid(jnp.sin, verify="maybe")
    with pytest.raises(ArgumentError, match=r"loop_memory to be a positive integer, got 0"):
        kuai.hybrid(jnp.sin, loop_memory=0)
