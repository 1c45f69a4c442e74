"""Activations by name, as functions and as blocks; their values are in the catalogue."""

from __future__ import annotations

import inspect
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, DtypeError, ShapeError
from kuai.nn import functions
from kuai.nn.activation import _FUNCTIONS, _JAXS, _OWN, get, kept
from tests.test_house import own_names

BLOCKS = [nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.HardSiLU,
          nn.Mish, nn.Softplus, nn.Sigmoid, nn.HardSigmoid, nn.LogSigmoid, nn.Tanh, nn.HardTanh,
          nn.SoftSign, nn.Softmax, nn.LogSoftmax, nn.GLU, nn.SparsePlus, nn.SparseSigmoid,
          nn.Squareplus, nn.HardShrink, nn.QuickGELU, nn.SoftShrink, nn.Softmin, nn.Sparsemax,
          nn.TanhShrink]  # fmt: skip


@pytest.mark.parametrize("name", _JAXS)
def test_a_name_is_kuais_function_and_jaxs(name):
    assert get(name) is getattr(nn, name) is getattr(jax.nn, name)
    assert inspect.getdoc(getattr(nn, name))


@pytest.mark.parametrize("name", _OWN)
def test_a_name_is_a_function_that_jax_lacks(name):
    assert get(name) is getattr(nn, name)
    assert not hasattr(jax.nn, name)


def test_every_function_has_a_name():
    assert {name for name in vars(nn) if name[0] != "_" and hasattr(jax.nn, name)} == set(_JAXS)
    # A threshold has no default, so that its name alone would tell nothing to compute.
    assert set(own_names(functions)) == {*_OWN, "threshold"}


@pytest.mark.parametrize("block", BLOCKS)
def test_every_function_has_a_block_that_agrees(block):
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", block.__name__).lower()
    name = {"hard_si_lu": "hard_silu", "leaky_re_lu": "leaky_relu", "re_lu": "relu",
            "re_lu6": "relu6", "si_lu": "silu"}.get(words, words)  # fmt: skip
    x = jnp.linspace(-3.0, 3.0, 12).reshape(2, 6)
    np.testing.assert_array_equal(block()(x), getattr(nn, name)(x))


def test_blocks_cover_the_functions():
    assert len(BLOCKS) == len(set(_FUNCTIONS) - {"hard_swish", "swish"})


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_a_function_is_kept_by_a_name_that_pickles(name):
    stored = kept(getattr(nn, name), "Dense")
    assert isinstance(stored, str)
    assert get(stored) is getattr(nn, name)
    layer = pickle.loads(pickle.dumps(nn.Dense(4, getattr(nn, name))))
    assert layer.activation == stored


def test_ones_own_function_and_a_block_are_kept_as_they_are():
    block = nn.ReLU()
    assert kept(block, "Dense") is block
    assert kept(np.tanh, "Dense") is np.tanh


def test_none_is_the_identity():
    x = jnp.ones(2)
    assert get(None)(x) is x


@pytest.mark.parametrize(
    ("activation", "text"),
    [
        ("rleu", "Dense: expected an activation's name, a function, a block or None, got 'rleu'"),
        ("rleu", "; did you mean relu"),
        ("zzz", "got 'zzz'; known: celu, elu, gelu"),
        (nn.ReLU, "got <class 'kuai.nn.rectifier.ReLU'>; write ReLU()"),
        (3, "got 3; known: celu"),
    ],
)
def test_what_is_no_activation_is_an_error(activation, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        nn.Dense(2, activation=activation)


def test_activation_of_none_points_to_identity():
    with pytest.raises(ArgumentError, match=r"Activation: expected .* got None; use nn.Identity"):
        nn.Activation(None)


def test_activation_of_a_block_registers_it_once():
    net = nn.Activation(nn.Dense(3))
    net(jnp.ones((1, 2)))
    assert [path for path, _ in net.named_parameters()] == ["function.weight", "function.bias"]


@pytest.mark.parametrize("hybridized", [False, True])
def test_an_activation_exchanged_later_takes_effect(hybridized):
    net = nn.Dense(3, activation="relu").hybridize(hybridized)
    x = jnp.ones((2, 4))
    net(x)
    net.activation = "tanh"
    np.testing.assert_allclose(net(x), np.tanh(x @ net.weight + net.bias), rtol=1e-6)
    assert repr(net) == "Dense(3, activation='tanh')"
    net.activation = nn.Softmax()
    np.testing.assert_allclose(net(x).sum(-1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("hybridized", [False, True])
def test_options_exchanged_later_take_effect(hybridized):
    net = nn.Activation("leaky_relu", negative_slope=0.5).hybridize(hybridized)
    assert net(jnp.array([-2.0])).item() == -1.0
    net.options["negative_slope"] = 0.25
    assert net(jnp.array([-2.0])).item() == -0.5


@pytest.mark.parametrize("block", BLOCKS)
def test_integers_are_refused(block):
    with pytest.raises(DtypeError, match=f"^{block.__name__}: expected a floating input, got int"):
        block()(jnp.arange(4))


@pytest.mark.parametrize("block", [nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Sparsemax, nn.GLU])
def test_an_axis_that_is_not_there_is_an_error(block):
    text = f"{block.__name__}: expected an input with an axis 2, got shape (2, 2); choose another"
    with pytest.raises(ShapeError, match=re.escape(text)):
        block(axis=2)(jnp.ones((2, 2)))


def test_glu_needs_halves():
    text = "GLU: expected an even size on axis -1, got shape (2, 3); double the units"
    with pytest.raises(ShapeError, match=re.escape(text)):
        nn.GLU()(jnp.ones((2, 3)))


@pytest.mark.parametrize("block", [nn.Softmax, nn.LogSoftmax, nn.LogSigmoid, nn.Softplus, nn.SiLU,
                                   nn.GELU, nn.Sigmoid, nn.Mish])  # fmt: skip
def test_large_inputs_neither_overflow_nor_lose_their_gradient(block):
    x = jnp.array([-1e4, 0.0, 1e4])
    output, backward = block().vjp(x)
    _, gradient = backward(jnp.ones_like(output))
    assert bool(jnp.isfinite(output).all())
    assert bool(jnp.isfinite(gradient).all())


@pytest.mark.parametrize("block", [nn.ReLU, nn.ReLU6])
def test_the_gradient_at_zero_is_zero(block):
    assert kuai.grad(lambda x: block()(x), wrt=0)(jnp.array(0.0)).item() == 0.0


def test_a_python_float_computes_the_same_eagerly_and_compiled():
    assert nn.ReLU()(2.0).item() == nn.ReLU().hybridize()(2.0).item() == 2.0
