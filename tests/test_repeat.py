"""`nn.Repeat` gives what a `Sequential` of the same layers gives, compiled as one layer."""

from __future__ import annotations

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from tests.repeating import (
    Layer,
    X,
    arrays_of,
    assert_near,
    assert_same_values,
    is_stacked,
    loss,
    pair,
    scans,
)

SLOW = pytest.mark.slow


def test_values_follow_from_the_path_as_in_a_sequential():
    ours, theirs = pair()
    assert_same_values(ours, theirs)
    assert not np.array_equal(ours[0].dense.weight, ours[1].dense.weight)


def test_outputs_states_and_keys_are_those_of_a_sequential():
    nets = pair()
    for net in (*nets, ours := nn.Repeat(Layer, 4).initialize(seed=3, sample=X)):
        net.hybridize(net is not ours)
    for step in range(3):
        results = []
        for net in (*nets, ours):
            kuai.seed(step)
            with kuai.train_mode():
                results.append((net(X), kuai.random.get_state()["count"]))
        for output, count in results[1:]:
            assert_near(results[0][0], output)
            assert count == results[0][1] == 4
    assert is_stacked(nets[0])
    assert not is_stacked(ours)
    assert [int(layer.calls) for layer in nets[0]] == [3] * 4
    assert_same_values(*nets)
    assert_same_values(nets[0], ours)
    assert scans(nets[0], X, training=True)


def test_gradients_are_those_of_a_sequential():
    ours, theirs = pair()
    gradient = kuai.value_and_grad(loss)
    for step in range(3):  # plain, compiled, and what was compiled
        kuai.seed(step)
        found = gradient(ours, X)
        kuai.seed(step)
        expected = gradient(theirs, X)
        assert list(found[1]) == list(expected[1])
        assert_near(found, expected)
    assert is_stacked(ours)
    assert_same_values(ours, theirs)


@SLOW
def test_vjp_and_gradients_of_gradients_are_those_of_a_sequential():
    nets = pair(3, lambda: nn.Residual(nn.Dense(4, activation="tanh")))

    def penalty(net, x):
        return sum((g**2).sum() for g in kuai.grad(loss)(net, x).values())

    found = []
    for net in nets:
        output, backward = net.hybridize().vjp(X)
        second = kuai.hybrid(kuai.value_and_grad(penalty))
        found.append((output, backward(jnp.cos(output)), second(net, X)))
    assert_near(*found)
    assert_near(*[jax.vmap(net)(X[None]) for net in nets])


@SLOW
def test_a_part_of_the_layers_can_be_differentiated():
    nets = pair(3, lambda: nn.Residual(nn.Dense(4)))
    for wrt in ("1.*", "2.block.weight", (None, "0.*"), ("0.*", None), kuai.Parameter):
        gradient = kuai.hybrid(lambda net, x, w=wrt: kuai.grad(loss, wrt=w)(net, x))
        assert_near(*[gradient(net, X) for net in nets])
    weight = nets[0][1].block.params.weight
    expected = kuai.grad(loss)(nets[1], X)["1.block.weight"]
    assert_near(kuai.grad(loss, wrt=weight)(nets[0], X), expected)


class Halving(kuai.Block):
    """A layer that loops on its input, asserts, and draws a number of keys that only it knows."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(4)

    def forward(self, x):
        x = self.dense(x) * 3
        while jnp.abs(x).sum() > 1:
            x = x * kuai.random.uniform((), 0.3, 0.6)
        assert jnp.isfinite(x).all(), "not finite"
        return x


@SLOW
def test_a_loop_on_arrays_inside_a_layer_is_compiled_and_differentiated():
    nets = pair(3, Halving)
    for step in range(2):
        found = []
        for net in nets:
            kuai.seed(step)
            net.hybridize()
            both = net(X), kuai.value_and_grad(loss)(net, X)
            found.append((both, kuai.random.get_state()["count"]))
        assert_near(*found)
    assert scans(nets[0], X)
    with pytest.raises(AssertionError, match="not finite"):
        nets[0](X * jnp.nan)


@pytest.mark.parametrize(
    ("remat", "unroll"),
    [
        (True, 2),
        pytest.param("dots_saveable", True, marks=SLOW),
        pytest.param(True, True, marks=SLOW),
        pytest.param(jax.checkpoint_policies.everything_saveable, 2, marks=SLOW),
    ],
)
def test_remat_and_unroll_change_no_number(remat, unroll):
    ours, theirs = pair(3, unroll=unroll, remat=remat)
    gradient = kuai.hybrid(kuai.value_and_grad(loss))
    kuai.seed(0)
    found = gradient(ours, X)
    kuai.seed(0)
    assert_near(found, gradient(theirs, X))
    assert_same_values(ours, theirs)
    assert is_stacked(ours) == (unroll is not True)


def test_a_shared_layer_is_one_set_of_parameters():
    ours = nn.Repeat(Layer, 3, share=True).initialize(seed=3, sample=X)
    theirs = kuai.replicate(Layer(), 3, share=True).initialize(seed=3, sample=X)
    gradient = kuai.value_and_grad(loss)
    for step in range(2):
        found = []
        for net in (ours, theirs):
            kuai.seed(step)
            found.append((gradient(net, X), arrays_of(net)))
        assert_near(*found)
    assert (len(ours.parameters()), int(ours[0].calls)) == (4, 6)
    assert scans(ours, X)


class Cached(kuai.Block):
    """A layer with a cache of its own, a bias for all, and an output beside its output."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(4)

    def forward(self, x, bias, cache=None, scale=1.0):
        cache = {"seen": cache["seen"] + x.mean(), "last": x}
        return x + self.dense(x) * scale + bias, cache, cache["seen"]


