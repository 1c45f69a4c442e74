"""`Block.remat`: the same results from less memory."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError

X = jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)
SETTINGS = [pytest.param(None, marks=pytest.mark.slow), False, True]
settings = pytest.mark.parametrize("setting", SETTINGS, ids=["auto", "plain", "hybridized"])
POLICIES = [
    None,
    "dots",
    "dots_no_batch",
    "everything",
    jax.checkpoint_policies.save_only_these_names("kept"),
]


class Tower(kuai.Block):
    """State, randomness, a loop and a branch on arrays, a float argument, a tuple as output."""

    def __init__(self):
        self.inner = nn.Dense(3, activation="tanh", init="normal")
        self.norm = nn.BatchNorm()
        self.drop = nn.Dropout(0.5)
        self.calls = kuai.State(0)

    def forward(self, x, scale=1.0):
        self.calls += 1
        x = self.drop(self.norm(self.inner(x)))
        while jnp.abs(x).sum() > 2:
            x = self.inner(x) / 2
        if x.sum() > 0:
            x = x * 2
        self.last = x.sum()
        return {"x": x * scale, "tag": "tower"}


class Net(kuai.Block):
    def __init__(self):
        self.tower = Tower()
        self.head = nn.Dense(1)

    def forward(self, x):
        out = self.tower(x, 0.5)
        out["y"] = self.head(out["x"])
        return out["y"].sum() + kuai.random.uniform(())


def made(setting, policy):
    net = Net().initialize(seed=2, sample=X)
    net.tower.remat(policy)
    return net if setting is None else net.hybridize(setting)


value_and_grad = kuai.value_and_grad(lambda net, x: net(x))


def near(found, expected):
    for ours, theirs in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def arrays_of(net):
    return {path: holder.array for path, holder in net.named_holders()}


@settings
def test_results_gradients_state_and_keys_are_those_without(setting):
    plain, net = made(setting, False), made(setting, None)
    for seed in (1, 2):
        results = []
        for each in (plain, net):
            kuai.seed(seed)
            results.append((value_and_grad(each, X), kuai.random.get_state()["count"]))
        near(results[1], results[0])
        near(arrays_of(net), arrays_of(plain))
    assert int(net.tower.calls) == 2


@pytest.mark.parametrize("policy", POLICIES, ids=["none", "dots", "no_batch", "all", "names"])
def test_every_policy_gives_the_same_gradients(policy):
    block = nn.Sequential(nn.Dense(3, "tanh"), nn.Dropout(0.5), nn.Dense(3, "tanh"))
    net = nn.Sequential(block, nn.Dense(1)).hybridize().initialize(sample=X)
    loss = kuai.grad(lambda net, x: jnp.square(net(x)).sum())
    results = []
    for each in (False, policy):
        block.remat(each)
        kuai.seed(1)
        results.append(loss(net, X))
    near(results[1], results[0])


def test_keys_that_a_loop_draws_are_counted_in_plain_python():
    class Noisy(kuai.Block):
        def forward(self, x):
            while x.sum() < 3:
                x = x + kuai.random.uniform(x.shape)
            return x * x

    results = []
    for policy in (False, None):
        kuai.seed(4)
        block = Noisy().remat(policy).hybridize(False)
        gradient = kuai.grad(lambda b, x: b(x).sum(), wrt=1)(block, jnp.zeros(2))
        results.append((gradient, kuai.random.get_state()["count"]))
    near(results[1], results[0])


def test_a_plain_call_runs_as_plain_python():
    class Branching(kuai.Block):
        def forward(self, x):
            return x + 1 if float(x.sum()) > 0 else x  # float() needs a value

    block = nn.Sequential(Branching()).remat().hybridize(False)
    assert block(jnp.ones(2)).tolist() == [2.0, 2.0]


@settings
def test_an_operator_of_its_own_gradient(setting):
    class Doubled(kuai.Block):
        def __init__(self):
            self.weight = kuai.Parameter(jnp.array(2.0))

        def forward(self, x):
            return jnp.sin(x) * self.weight, x

        def backward(self, x, gradient):
            return 10 * gradient, {"weight": (gradient * jnp.sin(x)).sum()}

    net = nn.Sequential(Doubled().remat())
    net = net if setting is None else net.hybridize(setting)
    for _ in range(2):
        gradients, over_x = kuai.grad(lambda net, x: net(x).sum(), wrt=("*", 1))(net, X)
        near((gradients["0.weight"], over_x), (jnp.sin(X).sum(), jnp.full(X.shape, 10.0)))


@pytest.mark.parametrize("setting", [False, True], ids=["plain", "hybridized"])
def test_inside_itself_twice_over_and_in_batches(setting):
    def make(policy):
        inner = nn.Sequential(nn.Dense(3), nn.Lambda(jnp.tanh)).remat(policy)
        net = nn.Sequential(inner, nn.Lambda(jnp.sin)).remat(policy)
        net.initialize(seed=0, sample=X)
        return net.hybridize(setting)

    def second(net, x):
        return kuai.grad(lambda net, x: kuai.grad(lambda x: net(x).sum(), wrt=0)(x).sum())(net, x)

    def batched(net, x):
        return jax.vmap(lambda row: net(row[None])[0].sum())(x).sum()

    for transform in (second, kuai.grad(batched)):
        near(transform(make(None), X), transform(make(False), X))


@settings
def test_a_captured_output_comes_out_of_it(setting):
    net = nn.Sequential(nn.Sequential(nn.Dense(3), nn.Lambda(jnp.sin)).remat(), nn.Dense(1))
    net = net.initialize(sample=X)
    net = net if setting is None else net.hybridize(setting)

    def loss(net, x):
        return kuai.capture(net, "0.1")(x)[1]["0.1"].sum()

    expected = jax.grad(lambda w: jnp.sin(X @ w).sum())(net[0][0].weight)
    for _ in range(2):
        near(kuai.grad(loss)(net, X)["0.0.weight"], expected)


def test_hooks_of_the_block_run_outside_and_once():
    seen = []
    block = nn.Sequential(nn.Dense(2)).remat()
    block.register_forward_hook(lambda block, inputs, y: seen.append(y.shape))
    net = nn.Sequential(block).hybridize(False).initialize(sample=X)
    seen.clear()
    kuai.grad(lambda net, x: net(x).sum())(net, X)
    assert seen == [(4, 2)]


def saved(net, x):
    """Bytes that XLA sets aside for what is computed on the way."""
    apply, params, state = kuai.functional(net)
    gradient = jax.grad(lambda params: apply(params, state, x)[0].sum())
    return jax.jit(gradient).lower(params).compile().memory_analysis().temp_size_in_bytes


def test_memory_is_lower_by_the_activations():
    x = jnp.ones((2048, 32))
    layers = [nn.Sequential(nn.Dense(64, "gelu"), nn.Dense(32, "gelu")) for _ in range(6)]
    net = nn.Sequential(*layers).initialize(sample=x)
    without = saved(net, x)
    for layer in layers:
        layer.remat()
    least = saved(net, x)
    for layer in layers:
        layer.remat("dots")
    some = saved(net, x)
    for layer in layers:
        layer.remat(False)
    assert saved(net, x) == without
    assert least < some < without
    assert least < without / 3


def test_a_change_compiles_anew():
    layer = nn.Dense(1)
    net = nn.Sequential(layer).hybridize()
    net(X)
    layer.remat()
    net(X)
    layer.remat("dots")
    net(X)
    assert net.explain().compilations == ("a new signature", "a block changed", "a block changed")
    layer.remat()
    net(X)
    assert len(net.explain().compilations) == 3


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_copies_keep_it(copied):
    assert copied(nn.Dense(1).remat("dots"))._kuai.remat == "dots"


def test_shapes_are_settled_through_it_and_the_block_is_given_back():
    net = nn.Sequential(nn.Dense(2)).remat()
    assert isinstance(net, nn.Sequential)
    assert kuai.grad(lambda net, x: net(x).sum())(net, X)["0.weight"].shape == (3, 2)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (
            "dot",
            "Dense.remat: expected a policy such as 'dots', a function of jax.checkpoint_policies",
        ),
        ("dots!", "or False, got 'dots!'; remat() keeps nothing but the inputs"),
        (3, "expected a policy such as 'nothing', 'everything', 'dots', 'dots_no_batch', a func"),
    ],
)
def test_bad_policies(policy: Any, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        nn.Dense(1).remat(policy)
