"""Initializers: their formulas, their names, and what they refuse."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai.errors import ArgumentError, DtypeError

KEY = jax.random.key(0)
SHAPE = (300, 200)


def draw(init, shape=SHAPE, dtype=jnp.float32):
    return np.asarray(init(KEY, shape, dtype), np.float64)


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        (kuai.init.glorot_uniform(), 2 / 500),
        (kuai.init.glorot_normal(), 2 / 500),
        (kuai.init.he_uniform(), 2 / 300),
        (kuai.init.he_normal(), 2 / 300),
        (kuai.init.lecun_uniform(), 1 / 300),
        (kuai.init.lecun_normal(), 1 / 300),
        (kuai.init.normal(std=0.3), 0.09),
        (kuai.init.uniform(-0.3, 0.3), 0.03),
    ],
    ids=str,
)
def test_the_variance_is_that_of_the_formula(init, variance):
    values = draw(init)
    np.testing.assert_allclose(values.var(), variance, rtol=0.03)
    np.testing.assert_allclose(values.mean(), 0, atol=4 * np.sqrt(variance / values.size))


@pytest.mark.parametrize(
    ("init", "bound"),
    [
        (kuai.init.glorot_uniform(), np.sqrt(6 / 500)),
        (kuai.init.he_uniform(), np.sqrt(6 / 300)),
        (kuai.init.lecun_uniform(), np.sqrt(3 / 300)),
        (kuai.init.uniform(-0.3, 0.3), 0.3),
        (kuai.init.truncated_normal(0.5), 1.0),
    ],
    ids=str,
)
def test_bounded_ones_keep_and_nearly_reach_their_bound(init, bound):
    largest = np.abs(draw(init)).max()
    assert 0.99 * bound < largest <= bound * (1 + 1e-6)


def test_orthogonal_has_orthonormal_columns():
    values = draw(kuai.init.orthogonal(2.0))
    np.testing.assert_allclose(values.T @ values, 4 * np.eye(200), atol=1e-5)


def test_fixed_values():
    assert (draw(kuai.init.zeros()) == 0).all()
    assert (draw(kuai.init.ones()) == 1).all()
    assert (draw(kuai.init.constant(2.5)) == 2.5).all()
    np.testing.assert_allclose(draw(kuai.init.normal(5.0, 0.0)), 5.0)


@pytest.mark.parametrize(
    ("name", "init"),
    [
        ("zeros", kuai.init.zeros()),
        ("ones", kuai.init.ones()),
        ("uniform", kuai.init.uniform()),
        ("normal", kuai.init.normal()),
        ("truncated_normal", kuai.init.truncated_normal()),
        ("orthogonal", kuai.init.orthogonal()),
        ("xavier_uniform", kuai.init.glorot_uniform()),
        ("xavier_normal", kuai.init.glorot_normal()),
        ("kaiming_uniform", kuai.init.he_uniform()),
        ("kaiming_normal", kuai.init.he_normal()),
        ("lecun_normal", kuai.init.lecun_normal()),
        (0.5, kuai.init.constant(0.5)),
        (1, kuai.init.constant(1)),
    ],
)
def test_names_and_numbers(name, init):
    assert kuai.init.get(name) == init
    np.testing.assert_array_equal(draw(kuai.init.get(name)), draw(init))


def test_functions_pass():
    function = jax.nn.initializers.he_normal()
    assert kuai.init.get(function) is function


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_low_precision_is_drawn_in_its_dtype(dtype):
    assert kuai.init.get("he_normal")(KEY, (4, 4), dtype).dtype == dtype


def test_fixed_values_may_be_integers():
    assert kuai.init.get("ones")(KEY, (2,), jnp.int32).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("init", "text"),
    [
        ("he_norml", "kuai.init: no initializer is called 'he_norml'; did you mean he_normal"),
        ("qqq", "kuai.init: no initializer is called 'qqq'; known: zeros, ones"),
        ("constant", "kuai.init: no initializer is called 'constant'; did you mean"),
        (None, "kuai.init.get: expected a name, a number or a function (key, shape, dtype)"),
        (True, "got bool True"),
    ],
)
def test_what_is_no_initializer(init, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        kuai.init.get(init)


@pytest.mark.parametrize("name", ["glorot_uniform", "he_normal", "lecun_uniform", "orthogonal"])
def test_vectors_have_no_fan_in(name):
    text = f"kuai.init.{name}: expected a shape of at least two axes (inputs, outputs), got (3,)"
    with pytest.raises(ArgumentError, match=re.escape(text)):
        kuai.init.get(name)(KEY, (3,), jnp.float32)


@pytest.mark.parametrize("name", ["glorot_uniform", "normal", "uniform", "orthogonal"])
def test_random_values_are_floating(name):
    text = f"kuai.init.{name}: expected a floating dtype, got int32; use zeros, ones or constant"
    with pytest.raises(DtypeError, match=re.escape(text)):
        kuai.init.get(name)(KEY, (3, 3), jnp.int32)
