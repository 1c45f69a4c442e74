"""Layers of a `Repeat` changed one by one: the results stay right, and equal layers scan again."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from tests.repeating import X, arrays_of, assert_near, is_stacked, loss, pair, scans

SLOW = pytest.mark.slow


def make():
    return nn.Residual(nn.Dense(4, activation="tanh"))


def running_pair(n=3, layer=make):
    nets = pair(n, layer)
    for net in nets:
        net.hybridize()(X)
    return nets


def test_a_layer_is_read_and_written_by_its_path():
    ours, theirs = running_pair()
    assert is_stacked(ours)
    weight = ours.params["1.block.weight"]
    assert isinstance(weight, kuai.Parameter)
    assert_near(weight.array, theirs[1].block.weight)
    for net in (ours, theirs):
        net[1].block.weight = net[1].block.weight * 2
        net.params["2.block.bias"].array = jnp.ones(4)
    assert_near(ours(X), theirs(X))
    assert_near(arrays_of(ours), arrays_of(theirs))
    assert is_stacked(ours)
    assert len(ours.explain().signatures) == 1  # a new value is no reason to compile


@SLOW
def test_writes_inside_a_program_reach_the_row():
    nets = running_pair()

    @kuai.hybrid
    def step(net, x):
        gradients = kuai.grad(loss)(net, x)
        for path, parameter in net.named_parameters():
            parameter.array = parameter.array - 0.1 * gradients[path]
        return net(x)

    assert_near(*[step(net, X) for net in nets])
    assert_near(*[arrays_of(net) for net in nets])
    assert is_stacked(nets[0])


CHANGES = {
    "replaced": lambda net: net.replace("1", nn.Residual(nn.Tanh())),
    "set": lambda net: net.__setitem__(1, nn.Residual(nn.Dense(4, activation="relu", init="ones"))),
    "another sub-block": lambda net: setattr(net[1], "block", nn.Dense(4, init="ones")),
    "another attribute": lambda net: setattr(net[1].block, "activation", "relu"),
    "appended": lambda net: net.append(nn.Residual(nn.Tanh())),
    "deleted": lambda net: net.__delitem__(0),
    "another mode": lambda net: net[1].train(),
    "another dtype": lambda net: net[0].astype("float32") and net.insert(1, nn.Residual(nn.Tanh())),
    "hooked": lambda net: net[1].register_forward_hook(lambda block, inputs, output: output * 2),
    "frozen": lambda net: net[1].freeze(),
    "tied inside": lambda net: setattr(net[2].block, "weight", net[0].block.params.weight),
    "one block twice": lambda net: net.__setitem__(2, net[0]),
}


FEW = ("another attribute", "deleted", "frozen", "tied inside")


@pytest.mark.parametrize(
    "change", [name if name in FEW else pytest.param(name, marks=SLOW) for name in CHANGES]
)
def test_a_change_of_one_layer_is_what_it_is_in_a_sequential(change):
    nets = running_pair()
    found = []
    for net in nets:
        CHANGES[change](net)
        gradient = kuai.hybrid(lambda net, x: kuai.value_and_grad(loss)(net, x))
        found.append((net(X), gradient(net, X), arrays_of(net)))
    assert_near(*found)
    assert scans(nets[0], X) == (change == "deleted")


@SLOW
def test_layers_that_are_equal_again_scan_again():
    ours, theirs = running_pair()
    hook = ours[1].register_forward_hook(lambda block, inputs, output: output * 2)
    assert not scans(ours, X)
    hook.remove()
    ours[2].freeze()
    assert not scans(ours, X)
    assert not is_stacked(ours)
    ours[2].unfreeze()
    assert scans(ours, X)
    assert is_stacked(ours)
    assert_near(ours(X), theirs(X))
    for layer in ours:
        layer.replace("block", nn.Dense(4, init="ones"))
    assert scans(ours, X)
    assert is_stacked(ours)


def test_a_row_tied_to_something_outside():
    ids = jnp.array([[0, 2]])
    found = []
    for kind in (nn.Repeat, lambda make, n: nn.Sequential(*[make() for _ in range(n)])):
        tied = Tied(kind).initialize(seed=1, sample=ids)
        gradient = kuai.hybrid(lambda net, x: kuai.value_and_grad(loss)(net, x))
        found.append((tied.hybridize()(ids), gradient(tied, ids), arrays_of(tied)))
    assert_near(*found)


class Tied(kuai.Block):
    """Its embedding is the first layer's weight."""

    def __init__(self, kind):
        super().__init__()
        self.embed = nn.Embedding(4, 4)
        self.layers = kind(make, 3)
        self.layers[0].block.weight = self.embed.params.weight

    def forward(self, ids):
        return self.layers(self.embed(ids))


