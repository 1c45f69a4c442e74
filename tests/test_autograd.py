"""Gradients: what they are taken of, what comes back, and what has none."""

from __future__ import annotations

import functools
import re

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, DtypeError, ShapeError
from tests.gradients import X, close, oracle, small_net, squared, total


@pytest.fixture
def net():
    return small_net()


# ---- what comes back


@pytest.mark.parametrize("hybridized", [False, True])
def test_value_and_gradients_by_path(net, hybridized):
    net.hybridize(hybridized)
    value, grads = kuai.value_and_grad(squared)(net, X)
    expected_value, expected, _ = oracle(net, X)
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    close(grads, expected)


def test_a_block_itself_and_a_method_may_be_differentiated():
    class Loss(kuai.Block):
        def __init__(self):
            self.scale = kuai.Parameter(jnp.array(2.0))

        def forward(self, x):
            return (x * self.scale).sum()

        def twice(self, x):
            return 2 * self.forward(x)

    net = Loss()
    np.testing.assert_allclose(kuai.grad(net)(X)["scale"], X.sum(), rtol=1e-5)
    np.testing.assert_allclose(kuai.grad(net.twice)(X)["scale"], 2 * X.sum(), rtol=1e-5)


def test_a_partial_function_shows_its_blocks(net):
    close(kuai.grad(functools.partial(squared, net))(X), oracle(net, X)[1])


def test_blocks_may_stand_in_lists_and_dicts(net):
    grads = kuai.grad(lambda nets, x: squared(nets["a"][0], x))({"a": [net]}, X)
    close(grads, oracle(net, X)[1])
    close(kuai.grad(lambda nets, x: squared(nets["a"][0], x), wrt=0)({"a": [net]}, X), grads)


def test_keyword_blocks_count(net):
    close(kuai.grad(lambda x, net: squared(net, x))(X, net=net), oracle(net, X)[1])


def test_several_blocks_give_a_tuple():
    generator, critic = nn.Dense(3), nn.Dense(1)
    grads = kuai.grad(lambda g, c, x: c(g(x)).sum())(generator, critic, X)
    assert [sorted(g) for g in grads] == [["bias", "weight"], ["bias", "weight"]]
    assert [g["weight"].shape for g in grads] == [(3, 3), (3, 1)]


def test_a_frozen_block_among_several_has_no_gradients():
    generator, critic = nn.Dense(3), nn.Dense(1).freeze()
    grads = kuai.grad(lambda g, c, x: c(g(x)).sum())(generator, critic, X)
    assert (sorted(grads[0]), grads[1]) == (["bias", "weight"], {})


def test_a_parameter_of_two_blocks_has_its_gradient_at_the_first():
    shared = nn.Dense(3)
    grads = kuai.grad(lambda a, b, x: b(a(x)).sum())(
        nn.Sequential(shared), nn.Sequential(shared, nn.Dense(1)), X
    )
    assert sorted(grads[0]) == ["0.bias", "0.weight"]
    assert sorted(grads[1]) == ["1.bias", "1.weight"]


def test_a_tied_parameter_has_the_sum_of_its_uses():
    class Tied(kuai.Block):
        def __init__(self, tie):
            self.a = kuai.Parameter(jnp.array(3.0))
            self.b = kuai.Parameter(jnp.array(3.0))
            if tie:
                self.b = self.params.a

        def forward(self, x):
            return (self.a**2 * self.b * x).sum()

    apart = kuai.grad(Tied(False))(X)
    tied = kuai.grad(Tied(True))(X)
    assert list(tied) == ["a"]
    np.testing.assert_allclose(tied["a"], apart["a"] + apart["b"], rtol=1e-6)


def test_a_block_used_twice_has_the_sum():
    dense = nn.Dense(3, init="ones").initialize(sample=X)
    twice = kuai.grad(total)(nn.Sequential(dense, dense), X)
    first, second = dense.copy(), dense.copy()
    apart = kuai.grad(total)(nn.Sequential(first, second), X)
    np.testing.assert_allclose(twice["0.weight"], apart["0.weight"] + apart["1.weight"], rtol=1e-6)


