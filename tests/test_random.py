"""The seed, the stream of keys, and the functions that draw from it."""

from __future__ import annotations

import re
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kuai
from kuai import nn
from kuai.errors import ArgumentError, TransformError

DRAWS = {
    "uniform": lambda: kuai.random.uniform((50,), -0.3, 1.7),
    "normal": lambda: kuai.random.normal((50,)),
    "normal with mean and std": lambda: kuai.random.normal((50,), 3.3, 0.7),
    "normal in bfloat16": lambda: kuai.random.normal((50,), 1.5, 0.3, jnp.bfloat16),
    "randint": lambda: kuai.random.randint((50,), 0, 7),
    "bernoulli": lambda: kuai.random.bernoulli(0.3, (50,)),
    "permutation": lambda: kuai.random.permutation(50),
}


@pytest.mark.parametrize("name", DRAWS)
def test_eager_and_compiled_draws_agree_bit_for_bit(name):
    draw = DRAWS[name]
    kuai.seed(3)
    eager = [draw(), draw(), draw()]
    compiled = kuai.hybrid(lambda: draw())
    kuai.seed(3)
    for expected in eager:
        np.testing.assert_array_equal(compiled(), expected)
    assert kuai.random.get_state() == {"seed": 3, "count": 3}


def test_normal_has_its_mean_and_standard_deviation():
    standard = np.asarray(kuai.random.normal((2000,)), np.float64)
    kuai.seed(0)
    x = np.asarray(kuai.random.normal((2000,), 5.0, 0.5), np.float64)
    np.testing.assert_allclose(x, 5 + 0.5 * standard, rtol=1e-6)


def test_uniform_and_integers_keep_their_bounds():
    x = kuai.random.uniform((2000,), 2.0, 3.0)
    assert 2.0 <= float(x.min()) < 2.01 < 2.99 < float(x.max()) < 3.0
    assert set(kuai.random.randint((200,), 2, 5).tolist()) == {2, 3, 4}


def test_shapes_may_be_one_number():
    assert kuai.random.uniform(3).shape == (3,)
    assert kuai.random.normal(3).shape == (3,)
    assert kuai.random.bernoulli(0.5, 3).shape == (3,)
    assert kuai.random.randint(3, 0, 2).shape == (3,)


def test_every_key_is_another():
    keys = [tuple(jax.random.key_data(kuai.random.key()).tolist()) for _ in range(100)]
    assert len(set(keys)) == 100


@given(st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_a_state_can_be_gone_back_to(seed, draws):
    kuai.seed(seed)
    for _ in range(draws):
        kuai.random.key()
    state = kuai.random.get_state()
    assert state == {"seed": seed, "count": draws}
    one = jax.random.key_data(kuai.random.key())
    kuai.random.set_state(state)
    np.testing.assert_array_equal(one, jax.random.key_data(kuai.random.key()))


@pytest.mark.parametrize("value", [-1, 2**32, 1.0, "1", None, False])
def test_a_seed_is_an_integer_that_fits(value):
    text = f"kuai.seed: expected seed to be an integer from 0 to 2**32 - 1, got {value!r}"
    with pytest.raises(ArgumentError, match=re.escape(text)):
        kuai.seed(value)


@pytest.mark.parametrize("state", [None, {}, {"seed": 1}, {"seed": 1, "count": -1}])
def test_a_wrong_state_changes_nothing(state):
    kuai.seed(9)
    with pytest.raises(ArgumentError, match=r"kuai.random.set_state: expected"):
        kuai.random.set_state(state)
    assert kuai.random.get_state() == {"seed": 9, "count": 0}


def test_numpy_integers_are_seeds():
    kuai.seed(np.int64(4))
    assert kuai.random.get_state()["seed"] == 4


def test_compiled_calls_draw_new_keys_each_time():
    net = nn.Dropout(0.5).train().hybridize()
    x = jnp.ones(100)
    assert not np.array_equal(net(x), net(x))


@pytest.mark.parametrize(
    "transform",
    [jax.jit, jax.checkpoint, lambda f: lambda x: jax.lax.scan(lambda c, x: (c, f(x)), 0, x)],
    ids=["jit", "checkpoint", "scan"],
)
def test_a_raw_trace_that_would_freeze_the_key_is_refused(transform):
    net = nn.Dropout(0.5).train()
    text = (
        "kuai.random: a key was drawn inside a raw JAX transform that traces (jit, scan, "
        "checkpoint), where it would be the same on every call; use kuai.hybrid, or "
        "kuai.functional(block) and pass key="
    )
    with pytest.raises(TransformError, match=re.escape(text)):
        transform(net)(jnp.ones((2, 3)))


def test_raw_transforms_that_run_once_may_draw():
    net = nn.Dropout(0.5).train()
    kuai.seed(1)
    by_input = jax.grad(lambda x: net(x).sum())(jnp.ones(50))
    kuai.seed(1)
    np.testing.assert_array_equal(by_input, net(jnp.ones(50)))
    assert jax.vmap(net)(jnp.ones((2, 3))).shape == (2, 3)


def test_a_key_drawn_first_inside_an_inner_trace_does_not_leak():
    def forward(x):
        inner = jax.jit(lambda x: x * kuai.random.uniform(()))(x)
        return inner + kuai.random.uniform(())

    kuai.seed(2)
    expected = 1.0 * kuai.random.uniform(()) + kuai.random.uniform(())
    kuai.seed(2)
    np.testing.assert_allclose(kuai.hybrid(forward)(jnp.array(1.0)), expected, rtol=1e-6)


def test_threads_never_draw_the_same_key():
    drawn = []

    def draw():
        for _ in range(50):
            drawn.append(tuple(jax.random.key_data(kuai.random.key()).tolist()))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == 200