def test_inputs_and_outputs_by_layer():
    net = nn.Repeat(Cached, 3)
    caches = {"seen": jnp.arange(3.0), "last": jnp.zeros((3, 5, 4))}
    given = {"cache": caches, "scale": jnp.array([0.5, 1.0, 2.0])}
    expected = net(X, jnp.ones(4), per_layer=given)
    x, seen = X, []
    for i, layer in enumerate(net):
        row = {name: array[i] for name, array in caches.items()}
        x, cache, total = layer(x, jnp.ones(4), cache=row, scale=given["scale"][i])
        seen.append((cache, total))
    assert_near(expected, (x, *jax.tree.map(lambda *rows: jnp.stack(rows), *seen)))
    assert_near(net.hybridize()(X, jnp.ones(4), per_layer=given), expected)
    assert scans(net, X, jnp.ones(4), per_layer=given)


def test_the_input_may_be_a_tree():
    net = nn.Repeat(nn.Lambda(lambda pair: (pair[1], pair[0] + pair[1])), 5)
    ones = (jnp.ones(()), jnp.ones(()))
    assert [float(x) for x in net(ones)] == [8.0, 13.0]
    assert [float(x) for x in net.hybridize()(ones)] == [8.0, 13.0]


@SLOW
def test_repeats_in_repeats_are_stacks_of_stacks():
    def layer():
        return nn.Residual(nn.Dense(4), nn.Dropout(0.1))

    ours = nn.Repeat(lambda: nn.Repeat(layer, 3), 2).initialize(seed=1, sample=X)
    theirs = nn.Sequential(*[nn.Sequential(*[layer() for _ in range(3)]) for _ in range(2)])
    theirs.initialize(seed=1, sample=X)
    gradient = kuai.value_and_grad(loss)
    for step in range(3):
        kuai.seed(step)
        found = gradient(ours, X)
        kuai.seed(step)
        assert_near(found, gradient(theirs, X))
    assert ours[1][2].block[0].params.weight.row[0].row is not None
    ours[1][2].block[0].weight = theirs[1][2].block[0].weight = jnp.eye(4)
    assert_near(ours.hybridize()(X), theirs(X))
    assert_same_values(ours, theirs)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"]
)
def test_copies_of_stacked_layers_stand_alone(copied):
    net = nn.Repeat(Layer, 3)
    net.hybridize()(X)
    assert is_stacked(net)
    twin = copied(net)
    assert not is_stacked(twin)
    before = arrays_of(net)
    twin[1].dense.weight = jnp.zeros((4, 4))
    assert_near(twin(X), twin.hybridize(False)(X))
    assert_near(arrays_of(net), before)


def test_saved_loaded_cast_and_made_anew(tmp_path):
    ours, theirs = pair(3)
    ours.hybridize()(X)
    theirs[1].dense.bias = ours[1].dense.bias = jnp.arange(4.0)
    ours.save(tmp_path / "ours.safetensors")
    theirs(X)
    loaded = nn.Sequential(*[Layer() for _ in range(3)]).load(tmp_path / "ours.safetensors")
    assert_same_values(loaded, theirs)
    again = nn.Repeat(Layer, 3).hybridize()
    again(X)
    assert_near(again.load(tmp_path / "ours.safetensors")(X), ours(X))
    assert again.astype("bfloat16")(X.astype("bfloat16")).dtype == jnp.bfloat16
    theirs(X)
    ours.initialize(seed=5, force=True)
    theirs.initialize(seed=5, force=True)
    assert_same_values(ours, theirs)
    assert_near(ours(X), theirs(X))


@SLOW
def test_a_pure_function_has_the_layers_by_path():
    ours, theirs = pair(3)
    ours.hybridize()(X)
    theirs(X)
    key = jax.random.key(0)

    def run(net):
        apply, params, state = kuai.functional(net)
        assert set(params) == {path for path, _ in theirs.named_parameters()}
        return jax.jit(lambda p, s: apply(p, s, X, key=key, training=True))(params, state)

    assert_near(run(ours), run(theirs))


def test_a_summary_has_every_layer():
    net = nn.Repeat(lambda: nn.Residual(nn.Dense(4)), 3)
    net.hybridize()(X)
    rows = net.summary(X).rows
    assert [row.path for row in rows] == [
        "",
        *[p for i in range(3) for p in (f"{i}", f"{i}.block")],
    ]
    assert rows[0].flow == "sequence"
    assert "× 3" in kuai.show.to_svg(net, X)