def test_aux_comes_back_with_whatever_is_in_it(net):
    def loss(net, x):
        y = net(x)
        return (y**2).sum(), {"output": y, "name": "mine", "rate": 0.5, "none": None, "n": 3}

    (_, aux), grads = kuai.value_and_grad(loss, has_aux=True)(net, X)
    np.testing.assert_allclose(aux.pop("output"), net(X), rtol=1e-6)
    assert aux == {"name": "mine", "rate": 0.5, "none": None, "n": 3}
    only, again = kuai.grad(loss, has_aux=True)(net, X)
    close(only, grads)
    assert again["name"] == "mine"


def test_grad_keeps_the_name_and_the_documentation():
    assert kuai.grad(squared).__name__ == "squared"


# ---- wrt


def test_wrt_a_position(net):
    np.testing.assert_allclose(
        kuai.grad(squared, wrt=1)(net, X), oracle(net, X)[2], rtol=2e-5, atol=1e-5
    )
    close(kuai.grad(squared, wrt=0)(net, X), oracle(net, X)[1])
    np.testing.assert_array_equal(
        kuai.grad(squared, wrt=-1)(net, X), kuai.grad(squared, wrt=1)(net, X)
    )


def test_wrt_several_gives_a_tuple(net):
    _, expected, by_input = oracle(net, X)
    by_position, one, bias = kuai.grad(squared, wrt=(1, "0.weight", "*.bias"))(net, X)
    np.testing.assert_allclose(by_position, by_input, rtol=2e-5, atol=1e-5)
    close(one, {"0.weight": expected["0.weight"]})
    close(bias, {path: expected[path] for path in ("0.bias", "1.bias")})


@pytest.mark.parametrize(
    "wrt",
    ["*.weight", re.compile(r"weight$"), lambda path, parameter: path.endswith("weight")],
    ids=["glob", "regex", "predicate"],
)
def test_wrt_a_selection(net, wrt):
    expected = oracle(net, X)[1]
    close(
        kuai.grad(squared, wrt=wrt)(net, X),
        {path: expected[path] for path in ("0.weight", "1.weight")},
    )


def test_a_selection_leaves_frozen_parameters_out_and_a_path_does_not(net):
    net.freeze("0.*")
    assert sorted(kuai.grad(squared)(net, X)) == ["1.bias", "1.weight"]
    assert sorted(kuai.grad(squared, wrt="*.weight")(net, X)) == ["1.weight"]
    close(kuai.grad(squared, wrt="0.weight")(net, X), {"0.weight": oracle(net, X)[1]["0.weight"]})
    assert len(kuai.grad(squared, wrt=kuai.Parameter)(net, X)) == 4


def test_wrt_a_holder(net):
    np.testing.assert_allclose(
        kuai.grad(squared, wrt=net[1].params.bias)(net, X),
        oracle(net, X)[1]["1.bias"],
        rtol=2e-5,
    )


def test_wrt_a_constant_or_state_by_type_and_path():
    class Net(kuai.Block):
        def __init__(self):
            self.table = jnp.full(3, 2.0)
            self.index = jnp.arange(3)
            self.shift = kuai.State(jnp.zeros(3))

        def forward(self, x):
            return (x * self.table + self.shift + self.index.astype(x.dtype)).sum()

    net = Net()
    assert list(kuai.grad(net, wrt=kuai.Constant)(X)) == ["table"]
    np.testing.assert_allclose(kuai.grad(net, wrt="table")(X)["table"], X.sum(0), rtol=1e-6)
    np.testing.assert_array_equal(kuai.grad(net, wrt=kuai.State)(X)["shift"], np.full(3, 4.0))
    with pytest.raises(DtypeError, match=r"wrt=index: expected a real floating dtype, got int32"):
        kuai.grad(net, wrt="index")(X)
    with pytest.raises(DtypeError, match=r"wrt=Constant of shape \(3,\): expected a real floating"):
        kuai.grad(net, wrt=net.params.index)(X)


