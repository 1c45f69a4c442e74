"""Copies and pickles: ties and cycles kept inside, nothing shared outside, no caches."""

from __future__ import annotations

import copy
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn


class Tied(kuai.Block):
    def __init__(self):
        self.embed = nn.Embedding(5, 3)
        self.out = nn.Sequential(nn.Dense(3), ("last", nn.Dense(3)))
        self.other = self.out
        self.table = self.embed.params.weight
        self.extras = {"a": [jnp.ones(2)], "b": (jnp.zeros(1), nn.Dense(3))}
        self.out.parent = self
        self.count = kuai.State(0)

    def forward(self, ids):
        self.count += 1
        return self.out(self.embed(ids)) + self.table[0]


IDS = jnp.array([1, 2])


def by_pickle(net):
    return pickle.loads(pickle.dumps(net))


@pytest.fixture(params=["deepcopy", "copy method", "pickle"])
def copied(request):
    return {"deepcopy": copy.deepcopy, "copy method": Tied.copy, "pickle": by_pickle}[request.param]


def test_a_copy_computes_the_same_and_is_independent(copied):
    net = Tied()
    y = net(IDS)
    twin = copied(net)
    assert [p for p, _ in twin.named_holders()] == [p for p, _ in net.named_holders()]
    assert not {*twin.named_holders()} & {*net.named_holders()}
    np.testing.assert_array_equal(twin(IDS), y)
    assert (int(net.count), int(twin.count)) == (1, 2)
    twin.table = jnp.zeros((5, 3))
    np.testing.assert_array_equal(net(IDS), y)


def test_a_copy_keeps_ties_and_cycles(copied):
    twin = copied(Tied())
    assert twin.embed.params.weight is twin.params.table
    assert twin.other is twin.out
    assert twin.out.parent is twin
    twin.extras["a"].append(nn.Dense(1))
    assert twin.get_block("extras.a.1").units == 1


def test_a_copy_before_values_are_made(copied):
    net = Tied()
    twin = copied(net)
    np.testing.assert_array_equal(twin(IDS), net(IDS))


def test_hybridize_and_modes_are_kept_and_compiled_programs_are_not(copied):
    net = Tied().eval().hybridize()
    y = net(IDS)
    twin = copied(net)
    assert (twin.hybridized, twin.mode) == (True, "eval")
    assert twin._kuai.compiled is not net._kuai.compiled
    np.testing.assert_allclose(twin(IDS), y, rtol=1e-6)


def double(block, inputs, output):
    return output * 2


def test_hooks_are_kept(copied):
    net = Tied()
    handle = net.register_forward_hook(double)
    y = net(IDS)
    twin = copied(net)
    handle.remove()
    np.testing.assert_array_equal(twin(IDS), y)
    np.testing.assert_allclose(net(IDS) * 2, y, rtol=1e-6)


def test_a_bound_method_as_a_hook_goes_with_its_block():
    class Counts(kuai.Block):
        def __init__(self):
            self.calls = 0
            self.register_forward_hook(self.note)

        def note(self, block, inputs, output):
            self.calls += 1

        def forward(self, x):
            return x

    net = Counts()
    twin = net.copy()
    twin(1)
    assert (net.calls, twin.calls) == (0, 1)


def test_a_hook_that_cannot_be_pickled_is_not_dropped_in_silence():
    net = nn.Dense(1)
    net.register_forward_hook(lambda block, inputs, output: None)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(net)


def test_a_shallow_copy_shares_what_stands_on_it():
    net = nn.Sequential(nn.Dense(2))
    net(jnp.ones((1, 2)))
    twin = copy.copy(net)
    assert twin[0] is net[0]
    twin.append(nn.Dense(1))
    twin.extra = 3
    assert len(net) == 1
    assert not hasattr(net, "extra")
    dense = copy.copy(net[0])
    assert dense.params.weight is net[0].params.weight


def test_part_of_a_tree_copied_with_its_parent_reference_copies_the_whole():
    net = Tied()
    assert net.out.copy().parent is not net


def test_a_class_may_keep_its_own_way_of_copying():
    class Single(kuai.Block):
        def __deepcopy__(self, memo):
            return self

    net = nn.Sequential(Single(), nn.Dense(1))
    twin = net.copy()
    assert twin[0] is net[0]
    assert twin[1] is not net[1]
