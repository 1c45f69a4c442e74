"""Gradients: what they are taken of, what comes back, and every transform around and inside."""

from __future__ import annotations

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, DtypeError, ShapeError, TransformError

X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)


def total(net, x):
    return net(x).sum()


def squared(net, x):
    return (net(x) ** 2).sum()


@pytest.fixture
def net():
    return nn.Sequential(nn.Dense(4, "tanh"), nn.Dense(2)).initialize(sample=X)


def oracle(net, x):
    """Value and gradients of `squared` for the fixture's net, by hand in float64."""
    w0, b0, w1, b1 = (np.asarray(p.array, np.float64) for p in net.parameters())
    x = np.asarray(x, np.float64)
    h = np.tanh(x @ w0 + b0)
    y = h @ w1 + b1
    dy = 2 * y
    dh = (dy @ w1.T) * (1 - h**2)
    return (y**2).sum(), {
        "0.weight": x.T @ dh,
        "0.bias": dh.sum(0),
        "1.weight": h.T @ dy,
        "1.bias": dy.sum(0),
    }, dh @ w0.T  # fmt: skip


def close(found, expected):
    assert found.keys() == expected.keys()
    for path in expected:
        np.testing.assert_allclose(found[path], expected[path], rtol=2e-5, atol=1e-5, err_msg=path)


def concrete(net):
    for path, holder in net.named_holders():
        assert not isinstance(holder.array, jax.core.Tracer), path
    return True


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


# ---- State, randomness, modes


