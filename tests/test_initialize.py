"""What `initialize` takes, and that forward runs once for its user."""

from __future__ import annotations

import re
import threading

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import (
    ArgumentError,
    ForwardNotDefinedError,
    HybridizeWarning,
)
from tests.initializing import Halving, X
from tests.weights import assert_same, weights_of


class Branching(kuai.Block):
    def __init__(self):
        self.first, self.second = nn.Dense(2), nn.Dense(4)
        self.use_second = False

    def forward(self, x):
        return self.second(x) if self.use_second else self.first(x)


# ---- what initialize takes


def test_without_a_sample_known_shapes_get_values_and_unknown_ones_wait():
    net = nn.Dense(4).initialize(seed=3)
    assert net.params.bias.ready
    assert not net.params.weight.ready
    net(X)
    assert_same(weights_of(net), weights_of(nn.Dense(4).initialize(seed=3, sample=X)))


def test_initialize_fixes_the_seed_of_shapes_that_are_settled_later():
    net = nn.Dense(4).initialize(seed=3)
    kuai.seed(11)
    net(X)
    np.testing.assert_array_equal(net.weight, nn.Dense(4).initialize(seed=3, sample=X).weight)


def test_without_a_seed_the_one_of_kuai_counts():
    kuai.seed(5)
    one = nn.Dense(4).initialize(sample=X)
    kuai.seed(6)
    assert_same(weights_of(one), weights_of(nn.Dense(4).initialize(seed=5, sample=X)))


def test_init_is_for_parameters_that_were_given_none():
    net = nn.Sequential(nn.Dense(2), nn.Dense(2, init="ones")).initialize(init=0.5, sample=X)
    np.testing.assert_array_equal(net[0].weight, np.full((3, 2), 0.5, np.float32))
    np.testing.assert_array_equal(net[1].weight, np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(net[0].bias, np.zeros(2, np.float32))


def test_init_holds_for_parameters_settled_later():
    net = nn.Dense(2).initialize(init="ones")
    net(X)
    np.testing.assert_array_equal(net.weight, np.ones((3, 2), np.float32))


def test_what_has_values_keeps_them_without_force():
    net = nn.Dense(2).initialize(seed=1, sample=X)
    before = weights_of(net)
    assert_same(weights_of(net.initialize(seed=2)), before)
    after = weights_of(net.initialize(seed=2, force=True))
    assert not np.array_equal(after["weight"], before["weight"])
    assert_same(after, weights_of(nn.Dense(2).initialize(seed=2, sample=X)))


def test_force_leaves_given_arrays():
    class Net(kuai.Block):
        def __init__(self):
            self.given = kuai.Parameter(jnp.full(3, 7.0))
            self.table = jnp.arange(2.0)

        def forward(self, x):
            return x

    net = Net().initialize(seed=4, force=True, init="ones")
    np.testing.assert_array_equal(net.given, np.full(3, 7.0, np.float32))
    np.testing.assert_array_equal(net.table, np.arange(2.0, dtype=np.float32))


def test_a_tuple_is_several_inputs():
    class Add(kuai.Block):
        def __init__(self):
            self.left, self.right = nn.Dense(2), nn.Dense(2)

        def forward(self, x, y):
            return self.left(x) + self.right(y)

    net = Add().initialize(sample=(X, jnp.ones((2, 5))))
    assert (net.left.weight.shape, net.right.weight.shape) == ((3, 2), (5, 2))


def test_a_numpy_sample_will_do():
    assert nn.Dense(2).initialize(sample=np.ones((1, 3), np.float32)).weight.shape == (3, 2)


def test_an_initializer_may_be_a_function():
    def rows(key, shape, dtype):
        return jnp.broadcast_to(jnp.arange(shape[0], dtype=dtype)[:, None], shape)

    net = nn.Dense(2, init=rows).initialize(sample=X)
    np.testing.assert_array_equal(net.weight, [[0, 0], [1, 1], [2, 2]])


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, "0"])
def test_a_seed_is_an_integer_that_fits(seed):
    text = "initialize: expected seed to be an integer from 0 to 2**32 - 1, got " + repr(seed)
    with pytest.raises(ArgumentError, match=re.escape(text)):
        nn.Dense(2).initialize(seed=seed)


# ---- forward runs once for its user


