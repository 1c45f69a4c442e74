"""check_gradient finds wrong gradients and passes right ones."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, DtypeError, GradientError
from kuai.testing import check_gradient

X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)


class Scale(kuai.Block):
    def __init__(self, on_weight=1.0, on_input=1.0):
        self.weight = kuai.Parameter(jnp.array([1.0, 2.0, 3.0]))
        self.on_weight, self.on_input = on_weight, on_input

    def forward(self, x):
        return x * self.weight, x

    def backward(self, x, gradient):
        by_weight = self.on_weight * (gradient * x).sum(0)
        return self.on_input * gradient * self.weight, {"weight": by_weight}


def test_a_right_backward_passes():
    report = check_gradient(Scale(), X)
    assert (report.arrays, report.elements) == (2, 15)
    assert report.largest_error < 1e-8


@pytest.mark.parametrize(
    ("factor", "hint"),
    [
        (-1.0, "the sign is wrong"),
        (2.0, "it lacks a factor of 0.5"),
        (0.25, "it lacks a factor of 4"),
        (0.0, "no gradient arrives there"),
        (float("nan"), "it is not finite"),
        (1.0001, "it lacks a factor of 0.9999"),
    ],
)
def test_a_wrong_backward_fails_and_says_where(factor, hint):
    net = nn.Sequential(nn.Dense(3), Scale(on_weight=factor))
    with pytest.raises(GradientError, match=re.escape(hint)) as caught:
        check_gradient(net, X)
    assert re.match(
        r"Sequential: gradient of 1\.weight\[0\] by value_and_grad: expected \S+ \(finite "
        r"differences\), got \S+; .*; look at the backward of 1 \(Scale\)$",
        str(caught.value),
    )


def test_a_wrong_gradient_of_an_input():
    text = "Scale: gradient of input 0[0, 0] by value_and_grad"
    with pytest.raises(GradientError, match=re.escape(text)):
        check_gradient(Scale(on_input=-1.0), X)
    check_gradient(Scale(on_input=-1.0), X, wrt="weight")


def test_one_wrong_element_among_many_is_found():
    class Leaky(kuai.Block):
        def forward(self, x):
            return x * 2, x

        def backward(self, _, gradient):
            return (2 * gradient).at[17, 3].set(0.0)

    with pytest.raises(GradientError, match="input 0 along a random direction"):
        check_gradient(Leaky(), jnp.ones((20, 20)), elements=2)


def test_what_forward_hides_from_jax_is_found():
    with pytest.raises(GradientError, match="look at stop_gradient, casts and kinks in forward"):
        check_gradient(nn.Lambda(jax.lax.stop_gradient), X)


def test_a_step_at_a_kink_is_told_as_no_derivative():
    with pytest.raises(GradientError, match=re.escape("input 0[0, 0]")):
        check_gradient(nn.Lambda(jnp.abs), jnp.zeros((1, 1)))


def test_layers_with_state_and_randomness_pass():
    net = nn.Sequential(nn.Dense(5), nn.BatchNorm(), nn.Dropout(0.3), nn.LayerNorm(), nn.Dense(2))
    assert check_gradient(net, X).arrays == 9


def test_eval_mode_is_kept():
    with kuai.eval_mode():
        check_gradient(nn.BatchNorm(), X)
    check_gradient(nn.BatchNorm().eval(), X)


def test_trees_integers_floats_and_data_dependent_loops_pass():
    class Net(kuai.Block):
        def __init__(self):
            self.table = kuai.Parameter(jnp.ones((5, 3)))
            self.calls = kuai.State(0.0)

        def forward(self, pair, rate, index, power):
            self.calls += 1.0
            y = self.table[index] * pair["a"][0] ** power * rate * self.calls
            while jnp.abs(y).sum() > 1:
                y = y / 2
            return {"y": y, "index": index}

    report = check_gradient(Net(), {"a": [X]}, 0.5, jnp.array([0, 2, 2, 4]), 2)
    assert report.arrays == 3


def test_an_input_in_a_tree_is_named():
    class Wrong(kuai.Block):
        def forward(self, pair):
            return pair["a"][0] * 2, None

        def backward(self, _, gradient):
            return gradient

    with pytest.raises(GradientError, match=re.escape("gradient of input 0 ['a'][0][0, 0] by")):
        check_gradient(Wrong(), {"a": [X]})


def test_the_block_is_left_as_it_is():
    net = nn.Sequential(nn.Dense(2), nn.BatchNorm()).hybridize()
    check_gradient(net, X)
    assert not net[0].params.weight.ready
    assert kuai.random.get_state() == {"seed": 0, "count": 0}
    net(X)
    before = {path: np.asarray(h.array) for path, h in net.named_holders()}
    check_gradient(net, X)
    for path, holder in net.named_holders():
        assert holder.dtype == jnp.float32
        np.testing.assert_array_equal(holder.array, before[path])
    assert net.hybridized
    assert not jax.config.jax_enable_x64


def test_wrt_selects():
    net = nn.Sequential(nn.Dense(2), nn.Dense(2))
    assert check_gradient(net, X, wrt="*.weight").arrays == 2
    assert check_gradient(net, X, wrt=re.compile("^0")).arrays == 2
    assert check_gradient(net, X, wrt=0).arrays == 1
    assert check_gradient(net, X, wrt=(0, lambda path, _: path == "1.bias")).arrays == 2


def test_wrt_that_selects_nothing_says_what_there_is():
    text = "check_gradient: wrt='weigth' selects nothing of Scale; there are weight, input 0"
    with pytest.raises(ArgumentError, match=re.escape(text)):
        check_gradient(Scale(), X, wrt="weigth")
    with pytest.raises(ArgumentError, match="expected wrt to be a position, a glob, a regular"):
        check_gradient(Scale(), X, wrt=1.5)


def test_what_is_no_block_or_has_no_floating_output():
    with pytest.raises(ArgumentError, match="check_gradient: expected a block, got function"):
        check_gradient(lambda x: x, X)
    with pytest.raises(DtypeError, match="check_gradient: expected Lambda to put out a floating"):
        check_gradient(nn.Lambda(lambda x: x.astype(jnp.int32)), X)