def test_running_statistics_are_written_once_and_are_concrete():
    net = nn.BatchNorm(momentum=0.5).initialize(sample=X)
    with jax.checking_leaks():
        kuai.grad(squared)(net, X)
    np.testing.assert_allclose(net.running_mean, 0.5 * X.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(net.running_var, 0.5 + 0.5 * X.var(0, ddof=1), rtol=1e-5)
    assert concrete(net)


def test_the_first_gradient_also_writes_state_once():
    net, ready = nn.BatchNorm(), nn.BatchNorm().initialize(sample=X)
    for block in (net, ready):
        kuai.grad(squared)(block, X)
    np.testing.assert_array_equal(net.running_mean, ready.running_mean)


def test_vjp_writes_state_once_too():
    net, other = nn.BatchNorm(), nn.BatchNorm()
    net.vjp(X)
    kuai.grad(squared)(other, X)
    np.testing.assert_array_equal(net.running_var, other.running_var)
    assert concrete(net)


def test_a_failing_loss_leaves_state():
    net = nn.BatchNorm().initialize(sample=X)

    def loss(net, x):
        net(x)
        raise RuntimeError("late")

    with pytest.raises(RuntimeError, match="late"):
        kuai.grad(loss)(net, X)
    np.testing.assert_array_equal(net.running_mean, np.zeros(3, np.float32))


def test_a_parameter_written_inside_keeps_the_value():
    net = nn.Dense(1, init="ones").initialize(sample=X)

    def loss(net, x):
        y = net(x).sum()
        net.bias = net.bias + 1
        return y

    kuai.grad(loss)(net, X)
    assert net.bias.tolist() == [1.0]


def test_train_mode_is_on_and_an_explicit_mode_wins():
    seen = []

    def loss(net, x):
        seen.append(kuai.is_training())
        return total(net, x)

    net = nn.Dense(1).initialize(sample=X)
    kuai.grad(loss)(net, X)
    with kuai.eval_mode():
        kuai.grad(loss)(net, X)
    assert seen == [True, False]
    assert not kuai.is_training()


def test_dropout_draws_the_next_key_of_the_stream():
    net = nn.Dropout(0.5)
    kuai.seed(3)
    by_input = kuai.grad(total, wrt=1)(net, X)
    kuai.seed(3)
    with kuai.train_mode():
        expected = net(jnp.ones_like(X))
    np.testing.assert_array_equal(by_input, expected)
    assert kuai.random.get_state()["count"] == 1


def test_eager_and_hybridized_gradients_drop_the_same_elements():
    eager = nn.Sequential(nn.Dense(5), nn.Dropout(0.5), nn.Dense(1)).initialize(sample=X)
    hybrid = eager.copy().hybridize()
    for _ in range(2):
        state = kuai.random.get_state()
        expected = kuai.grad(squared)(eager, X)
        kuai.random.set_state(state)
        close(kuai.grad(squared)(hybrid, X), expected)


# ---- transforms of transforms


def test_gradient_of_gradient():
    third = kuai.grad(kuai.grad(kuai.grad(lambda x: x**4, wrt=0), wrt=0), wrt=0)
    assert float(third(2.0)) == 48.0


def test_second_order_in_parameters(net):
    def penalty(net, x):
        return sum((g**2).sum() for g in kuai.grad(squared)(net, x).values())

    found = kuai.grad(penalty)(net, X)
    apply, params, state = kuai.functional(net)

    def loss(params):
        return (apply(params, state, X)[0] ** 2).sum()

    expected = jax.grad(lambda p: sum((g**2).sum() for g in jax.grad(loss)(p).values()))(params)
    close(found, expected)


def test_second_order_through_vjp(net):
    def loss(x):
        y, backward = net.vjp(x)
        return (backward(y)[1] ** 2).sum()

    def expected(x):
        return (jax.grad(lambda x: (net(x) ** 2).sum() / 2)(x) ** 2).sum()

    np.testing.assert_allclose(jax.grad(loss)(X), jax.grad(expected)(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hybridized", [False, True])
def test_raw_transforms_around(net, hybridized):
    net.hybridize(hybridized)
    by_input = oracle(net, X)[2]
    grad = kuai.grad(squared, wrt=1)
    for found in (
        jax.jit(lambda x: grad(net, x))(X),
        jax.vmap(lambda x: grad(net, x[None])[0])(X),
        jax.grad(lambda x: squared(net, x))(X),
        jax.grad(jax.checkpoint(lambda x: squared(net, x)))(X),
        jax.jacfwd(lambda x: squared(net, x))(X),
        jax.lax.scan(lambda carry, x: (carry, grad(net, x[None])[0]), 0, X)[1],
    ):
        np.testing.assert_allclose(found, by_input, rtol=2e-5, atol=1e-5)


def test_hessian_is_symmetric_and_fits_two_gradients(net):
    x = X[0]
    found = jax.hessian(lambda x: squared(net, x[None]))(x)
    expected = jax.jacrev(lambda x: kuai.grad(squared, wrt=1)(net, x[None])[0])(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found, found.T, rtol=1e-4, atol=1e-5)


def test_gradients_for_each_example(net):
    grads = jax.vmap(lambda x: kuai.grad(squared)(net, x[None]))(X)
    close({path: g.sum(0) for path, g in grads.items()}, oracle(net, X)[1])


def test_a_whole_step_compiles(net):
    compiled = kuai.hybrid(kuai.value_and_grad(squared))
    value, grads = compiled(net, X)
    close(grads, oracle(net, X)[1])
    np.testing.assert_allclose(value, oracle(net, X)[0], rtol=1e-5)


def test_gradient_inside_forward():
    class Descent(kuai.Block):
        def __init__(self):
            self.rate = kuai.Parameter(jnp.array(0.1))

        def forward(self, x):
            return x - self.rate * kuai.grad(lambda x: (x**2).sum(), wrt=0)(x)

    np.testing.assert_allclose(Descent()(X), 0.8 * X, rtol=1e-5)
    np.testing.assert_allclose(kuai.grad(total)(Descent(), X)["rate"], -2 * X.sum(), rtol=1e-5)


def test_a_data_dependent_loop_differentiates_eagerly():
    class Halving(kuai.Block):
        def __init__(self):
            self.scale = kuai.Parameter(jnp.array(8.0))

        def forward(self, x):
            y = self.scale * x
            while y.sum() > 1:
                y = y / 2
            return y.sum()

    assert float(kuai.grad(Halving())(jnp.array(1.0))["scale"]) == 1 / 8


def test_state_written_under_raw_jit_is_refused_and_unchanged():
    net = nn.BatchNorm().initialize(sample=X)
    text = (
        "a State of shape (3,) was assigned inside a raw JAX transform, where the value cannot "
        "outlive the trace; use kuai.functional(block), kuai.hybrid, or kuai.eval_mode()"
    )
    with pytest.raises(TransformError, match=re.escape(text)):
        jax.jit(lambda x: kuai.grad(squared)(net, x))(X)
    np.testing.assert_array_equal(net.running_mean, np.zeros(3, np.float32))
    with kuai.train_mode(), pytest.raises(TransformError, match=re.escape(text)):
        jax.jit(net)(X)


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.vmap])
def test_a_block_as_an_argument_of_a_raw_transform(transform):
    text = (
        "a block (Dense) was given to JAX where an array is expected, for example as an "
        "argument of jax.jit; use kuai.hybrid(function) for functions that take blocks, or "
        "kuai.functional(block)"
    )
    with pytest.raises(TransformError, match=re.escape(text)):
        transform(lambda net, x: net(x).sum())(nn.Dense(1), X)


# ---- the backward function of a block


@pytest.mark.parametrize("hybridized", [False, True])
def test_vjp_gives_output_and_gradients(net, hybridized):
    net.hybridize(hybridized)
    y, backward = net.vjp(X)
    np.testing.assert_allclose(y, net(X), rtol=1e-6)
    dparams, dx = backward(2 * y)
    _, expected, by_input = oracle(net, X)
    close(dparams, expected)
    np.testing.assert_allclose(dx, by_input, rtol=2e-5, atol=1e-5)


def test_backward_is_linear_and_may_be_called_again(net):
    y, backward = net.vjp(X)
    one, two = backward(jnp.ones_like(y)), backward(2 * jnp.ones_like(y))
    np.testing.assert_allclose(2 * one[1], two[1], rtol=1e-6)


def test_a_compiled_backward_compiles_once(net):
    net.hybridize()
    net.vjp(X)[1](jnp.ones((4, 2)))
    from kuai.core import pullback

    before = pullback._compiled._cache_size()
    net.vjp(X + 1)[1](jnp.ones((4, 2)))
    assert pullback._compiled._cache_size() == before


class Many(kuai.Block):
    """Takes trees, integers, strings and keywords."""

    def __init__(self):
        self.scale = kuai.Parameter(jnp.array(2.0))

    def forward(self, pair, index, power, *, name="sum", shift=0.0):
        y = (pair["b"] ** power)[index] * self.scale + pair["a"] + shift
        return {"y": y, "index": index} if name == "dict" else y


@pytest.mark.parametrize("hybridized", [False, True])
def test_vjp_of_trees_integers_and_keywords(hybridized):
    net = Many().hybridize(hybridized)
    pair = {"b": jnp.array([1.0, 2.0, 3.0]), "a": jnp.array(1.0)}
    y, backward = net.vjp(pair, jnp.array([2, 0]), 2, shift=jnp.array(1.0))
    assert y.tolist() == [20.0, 4.0]
    dparams, dpair, dindex, dpower = backward(jnp.ones(2))
    assert float(dparams["scale"]) == 10.0
    assert dpair["b"].tolist() == [4.0, 0.0, 12.0]
    assert float(dpair["a"]) == 2.0
    assert (dindex, dpower) == (None, None)


def test_vjp_of_an_output_with_integers_in_it():
    net = Many()
    pair = {"b": jnp.array([1.0, 2.0, 3.0]), "a": jnp.array(1.0)}
    y, backward = net.vjp(pair, jnp.array([2, 0]), 2, name="dict")
    dparams = backward({"y": jnp.ones(2), "index": None})[0]
    assert float(dparams["scale"]) == 10.0
    assert float(backward({"y": None, "index": y["index"]})[0]["scale"]) == 0.0


def test_vjp_leaves_frozen_parameters_out(net):
    y, backward = net.freeze("0.*").vjp(X)
    assert sorted(backward(y)[0]) == ["1.bias", "1.weight"]


def test_a_gradient_that_does_not_fit_the_output(net):
    _, backward = net.vjp(X)
    text = "Sequential: backward expected a gradient of the output's shape (4, 2), got (4, 3)"
    with pytest.raises(ShapeError, match=re.escape(text)):
        backward(X)
    with pytest.raises(
        ArgumentError, match="Sequential: backward expected a gradient of the output's"
    ):
        backward((X, X))


def test_an_output_that_is_no_array():
    with pytest.raises(TransformError, match="vjp: expected an output of arrays, got str"):
        nn.Lambda(lambda x: "text").vjp(X)


def test_low_precision_gradients_keep_their_dtype():
    net = nn.Dense(2, dtype=jnp.bfloat16)
    y, backward = net.vjp(X.astype(jnp.bfloat16))
    dparams, dx = backward(jnp.ones(y.shape))
    assert {dx.dtype, *(g.dtype for g in dparams.values())} == {jnp.dtype(jnp.bfloat16)}