def test_side_effects_happen_once_a_call(capsys):
    class Counting(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)
            self.calls = 0
            self.count = kuai.State(0)

        def forward(self, x):
            self.calls += 1
            self.count += 1
            print("forward", x.shape)
            return self.dense(x)

    net = Counting()
    net(X)
    assert (net.calls, int(net.count)) == (1, 1)
    assert capsys.readouterr().out == "forward (2, 3)\n"
    with pytest.warns(HybridizeWarning, match=r"self\.calls"):
        net(X)
    assert (net.calls, int(net.count)) == (2, 2)
    assert capsys.readouterr().out == "forward (2, 3)\n"


def test_a_data_dependent_forward_has_its_side_effects_once():
    class Counting(Halving):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x)

    net = Counting()
    net(X)
    assert net.calls == 1


def test_initialize_draws_no_random_numbers_and_leaves_state():
    net = nn.Sequential(nn.Dense(2), nn.Dropout(0.5), nn.BatchNorm())
    with kuai.train_mode():
        net.initialize(sample=X)
    assert kuai.random.get_state() == {"seed": 0, "count": 0}
    np.testing.assert_array_equal(net[2].running_mean, np.zeros(2, np.float32))


def test_what_other_threads_print_meanwhile_is_not_lost(capsys):
    class Waiting(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)

        def forward(self, x):
            other = threading.Thread(target=print, args=("other",))
            other.start()
            other.join()
            print("mine")
            return self.dense(x)

    Waiting().initialize(sample=X)
    assert capsys.readouterr().out == "other\n"


def test_a_child_made_by_forward_is_kept_and_initialized():
    class Lazy(kuai.Block):
        dense = None

        def forward(self, x):
            if self.dense is None:
                self.dense = nn.Dense(x.shape[-1], init="ones")
            return self.dense(x)

    net = Lazy()
    np.testing.assert_array_equal(net(X), np.full((2, 3), 3.0, np.float32))
    assert [path for path, _ in net.named_parameters()] == ["dense.weight", "dense.bias"]


def test_a_branch_visited_later_is_settled_then():
    net = Branching()
    assert net(X).shape == (2, 2)
    assert not net.second.params.weight.ready
    net.use_second = True
    assert net(X).shape == (2, 4)
    eager = Branching()
    eager.use_second = True
    eager(X)
    np.testing.assert_array_equal(net.second.weight, eager.second.weight)


@pytest.mark.parametrize("way", ["grad", "hybrid", "vjp"])
def test_a_branch_visited_later_is_settled_inside_transforms(way):
    net = Branching()
    net(X)
    net.use_second = True
    if way == "grad":
        grads = kuai.grad(lambda net, x: net(x).sum())(net, X)
    elif way == "vjp":
        y, backward = net.vjp(X)
        grads = backward(jnp.ones_like(y))[0]
    else:
        grads = kuai.hybrid(kuai.grad(lambda net, x: net(x).sum()))(net, X)
    assert set(grads) == {"first.weight", "first.bias", "second.weight", "second.bias"}
    np.testing.assert_array_equal(grads["second.bias"], np.full(4, 2.0, np.float32))
    np.testing.assert_array_equal(grads["first.bias"], np.zeros(2, np.float32))


def test_a_forward_that_differentiates_a_child_is_initialized():
    class Energy(kuai.Block):
        def __init__(self):
            self.inner = nn.Dense(1, init="ones")

        def forward(self, x):
            grads = kuai.grad(lambda net, x: net(x).sum())(self.inner, x)
            return grads["weight"].sum() + kuai.grad(lambda net, x: net(x).sum(), wrt=1)(
                self.inner, x
            )

    np.testing.assert_array_equal(Energy()(X), np.full((2, 3), 7.0, np.float32))
    np.testing.assert_array_equal(Energy().hybridize()(X), np.full((2, 3), 7.0, np.float32))


def test_a_catch_all_in_forward_does_not_hide_missing_values():
    class Careful(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)

        def forward(self, x):
            try:
                return self.dense(x)
            except Exception:
                return x

    net = Careful()
    assert kuai.grad(lambda x: net(x).sum(), wrt=0)(X).shape == (2, 3)
    assert net.dense.params.weight.ready


def test_forward_that_is_not_defined_is_told_before_shapes():
    class Empty(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)

    with pytest.raises(ForwardNotDefinedError, match="Empty: expected Empty to define forward"):
        Empty()(X)
