"""What failing to make values leaves, and what is said; blocks that settle their own shapes."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import (
    ArgumentError,
    DeferredInitError,
    DtypeError,
    ShapeError,
)
from tests.initializing import X
from tests.weights import assert_same, weights_of

# ---- failures leave nothing


def test_a_wrong_sample_changes_nothing():
    net = nn.Sequential(nn.Dense(2), nn.Dense(2), nn.LayerNorm(axes=3))
    with pytest.raises(ShapeError):
        net.initialize(sample=X)
    assert [holder.shape for _, holder in net.named_holders()][:4] == [
        (None, 2), (2,), (None, 2), (2,)]  # fmt: skip
    assert not any(holder.ready for _, holder in net.named_holders())
    assert net[0](jnp.ones((1, 9))).shape == (1, 2)


def test_a_sample_that_does_not_fit_made_values_is_refused():
    net = nn.Dense(2).initialize(sample=X)
    before = weights_of(net)
    with pytest.raises(ShapeError, match="expected an input with 3 features on axis -1"):
        net.initialize(sample=jnp.ones((1, 4)), force=True, seed=9)
    assert_same(weights_of(net), before)


def test_a_first_call_that_fails_changes_nothing():
    class Failing(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)

        def forward(self, x):
            x = self.dense(x)
            raise ValueError("no")

    net = Failing()
    with pytest.raises(ValueError, match="no"):
        net(X)
    assert net.dense.params.weight.shape == (None, 2)
    assert not net.dense.params.bias.ready


def test_a_failing_initializer_leaves_the_old_values_and_names_the_parameter():
    net = nn.Sequential(nn.Dense(2)).initialize(seed=1, sample=X)
    before = weights_of(net)

    def wrong(key, shape, dtype):
        return jnp.zeros((1, 1), dtype)

    with pytest.raises(ShapeError) as caught:
        net.initialize(init=wrong, force=True)
    assert_same(weights_of(net), before)
    assert "0.weight: initializer" in str(caught.value)
    assert "expected values of shape (3, 2), got (1, 1)" in str(caught.value)


def test_an_initializer_that_raises_is_named():
    def broken(key, shape, dtype):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        nn.Sequential(nn.Dense(2, init=broken))(X)
    assert "in the initializer of 0.weight" in caught.value.__notes__


def test_a_formula_that_needs_two_axes_names_the_vector():
    class Net(kuai.Block):
        def __init__(self):
            self.scale = kuai.Parameter(shape=(3,), init="he_normal")

    with pytest.raises(ArgumentError, match=r"scale: kuai.init.he_normal: expected a shape of at"):
        Net().initialize()


def test_random_integers_are_no_initial_values():
    class Net(kuai.Block):
        def __init__(self):
            self.table = kuai.Parameter(shape=(3, 2), dtype=jnp.int32)

    with pytest.raises(DtypeError, match=r"table: kuai.init.glorot_uniform: expected a floating"):
        Net().initialize()


def test_another_width_later_says_path_expected_and_got():
    net = nn.Sequential(nn.Dense(4), nn.Dense(2))
    net(X)
    text = "Sequential: 0 (Dense): expected an input with 3 features on axis -1, got shape (2, 5)"
    with pytest.raises(ShapeError, match=re.escape(text)):
        net(jnp.ones((2, 5)))


# ---- asking too early


def test_reading_too_early_says_what_to_call():
    text = (
        "Dense.weight: Parameter of shape (None, 2): its shape is not known yet; call the net "
        "once, or initialize(sample=...)"
    )
    with pytest.raises(DeferredInitError, match=re.escape(text)):
        _ = nn.Dense(2).weight


def test_reading_values_that_are_not_made_says_what_to_call():
    with pytest.raises(DeferredInitError, match="its values are not made yet; call the net once"):
        _ = nn.Dense(2).bias


def test_functional_too_early_names_the_parameter():
    with pytest.raises(DeferredInitError, match=re.escape("Sequential: 0.weight: Parameter")):
        kuai.functional(nn.Sequential(nn.Dense(2)))


# ---- blocks of users


class Scaled(kuai.Block):
    def __init__(self):
        self.scale = kuai.Parameter(shape=(None, 3), init="ones")

    def forward(self, x):
        return x @ self.scale


class ScaledByInput(Scaled):
    def infer_shapes(self, x):
        self.params.scale.settle((x.shape[-1], 3))


def test_unknown_shapes_of_a_users_block_need_infer_shapes():
    text = "Sequential: 0 (Scaled): the shapes of scale are not known; give them whole, or override"
    with pytest.raises(DeferredInitError, match=re.escape(text)):
        nn.Sequential(Scaled())(X)


def test_infer_shapes_settles_a_users_parameter():
    net = ScaledByInput()
    np.testing.assert_array_equal(net(X), np.full((2, 3), 3.0, np.float32))


def test_infer_shapes_that_settles_nothing_is_told_as_such():
    class Idle(Scaled):
        def infer_shapes(self, x):
            pass

    with pytest.raises(DeferredInitError, match=r"Idle.scale: .*its shape is not known yet"):
        Idle()(X)
    net = Idle()
    with pytest.raises(DeferredInitError, match=r"Idle.scale: .*its shape is not known yet"):
        kuai.grad(lambda x: net(x).sum(), wrt=0)(X)


def test_infer_shapes_may_not_contradict_what_is_known():
    class Wrong(Scaled):
        def infer_shapes(self, x):
            self.params.scale.settle((2, 4))

    with pytest.raises(ShapeError, match=re.escape("expected a parameter of shape (None, 3), got")):
        Wrong()(X)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_low_precision(dtype):
    net = nn.Dense(4, dtype=dtype)
    y = net(X.astype(dtype))
    assert (net.weight.dtype, net.bias.dtype, y.dtype) == (dtype, dtype, dtype)
    assert float(jnp.abs(net.weight.astype(jnp.float32)).sum()) > 0


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: nn.Dense(2, dtype="float64"), "Dense"),
        (lambda: nn.LayerNorm(dtype=jnp.float64), "LayerNorm"),
        (lambda: kuai.Parameter(shape=(2,), dtype="float64"), "Parameter"),
        (lambda: kuai.Parameter([1.0], dtype="float64"), "Parameter"),
        (lambda: nn.Dense(2).astype("float64"), "Dense.astype"),
        (lambda: nn.Dense(2).set_policy("float64"), "Policy: param_dtype"),
    ],
)
def test_float64_that_jax_has_switched_off_is_refused(make, where):
    text = (
        f"{where}: expected a dtype that JAX has switched on, got float64; switch it on by "
        'jax.config.update("jax_enable_x64", True) at the start of the program, or write '
        "dtype='float32'"
    )
    with pytest.raises(ArgumentError, match=re.escape(text)):
        make()
    with jax.enable_x64(True):
        make()


def test_integers_of_64_bits_are_refused_likewise():
    with pytest.raises(ArgumentError, match=r"State: .* got int64; .* write dtype='int32'"):
        kuai.State(0, dtype="int64")


def test_no_dtype_at_all_is_told():
    with pytest.raises(ArgumentError, match="Parameter: expected a dtype, got 'flaot32'; write"):
        kuai.Parameter(shape=(2,), dtype="flaot32")


def test_float64():
    with jax.enable_x64(True):
        net = nn.Dense(4, dtype=jnp.float64)
        assert net(jnp.ones((2, 3), jnp.float64)).dtype == jnp.float64
        assert net.weight.dtype == jnp.float64
