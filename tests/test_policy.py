"""`kuai.Policy`: which dtypes are kept, computed in and given."""

from __future__ import annotations

import pickle
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError

X = jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)
modes = pytest.mark.parametrize("hybridized", [False, True], ids=["plain", "hybridized"])
BF16 = "bfloat16"


class Probe(kuai.Block):
    """Notes the dtypes that it sees, in a form that a compiled call gives back."""

    def __init__(self):
        self.weight = kuai.Parameter(jnp.ones(3))
        self.pair = (kuai.Parameter(jnp.ones(3)), 1)
        self.table = {"a": [jnp.ones(3)]}
        self.running = kuai.State(jnp.zeros(3))
        self.indices = kuai.Constant(jnp.arange(3))

    def forward(self, x, extra):
        self.running = self.running + 1
        arrays = {
            "x": x,
            "extra": extra["y"],
            "integers": extra["i"],
            "weight": self.weight,
            "pair": self.pair[0],
            "table": self.table["a"][0],
            "running": self.running,
            "indices": self.indices,
        }
        return {name: str(array.dtype) for name, array in arrays.items()}


def small():
    return nn.Sequential(nn.Dense(4), nn.LayerNorm(), nn.BatchNorm(), nn.Dense(2)).initialize(
        seed=0, sample=X
    )


@modes
def test_what_a_block_sees(hybridized):
    net = Probe().set_policy("mixed_bfloat16").hybridize(hybridized)
    extra = {"y": np.ones(3, np.float32), "i": np.arange(3)}
    for _ in range(2):
        seen = net(X, extra)
        assert seen == {
            "x": BF16,
            "extra": BF16,
            "integers": "int32",
            "weight": BF16,
            "pair": BF16,
            "table": BF16,
            "running": "float32",
            "indices": "int32",
        }
    assert net.weight.dtype == net.table["a"][0].dtype == "float32"


@modes
def test_norms_keep_float32_inside_and_the_result_is_cast(hybridized):
    net = small().set_policy("mixed_bfloat16").hybridize(hybridized)
    y, outputs = kuai.capture(net, re.compile("."))(X)
    assert y.dtype == "float32"
    assert {str(output.dtype) for output in outputs.values()} == {BF16}
    with kuai.train_mode():
        net(X)
    assert {str(h.dtype) for _, h in net.named_holders()} == {"float32"}
    expected = small()
    hidden = expected[0](X.astype(BF16))
    assert hidden.dtype == "float32"  # without a policy the two are promoted
    near = net[0].copy().set_policy(kuai.Policy(compute_dtype=BF16))(X)
    np.testing.assert_allclose(near.astype("float32"), hidden, rtol=0.02, atol=0.02)


def matrix_products(function, *arrays):
    return re.findall(r":(\w+)\[\S+ = dot_general", str(jax.make_jaxpr(function)(*arrays)))


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_every_product_of_a_training_step_is_narrow(name):
    net = nn.Sequential(nn.Dense(4), nn.LayerNorm(), nn.Dense(2)).initialize(sample=X)
    apply, params, state = kuai.functional(net.set_policy(name))
    gradient = jax.grad(lambda params: apply(params, state, X)[0].sum())
    found = matrix_products(gradient, params)
    assert set(found) == {{"mixed_bfloat16": "bf16", "mixed_float16": "f16"}[name]}
    assert len(found) == 5
    assert {str(g.dtype) for g in gradient(params).values()} == {"float32"}


@modes
def test_training_keeps_parameters_in_float32(hybridized):
    net = small().set_policy("mixed_bfloat16").hybridize(hybridized)
    trainer = kuai.Trainer(net, optax.adam(0.05), kuai.losses.mse)
    losses = [trainer.step((X, jnp.full((4, 2), 0.5))).loss for _ in range(12)]
    assert losses[0].dtype == "float32"
    assert losses[-1] < losses[0] / 2
    assert {str(p.dtype) for p in net.parameters()} == {"float32"}


@modes
def test_one_set_inside_holds_there(hybridized):
    net = nn.Sequential(nn.Dense(3), ("head", nn.Sequential(nn.Dense(2))))
    net.set_policy("mixed_bfloat16").head.set_policy(kuai.Policy(compute_dtype="float32"))
    net.hybridize(hybridized)
    _, outputs = kuai.capture(net, "*")(X)
    dtypes = {path: str(output.dtype) for path, output in outputs.items()}
    assert dtypes == {"": "float32", "0": BF16, "head": "float32", "head.0": "float32"}
    net.set_policy(BF16)  # all below follow it again
    assert net.head.get_policy() is None
    assert net(X).dtype == net.head[0].weight.dtype == BF16