def test_wrt_an_alias_by_its_path():
    class Tied(kuai.Block):
        def __init__(self):
            self.a = kuai.Parameter(jnp.array(3.0))
            self.b = self.params.a

        def forward(self, x):
            return self.b * x

    assert kuai.grad(Tied(), wrt="b")(jnp.array(2.0)) == {"b": 2.0}


def test_wrt_an_argument_that_is_a_tree():
    grads = kuai.grad(lambda d: (d["a"] * d["b"][0]).sum(), wrt=0)({"a": X, "b": [2.0]})
    np.testing.assert_array_equal(grads["a"], np.full((4, 3), 2.0, np.float32))
    np.testing.assert_allclose(grads["b"][0], X.sum(), rtol=1e-6)


def test_wrt_an_argument_in_numpy():
    grads = kuai.grad(lambda x: (x**2).sum(), wrt=0)(np.asarray(X))
    np.testing.assert_array_equal(grads, 2 * X)


@pytest.mark.parametrize(
    ("wrt", "text"),
    [
        ("0.wieght", "grad: wrt='0.wieght' selects no parameter; there are 0.weight"),
        (7, "grad: wrt=7: expected a position below 2, the number of positional arguments"),
        (True, "grad: wrt: expected a position, a path, a glob, a regular expression, a type, a"),
        (2.5, "a holder, or a tuple of these, got float; for one sub-block give a glob such as"),
        (["0.weight"], "or a tuple of these, got list; for one sub-block give a glob"),
    ],
)
def test_a_wrt_that_makes_no_sense(net, wrt, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        kuai.grad(squared, wrt=wrt)(net, X)


def test_a_block_as_wrt_is_told_to_use_a_glob(net):
    with pytest.raises(ArgumentError, match=r"got Dense; for one sub-block give a glob"):
        kuai.grad(squared, wrt=net[0])(net, X)


def test_nothing_to_differentiate_says_what_to_do(net):
    text = (
        "grad: expected a block with trainable parameters among the arguments, got none; pass the "
        "net as an argument, unfreeze it, or name an argument by wrt=position"
    )
    with pytest.raises(ArgumentError, match=re.escape(text)):
        kuai.grad(lambda x: net(x).sum())(X)
    with pytest.raises(ArgumentError, match=re.escape(text)):
        kuai.grad(squared)(net.freeze(), X)
    with pytest.raises(ArgumentError, match=re.escape(text)):
        kuai.grad(squared, wrt=0)(net, X)


def test_an_integer_argument_has_no_gradient():
    with pytest.raises(DtypeError, match="grad: wrt=0: expected a real floating dtype, got int32"):
        kuai.grad(lambda x: x * 1.0, wrt=0)(jnp.arange(3))
    with pytest.raises(ArgumentError, match="wrt=0: expected an argument of arrays, got str"):
        kuai.grad(lambda x: 1.0, wrt=0)("abc")


# ---- results that have no gradient


def test_an_array_is_no_scalar(net):
    text = (
        "grad: expected a scalar, got shape (4, 2); reduce it with .sum() or .mean(), or use block"
    )
    with pytest.raises(ShapeError, match=re.escape(text)):
        kuai.grad(lambda net, x: net(x))(net, X)


@pytest.mark.parametrize(
    ("result", "error", "text"),
    [
        (None, ArgumentError, "grad: expected a scalar, got NoneType; return the loss"),
        (3, DtypeError, "grad: expected a real floating value, got int32; cast it with .astype"),
        (1j, DtypeError, "grad: expected a real floating value, got complex64"),
        ((1.0, 2.0, "x"), ArgumentError, "grad: expected a scalar, got tuple; return the loss"),
    ],
)
def test_a_result_that_has_no_gradient(net, result, error, text):
    with pytest.raises(error, match=re.escape(text)):
        kuai.grad(lambda net, x: result)(net, X)


def test_has_aux_wants_a_pair(net):
    text = "grad: with has_aux=True the function must return (scalar, aux), got "
    with pytest.raises(ArgumentError, match=re.escape(text)):
        kuai.grad(squared, has_aux=True)(net, X)


def test_a_result_instead_of_a_function(net):
    with pytest.raises(ArgumentError, match="grad: expected a function or a block, got ArrayImpl"):
        kuai.grad(squared(net, X))
