"""A block as a pure function: in raw transforms, with keys and modes, and what it refuses."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, BlockLookupError, TransformError

X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)


@pytest.fixture
def net():
    return nn.Sequential(nn.Dense(3), nn.BatchNorm(), nn.Dropout(0.5)).initialize(sample=X)


def test_params_and_state_by_path(net):
    _, params, state = kuai.functional(net)
    assert list(params) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert list(state) == ["1.running_mean", "1.running_var"]


def test_constants_are_state_and_ties_stand_once():
    class Net(kuai.Block):
        def __init__(self):
            self.table = jnp.ones(2)
            self.a = kuai.Parameter(jnp.ones(2))
            self.b = self.params.a

        def forward(self, x):
            return x * self.a * self.b * self.table

    apply, params, state = kuai.functional(Net())
    assert (list(params), list(state)) == (["a"], ["table"])
    assert apply({"a": jnp.full(2, 3.0)}, state, 1.0)[0].tolist() == [9.0, 9.0]


def test_eval_is_the_default_and_fits_a_call(net):
    apply, params, state = kuai.functional(net)
    y, new = jax.jit(apply)(params, state, X)
    np.testing.assert_allclose(y, net(X), rtol=1e-5, atol=1e-6)
    for path in state:
        np.testing.assert_array_equal(new[path], state[path])


def test_training_gives_new_state_and_leaves_the_block(net):
    apply, params, state = kuai.functional(net)
    _, new = apply(params, state, X, key=jax.random.key(0), training=True)
    assert not np.array_equal(new["1.running_mean"], state["1.running_mean"])
    np.testing.assert_array_equal(net[1].running_mean, np.zeros(3, np.float32))
    assert kuai.random.get_state()["count"] == 0


def test_an_explicit_mode_outside_does_not_leak_in(net):
    apply, params, state = kuai.functional(net)
    with kuai.train_mode():
        _, new = apply(params, state, X)
    np.testing.assert_array_equal(new["1.running_mean"], state["1.running_mean"])


def test_the_key_decides_the_randomness(net):
    apply, params, state = kuai.functional(net)

    @jax.jit
    def run(key):
        return apply(params, state, X, key=key, training=True)[0]

    one, again, other = run(jax.random.key(1)), run(jax.random.key(1)), run(jax.random.key(2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one == 0, other == 0)


def test_randomness_without_a_key_is_refused(net):
    apply, params, state = kuai.functional(net)
    text = (
        "kuai.functional: forward draws random numbers and apply got no key; pass "
        "key=jax.random.key(0)"
    )
    with pytest.raises(TransformError, match=re.escape(text)):
        jax.jit(lambda x: apply(params, state, x, training=True))(X)


def test_grad_vmap_and_scan(net):
    apply, params, state = kuai.functional(net)

    def loss(params, state, x):
        y, state = apply(params, state, x, key=jax.random.key(0), training=True)
        return (y**2).sum(), state

    grads, _ = jax.jit(jax.grad(loss, has_aux=True))(params, state, X)
    with kuai.random.streaming(kuai.random.KeyStream(jax.random.key(0))):
        expected = kuai.grad(lambda net, x: (net(x) ** 2).sum())(net.copy(), X)
    for path in params:
        np.testing.assert_allclose(grads[path], expected[path], rtol=1e-4, atol=1e-4)

    doubled = jax.tree.map(lambda a: jnp.stack([a, a]), params)
    ys = jax.vmap(lambda p: apply(p, state, X)[0])(doubled)
    np.testing.assert_allclose(ys[1], net(X), rtol=1e-5, atol=1e-6)

    def step(state, key):
        return apply(params, state, X, key=key, training=True)[1], None

    scanned, _ = jax.lax.scan(step, state, jax.random.split(jax.random.key(0), 2))
    by_hand = state
    for _ in range(2):
        by_hand = apply(params, by_hand, X, key=jax.random.key(0), training=True)[1]
    np.testing.assert_allclose(
        scanned["1.running_mean"], by_hand["1.running_mean"], rtol=1e-5, atol=1e-6
    )


def test_keywords_pass():
    class Shift(kuai.Block):
        def forward(self, x, *, by):
            return x + by

    apply, params, state = kuai.functional(Shift())
    assert float(apply(params, state, jnp.array(1.0), by=2.0)[0]) == 3.0


def test_no_leaks(net):
    apply, params, state = kuai.functional(net)
    with jax.checking_leaks():
        jax.jit(lambda p, s, x: apply(p, s, x, key=jax.random.key(0), training=True))(
            params, state, X
        )


def test_other_paths_are_refused(net):
    apply, params, state = kuai.functional(net)
    params["0.wieght"] = params.pop("0.weight")
    text = (
        "Sequential: expected the paths that kuai.functional gave, got unknown ['0.wieght'], "
        "missing ['0.weight']"
    )
    with pytest.raises(BlockLookupError, match=re.escape(text)):
        apply(params, state, X)


def test_an_assigned_parameter_cannot_be_kept():
    class Net(kuai.Block):
        def __init__(self):
            self.scale = kuai.Parameter(jnp.ones(()))

        def forward(self, x):
            self.scale = self.scale * 2
            return x * self.scale

    apply, params, state = kuai.functional(Net())
    text = "Net: forward assigns to the parameter 'scale', which a pure function cannot keep"
    with pytest.raises(TransformError, match=re.escape(text)):
        apply(params, state, X)


def test_a_function_is_no_block():
    with pytest.raises(ArgumentError, match=r"kuai.functional: expected a block, got function"):
        kuai.functional(lambda x: x)
