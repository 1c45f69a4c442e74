"""The pure array functions of kuai.nn.ops: laws, edges, and that their annotations are enforced."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from kuai.nn import ops
from kuai.nn._dtypes import promoted

sizes = st.integers(0, 4)
EPSILON = float(jnp.finfo(jnp.float32).eps)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def single(x: np.ndarray) -> jax.Array:
    return jnp.asarray(x, jnp.float32)


@settings(max_examples=25)
@given(st.lists(sizes, max_size=4), sizes, sizes, st.booleans())
def test_dense_is_numpys_product_on_any_batch(batch, inputs, units, with_bias):
    x, weight, bias = normal(*batch, inputs), normal(inputs, units, seed=1), normal(units, seed=2)
    found = ops.dense(single(x), single(weight), single(bias) if with_bias else None)
    expected = x @ weight + (bias if with_bias else 0)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=64 * EPSILON)


def test_dense_gradient_over_several_batch_axes():
    x, weight = normal(2, 3, 4), normal(4, 5, seed=1)
    found = jax.grad(lambda w: (ops.dense(single(x), w) ** 2).sum())(single(weight))
    expected = 2 * np.einsum("abi,abo->io", x, x @ weight)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@settings(max_examples=20)
@given(st.floats(-100, 100), st.floats(0.1, 100))
def test_layer_norm_does_not_see_shift_and_scale(shift, scale):
    x = normal(3, 8)
    with jax.enable_x64(True):
        plain = ops.layer_norm(jnp.asarray(x), (-1,), 0.0)
        moved = ops.layer_norm(jnp.asarray(x * scale + shift), (-1,), 0.0)
        np.testing.assert_allclose(moved, plain, rtol=0, atol=1e-11 * (1 + abs(shift) / scale))


def test_moments_of_half_precision_are_taken_wide():
    x = jnp.full((4096,), 300.0, jnp.float16)  # their sum, 1.2 million, is beyond float16
    mean, variance = ops.moments(x, (0,))
    assert (mean.dtype, variance.dtype) == (jnp.float32, jnp.float32)
    assert (mean.item(), variance.item()) == (300.0, 0.0)


def test_variance_survives_a_large_mean():
    x = single(np.array([4096.0, 4097.0, 4098.0, 4099.0]))  # E[x²] - E[x]² would give 0 or 2
    assert ops.moments(x, (0,))[1].item() == 1.25


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_batch_norm_along_any_axis(axis):
    x = normal(3, 3, 3)
    mean, variance = normal(3, seed=1), np.exp(normal(3, seed=2))
    found = ops.batch_norm(single(x), single(mean), single(variance), 0.0, axis=axis)
    moved = np.moveaxis(x, axis, -1)
    expected = np.moveaxis((moved - mean) / np.sqrt(variance), -1, axis)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_dropout_scales_what_it_keeps():
    keep = jnp.array([[True, False, True]])
    found = ops.dropout(jnp.ones((2, 3)), keep, 0.75)
    np.testing.assert_array_equal(found, [[4.0, 0.0, 4.0]] * 2)


def test_dropout_drops_what_is_not_finite():
    x = jnp.array([jnp.nan, jnp.inf, 1.0])
    keep = jnp.array([False, False, True])
    assert ops.dropout(x, keep, 0.5).tolist() == [0.0, 0.0, 2.0]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "uint32"])
def test_embedding_outside_the_table_is_nan(dtype):
    table = jnp.arange(100.0).reshape(100, 1)
    indices = jnp.array([0, 99, 100, 127], dtype)
    assert str(ops.embedding(indices, table).ravel().tolist()) == "[0.0, 99.0, nan, nan]"


def test_embedding_does_not_count_from_the_end():
    assert jnp.isnan(ops.embedding(jnp.array([-1, -3]), jnp.ones((3, 2)))).all()


def test_embedding_of_a_table_longer_than_its_indices_reach():
    table = jnp.arange(300.0).reshape(300, 1)
    assert ops.embedding(jnp.array([127], jnp.int8), table).item() == 127.0


def test_embedding_gradient_adds_up_repeated_rows():
    indices = jnp.array([1, 1, 2, 7])
    gradient = jax.grad(lambda table: ops.embedding(indices, table).sum())(jnp.ones((4, 2)))
    np.testing.assert_array_equal(gradient, [[0, 0], [2, 2], [1, 1], [0, 0]])


@pytest.mark.parametrize(
    ("first", "second", "wide"),
    [
        ("float32", "float32", "float32"),
        ("bfloat16", "float16", "float32"),
        ("bfloat16", "float32", "float32"),
        ("float64", "bfloat16", "float64"),
    ],
)
def test_promoted_works_under_strict_promotion(first, second, wide):
    assert promoted(jnp.dtype(first), jnp.dtype(second)) == jnp.dtype(wide)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.dense(jnp.ones((2, 3)), jnp.ones((4, 5))),
        lambda: ops.dense(jnp.ones((2, 3)), jnp.ones((3, 5)), jnp.ones(4)),
        lambda: ops.dense(jnp.ones((2, 3), int), jnp.ones((3, 5))),
        lambda: ops.embedding(jnp.ones(2), jnp.ones((4, 2))),
        lambda: ops.dropout(jnp.ones((2, 3)), jnp.ones((2, 2), bool), 0.5),
        lambda: ops.batch_norm(jnp.ones((2, 3)), jnp.ones(3), jnp.ones(2), 0.0),
        lambda: ops.layer_norm(jnp.ones((2, 3)), (-1,), 0.0, jnp.ones(3), jnp.ones(2)),
    ],
)
def test_annotated_shapes_and_dtypes_are_enforced_in_tests(call):
    with pytest.raises(TypeCheckError):
        call()