def test_a_compiled_block_inside_plain_python_follows_its_surroundings():
    inner = nn.Dense(2).hybridize()
    outer = nn.Sequential(inner).hybridize(False).initialize(sample=X)
    assert inner(X).dtype == "float32"
    outer.set_policy(kuai.Policy(compute_dtype=BF16))
    for _ in range(3):
        assert (outer(X).dtype, inner(X).dtype) == (BF16, "float32")
    outer.set_policy(kuai.Policy(compute_dtype="float16"))
    for _ in range(3):
        assert (outer(X).dtype, inner(X).dtype) == ("float16", "float32")


def test_a_change_compiles_anew_and_none_takes_it_off():
    net = nn.Dense(2).initialize(sample=X).hybridize()
    first = net(X)
    for policy, dtype in (("mixed_float16", "float32"), (kuai.Policy(None, BF16), BF16)):
        assert net.set_policy(policy)(X).dtype == dtype
    np.testing.assert_array_equal(net.set_policy(None)(X), first)
    assert len(net.explain().compilations) == 3


def test_an_operator_and_random_numbers():
    class Noisy(kuai.Block):
        def __init__(self):
            self.drop = nn.Dropout(0.5)
            self.scale = kuai.Parameter(jnp.array(3.0))

        def forward(self, x):
            y = self.drop(x)
            return y * self.scale, (y, self.scale)

        def backward(self, residuals, gradient):
            y, scale = residuals
            assert y.dtype == scale.dtype == self.scale.dtype == gradient.dtype == BF16
            return gradient * scale, {"scale": (gradient * y).sum()}

    net = nn.Sequential(Noisy()).set_policy("mixed_bfloat16")
    for _ in range(2):
        gradients, over_x = kuai.grad(lambda net, x: net(x).sum(), wrt=("*", 1))(net, X)
        assert gradients["0.scale"].dtype == over_x.dtype == "float32"
        assert set(np.unique(over_x)) <= {0.0, 3.0}


def test_parametrized_weights_are_computed_wide_and_read_narrow():
    net = nn.weight_norm(nn.Dense(2)).initialize(sample=X)
    net.params.weight.array = net.params.weight.array * 1e-3
    plain = net.weight
    net.set_policy("mixed_bfloat16").hybridize()
    _, outputs = kuai.capture(net, "weight_norm")(X)
    np.testing.assert_array_equal(outputs["weight_norm"], plain)
    nn.lora(nn.remove_parametrization(net))
    assert kuai.capture(net, "")(X)[1][""].dtype == "float32"
    apply, params, state = kuai.functional(net)
    assert set(matrix_products(lambda p: apply(p, state, X)[0], params)) == {"bf16"}


def test_parameters_are_kept_in_their_dtype_even_before_their_shape_is_known():
    net = nn.Sequential(nn.Dense(3), nn.BatchNorm()).set_policy(BF16)
    net(X)
    dtypes = {path: str(holder.dtype) for path, holder in net.named_holders()}
    assert dtypes == {
        "0.weight": BF16,
        "0.bias": BF16,
        "1.weight": BF16,
        "1.bias": BF16,
        "1.running_mean": "float32",
        "1.running_var": "float32",
    }


def test_copies_pickles_and_summaries_keep_it():
    net = small().set_policy("mixed_bfloat16")
    for twin in (net.copy(), pickle.loads(pickle.dumps(net))):
        assert twin.get_policy() == net.get_policy()
        assert kuai.capture(twin, "0")(X)[1]["0"].dtype == BF16
    assert net.summary(X).parameters == small().summary(X).parameters


def test_a_list_that_forward_changes_is_the_callers():
    class Collecting(kuai.Block):
        def forward(self, x, seen):
            seen.append(x.sum())
            return x

    class Outer(kuai.Block):
        def __init__(self):
            self.inner = Collecting()

        def forward(self, x):
            seen: list[Any] = []
            self.inner(x, seen)
            return seen[0]

    for hybridized in (False, True):
        assert Outer().set_policy("mixed_bfloat16").hybridize(hybridized)(X).shape == ()


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (
            lambda: kuai.Policy("float32", "bf16"),
            "Policy: expected compute_dtype to be a floating dtype or None, got 'bf16'; write for",
        ),
        (lambda: kuai.Policy(int), "Policy: expected param_dtype to be a floating dtype or None"),
        (
            lambda: nn.Dense(1).set_policy("mixed"),
            (
                "Dense.set_policy: expected a kuai.Policy, a floating dtype, 'mixed_bfloat16', "
                "'mixed_float16' or None, got 'mixed'"
            ),
        ),
        (lambda: nn.Dense(1).set_policy(int), "'mixed_float16' or None, got <class 'int'>"),
    ],
)
def test_errors(run, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        run()