def test_a_plain_object_that_only_a_later_layer_has_is_guarded():
    class Rate:
        def __init__(self):
            self.value = 1.0

    def scaled():
        rate = Rate()
        layer = nn.Residual(nn.Lambda(lambda x: x * rate.value))
        layer.rate = rate
        return layer

    net = nn.Repeat(scaled, 3).hybridize()
    assert_near(net(X), X * 8)
    assert scans(net, X)
    net[2].rate.value = 0.0
    assert_near(net(X), X * 4)


def test_slices_and_lists():
    ours, theirs = running_pair(4)
    part = ours[1:3]
    assert (type(part), len(part), part[0] is ours[1]) == (nn.Repeat, 2, True)
    assert_near(part.hybridize()(X), theirs[1:3](X))
    assert is_stacked(part)
    assert_near(ours(X), theirs(X))  # whoever runs has the arrays
    assert is_stacked(ours)
    assert [layer is ours[i] for i, layer in enumerate(ours)] == [True] * 4
    assert_near(ours[:0](X), X)
    ours[1].block.weight = jnp.zeros((4, 4))
    theirs[1].block.weight = jnp.zeros((4, 4))
    assert_near(part(X), theirs[1:3](X))


def test_a_repr_is_honest():
    net = nn.Repeat(lambda: nn.Residual(nn.Dense(4)), 6, unroll=2, remat="dots_saveable")
    assert repr(net) == "Repeat(Residual(Dense(4)), 6, unroll=2, remat='dots_saveable')"
    net[5] = nn.Residual(nn.Tanh())
    assert repr(net) == (
        "Repeat(5 × Residual(Dense(4)), Residual(Tanh()), unroll=2, remat='dots_saveable')"
    )


def test_arrays_that_forward_leaves_behind_and_attributes_it_sets():
    class Counter:
        def __init__(self):
            self.total = jnp.zeros(())

    class Leaving(kuai.Block):
        def forward(self, x, counter):
            self.seen = x.sum()
            counter.total = counter.total + x.sum()
            return x + 1

    @kuai.hybrid
    def call(net, x):
        counter = Counter()
        return net(x, counter), counter.total

    net = nn.Repeat(Leaving, 3)
    for _ in range(2):
        output, total = call(net, jnp.zeros(2))
        np.testing.assert_array_equal(output, [3.0, 3.0])
        assert [float(layer.seen) for layer in net] == [0.0, 2.0, 4.0]
        assert float(total) == 6.0


@SLOW
def test_the_first_layer_alone_as_a_net():
    ours, theirs = running_pair()
    assert_near(ours[2].hybridize()(X), theirs[2](X))
    found = [kuai.hybrid(kuai.value_and_grad(loss))(net[2], X) for net in (ours, theirs)]
    assert_near(*found)


def test_a_layer_that_was_replaced_is_not_shared_any_more():
    steps = nn.Repeat(lambda: nn.Dense(3), 3, share=True)
    assert (steps.share, repr(steps)) == (True, "Repeat(Dense(3), 3, share=True)")
    old, steps[1] = steps[1], nn.Dense(3)
    assert (steps.share, repr(steps)) == (False, "Repeat(Dense(3), Dense(3), Dense(3))")
    steps[1] = old
    assert (steps.share, repr(steps)) == (True, "Repeat(Dense(3), 3, share=True)")
