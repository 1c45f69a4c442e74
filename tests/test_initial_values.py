"""Which values parameters are born with: the seed and the path decide, nothing else."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.core import birth
from tests.initializing import Halving, X
from tests.weights import assert_same, weights_of


def test_values_depend_on_the_seed():
    one, other = (nn.Dense(4).initialize(seed=seed, sample=X).weight for seed in (1, 2))
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(one, nn.Dense(4).initialize(seed=1, sample=X).weight)


def test_values_depend_on_the_path():
    net = nn.Sequential(nn.Dense(3), nn.Dense(3)).initialize(sample=X)
    assert not np.array_equal(net[0].weight, net[1].weight)


def test_values_do_not_depend_on_the_order_of_creation():
    class Net(kuai.Block):
        def __init__(self, names):
            for name in names:
                setattr(self, name, kuai.Parameter(shape=(4, 4)))

    assert_same(
        weights_of(Net("ab").initialize()), dict(sorted(weights_of(Net("ba").initialize()).items()))
    )


@pytest.mark.parametrize(
    "init",
    [
        "glorot_uniform",
        "glorot_normal",
        "he_uniform",
        "he_normal",
        "lecun_uniform",
        "lecun_normal",
        "orthogonal",
        "normal",
        "truncated_normal",
        "uniform",
    ],
)
def test_a_value_is_the_same_made_alone_or_with_others(init):
    class Net(kuai.Block):
        def __init__(self, count):
            for index in range(count):
                setattr(self, f"p{index}", kuai.Parameter(shape=(7, 5), init=init))

    np.testing.assert_array_equal(Net(1).initialize().p0, Net(6).initialize().p0)


def test_the_first_call_makes_what_initialize_makes():
    called, initialized = (nn.Sequential(nn.Dense(4, "relu"), nn.Dense(2)) for _ in range(2))
    called(X)
    assert_same(weights_of(called), weights_of(initialized.initialize(sample=X)))


@pytest.mark.parametrize("way", ["grad", "vjp", "hybridize", "hybrid", "raw grad", "vmap", "jit"])
def test_every_first_use_makes_the_same_values(way):
    def loss(net, x):
        return net(x).sum()

    uses = {
        "grad": lambda net: kuai.grad(loss)(net, X),
        "vjp": lambda net: net.vjp(X),
        "hybridize": lambda net: net.hybridize()(X),
        "hybrid": lambda net: kuai.hybrid(loss)(net, X),
        "raw grad": lambda net: jax.grad(lambda x: loss(net, x))(X),
        "vmap": lambda net: jax.vmap(net)(X),
        "jit": lambda net: jax.jit(lambda x: net(x))(X),
    }
    expected = nn.Sequential(nn.Dense(4), nn.Sequential(nn.Dense(2)))
    net = nn.Sequential(nn.Dense(4), nn.Sequential(nn.Dense(2)))
    expected(X)
    uses[way](net)
    assert_same(weights_of(net), weights_of(expected))


def test_a_block_reached_only_through_a_closure_gets_the_values_of_its_paths():
    expected, net = (nn.Sequential(nn.Dense(3), nn.Dense(3)) for _ in range(2))
    expected(X)
    kuai.grad(lambda x: net(x).sum(), wrt=0)(X)
    assert_same(weights_of(net), weights_of(expected))


def test_two_nets_in_one_call_both_get_their_values():
    generator, critic = nn.Dense(3), nn.Dense(3)
    kuai.grad(lambda g, c, x: c(g(x)).sum())(generator, critic, X)
    alone = nn.Dense(3)
    alone(X)
    assert_same(weights_of(generator), weights_of(alone))
    assert_same(weights_of(critic), weights_of(alone))


def test_shared_blocks_get_values_once_at_their_first_path():
    shared = nn.Dense(3)
    net = nn.Sequential(shared, shared).initialize(sample=X)
    assert_same(weights_of(net), weights_of(nn.Sequential(nn.Dense(3)).initialize(sample=X)))


def test_a_data_dependent_forward_is_initialized_by_running_it():
    net = Halving()
    y = net(X)
    assert y.shape == ()
    assert_same(weights_of(net), weights_of(Halving().initialize(sample=X)))


def test_a_data_dependent_forward_is_initialized_inside_grad():
    net, expected = Halving(), Halving()
    grads = kuai.grad(lambda net, x: net(x))(net, X)
    expected(X)
    assert_same(weights_of(net), weights_of(expected))
    assert set(grads) == {"dense.weight", "dense.bias"}


def test_equal_nets_share_one_compiled_initializer():
    birth._program.cache_clear()
    for _ in range(3):
        nn.Sequential(*[nn.Dense(3) for _ in range(5)]).initialize(sample=X)
    assert birth._program.cache_info().misses == 1
    assert birth._program.cache_info().hits == 2


def test_one_call_makes_all_values_in_one_program():
    birth._program.cache_clear()
    nn.Sequential(nn.Dense(5), nn.BatchNorm(), nn.Dense(2, init="ones"), nn.Dense(7))(X)
    assert birth._program.cache_info().misses == 1
