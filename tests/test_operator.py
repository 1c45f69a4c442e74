"""Blocks with a backward of their own: used in every transform, and checked."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import BackwardError

X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)


class Scale(kuai.Block):
    """y = x * weight. The gradient of x is seven times too large, to be told from JAX's own."""

    def __init__(self):
        self.weight = kuai.Parameter(jnp.array([1.0, 2.0, 3.0]))

    def forward(self, x):
        return x * self.weight, x

    def backward(self, x, gradient):
        return 7 * gradient * self.weight, {"weight": (gradient * x).reshape(-1, 3).sum(0)}


class Returning(Scale):
    """Gives back whatever it was made with."""

    def __init__(self, returned):
        super().__init__()
        self.returned = returned

    def backward(self, x, gradient):
        return self.returned(gradient)


def total(net, x):
    return net(x).sum()


def squared(net, x):
    return (net(x) ** 2).sum()


SEVEN = np.broadcast_to(7 * np.array([1, 2, 3], np.float32), (4, 3))


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_call_gives_the_output_alone(hybridized):
    net = Scale().hybridize(hybridized)
    np.testing.assert_array_equal(net(X), X * jnp.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("hybridized", [False, True])
def test_its_own_backward_is_used_everywhere(hybridized):
    net = nn.Sequential(Scale()).hybridize(hybridized)
    for found in (
        kuai.grad(total, wrt=1)(net, X),
        net.vjp(X)[1](jnp.ones((4, 3)))[1],
        jax.grad(lambda x: total(net, x))(X),
        jax.jit(jax.grad(lambda x: total(net, x)))(X),
        jax.vmap(jax.grad(lambda x: total(net, x)))(X),
        jax.jacrev(lambda x: total(net, x))(X),
        jax.grad(jax.checkpoint(lambda x: total(net, x)))(X),
        kuai.hybrid(kuai.grad(total, wrt=1))(net, X),
        jax.grad(lambda x: jax.lax.scan(lambda c, row: (c + total(net, row), None), 0.0, x)[0])(X),
    ):
        np.testing.assert_array_equal(found, SEVEN)


def test_gradients_of_its_parameters():
    net = nn.Sequential(Scale())
    np.testing.assert_allclose(kuai.grad(total)(net, X)["0.weight"], X.sum(0), rtol=1e-5)
    np.testing.assert_allclose(net.vjp(X)[1](X)[0]["0.weight"], (X * X).sum(0), rtol=1e-5)


def test_second_order_differentiates_the_backward():
    net = Scale()

    def penalty(net, x):
        return kuai.grad(squared)(net, x)["weight"].sum()

    np.testing.assert_allclose(kuai.grad(penalty)(net, X)["weight"], 2 * (X**2).sum(0), rtol=1e-5)


def test_the_functional_form():
    apply, params, state = kuai.functional(Scale())
    grads = jax.jit(jax.grad(lambda p, x: apply(p, state, x)[0].sum(), argnums=(0, 1)))(params, X)
    np.testing.assert_allclose(grads[0]["weight"], X.sum(0), rtol=1e-5)
    np.testing.assert_array_equal(grads[1], SEVEN)


def test_integers_none_and_several_inputs():
    class Pick(kuai.Block):
        def forward(self, table, index, *, scale):
            return table[index] * scale, (table.shape, index, scale)

        def backward(self, saved, gradient):
            shape, index, scale = saved
            return jnp.zeros(shape).at[index].add(gradient * scale), None, None

    table, index = jnp.arange(3.0), jnp.array([2, 2])

    def loss(table, scale):
        return Pick()(table, index, scale=scale).sum()

    by_table, by_scale = kuai.grad(loss, wrt=(0, 1))(table, jnp.array(2.0))
    assert (by_table.tolist(), float(by_scale)) == ([0.0, 0.0, 4.0], 0.0)


def test_a_list_of_gradients_will_do():
    net = Returning(lambda g: [g, {"weight": None}])
    np.testing.assert_array_equal(kuai.grad(total, wrt=1)(net, X), np.ones((4, 3), np.float32))


def test_none_stands_for_zeros():
    net = Returning(lambda g: (None, {"weight": None}))
    by_param, by_input = kuai.grad(total, wrt=(None, 1))(net, X)
    assert not by_param["weight"].any()
    assert not by_input.any()


def test_frozen_parameters_need_no_gradient():
    net = Returning(lambda g: g).freeze()
    np.testing.assert_array_equal(kuai.grad(total, wrt=1)(net, X), np.ones((4, 3), np.float32))


class Counting(Scale):
    def __init__(self):
        super().__init__()
        self.count = kuai.State(0)
        self.mean = kuai.State(jnp.zeros(3))

    def forward(self, x):
        self.count += 1
        self.mean = x.mean(0)
        return super().forward(x)


@pytest.mark.parametrize("hybridized", [False, True])
def test_state_is_written_once_a_call(hybridized):
    net = Counting().hybridize(hybridized)
    with jax.checking_leaks():
        net(X)
        kuai.grad(total)(net, X)
        net.vjp(X)
    jax.grad(lambda x: total(net, x))(X)
    assert int(net.count) == 4
    np.testing.assert_allclose(net.mean, X.mean(0), rtol=1e-6)


class Noisy(Scale):
    def forward(self, x):
        noise = kuai.random.normal(x.shape)
        return x * self.weight * noise, noise

    def backward(self, noise, gradient):
        return gradient * noise * self.weight, {"weight": jnp.zeros(3)}


def test_randomness_is_the_same_in_every_transform():
    net, hybrid = Noisy(), Noisy().hybridize()
    found = []
    for use in (
        lambda: kuai.grad(total, wrt=1)(net, X),
        lambda: kuai.grad(total, wrt=1)(hybrid, X),
        lambda: kuai.hybrid(kuai.grad(total, wrt=1))(net, X),
        lambda: net.vjp(X)[1](jnp.ones((4, 3)))[1],
        lambda: hybrid.vjp(X)[1](jnp.ones((4, 3)))[1],
        lambda: jnp.where(X == 0, 0, net(X) / X),
    ):
        kuai.seed(5)
        found.append(use())
        assert kuai.random.get_state() == {"seed": 5, "count": 1}
    for each in found[1:]:
        np.testing.assert_allclose(each, found[0], rtol=1e-5, atol=1e-6)


def test_backward_runs_in_the_mode_of_its_forward():
    seen = []

    class Watching(kuai.Block):
        def forward(self, x):
            return x, None

        def backward(self, _, gradient):
            seen.append(kuai.is_training())
            return gradient

    _, backward = Watching().vjp(X)
    backward(X)
    assert seen == [True]


def test_a_child_inside_an_operator_is_initialized():
    class Outer(kuai.Block):
        def __init__(self):
            self.inner = nn.Dense(3, init="ones")

        def forward(self, x):
            return self.inner(x), x

        def backward(self, x, gradient):
            return gradient, {"inner.weight": x.T @ gradient, "inner.bias": gradient.sum(0)}

    grads = kuai.grad(total)(Outer(), X)
    np.testing.assert_array_equal(grads["inner.bias"], np.full(3, 4.0, np.float32))


def test_a_data_dependent_operator_runs_eagerly():
    class Halving(kuai.Block):
        def forward(self, x):
            times = 0
            while jnp.abs(x).sum() > 1:
                x, times = x / 2, times + 1
            return x, times

        def backward(self, times, gradient):
            return gradient / 2**times

    def plain(x):
        while jnp.abs(x).sum() > 1:
            x = x / 2
        return x.sum()

    np.testing.assert_array_equal(kuai.grad(total, wrt=1)(Halving(), X), jax.grad(plain)(X))


# ---- wrong backwards


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (
            lambda g: g,
            (
                "backward must return a dict with the gradient of each of ['weight']; missing "
                "['weight'], unknown []; None stands for zeros"
            ),
        ),
        (
            lambda g: (g, {"weight": g[0], "wieght": g[0]}),
            (
                "backward must return a dict with the gradient of each of ['weight']; missing [], "
                "unknown ['wieght']; None stands for zeros"
            ),
        ),
        (
            lambda g: (g, g, {"weight": g[0]}),
            (
                "backward must return one gradient for each of 1 input arrays (and then a dict "
                "path -> gradient of parameters), got 2 gradients; None stands for zeros"
            ),
        ),
        (
            lambda g: (g[0], {"weight": g[0]}),
            "backward returned a gradient of shape (3,) for input 0, expected (4, 3)",
        ),
        (
            lambda g: (g, {"weight": g}),
            "backward returned a gradient of shape (4, 3) for weight, expected (3,)",
        ),
        (
            lambda g: ("text", {"weight": g[0]}),
            "backward returned a str for input 0, expected an array",
        ),
    ],
)
def test_a_wrong_return_says_what_is_wanted(returned, text):
    net = nn.Sequential(Returning(returned))
    text = f"Sequential: 0 (Returning): {text}"
    with pytest.raises(BackwardError, match=re.escape(text)):
        kuai.grad(total, wrt=(None, 1))(net, X)
    _, backward = net.vjp(X)
    with pytest.raises(BackwardError, match=re.escape(text)):
        backward(jnp.ones((4, 3)))


def test_a_forward_without_residuals_is_told_so():
    class Bare(kuai.Block):
        def forward(self, x):
            return x

        def backward(self, _, gradient):
            return gradient

    text = (
        "Sequential: 0 (Bare): the block defines backward, so forward must return (output, "
        "residuals), got ArrayImpl; return what backward needs as the second value"
    )
    with pytest.raises(BackwardError, match=re.escape(text)):
        nn.Sequential(Bare())(X)
