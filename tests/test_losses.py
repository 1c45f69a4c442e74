"""Losses: against float64 NumPy and torch, in every precision and transform, and their errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuai import losses
from kuai.errors import ArgumentError, DataError, DtypeError, ShapeError


def log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def log_sigmoid(z: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -z)


def oracle_softmax(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return -np.take_along_axis(log_softmax(z), labels[..., None], -1)[..., 0]


def oracle_huber(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    e = np.abs(a - b)
    return np.where(e <= 1, e**2 / 2, e - 0.5)


def oracle_kl(log_q: np.ndarray, p: np.ndarray) -> np.ndarray:
    return (np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0) - p * log_q).sum(-1)


def oracle_cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 1 - (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def oracle_bce(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -y * log_sigmoid(z) - (1 - y) * log_sigmoid(-z)


class Case(NamedTuple):
    loss: Callable[..., jax.Array]
    target: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    oracle: Callable[[np.ndarray, np.ndarray], np.ndarray]
    output: Callable[[np.ndarray], np.ndarray] = lambda x: x


def probabilities(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    return rng.dirichlet(np.full(x.shape[-1], 0.5), x.shape[:-1])


def numbers(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    return rng.normal(size=x.shape) * 2


def classes(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    return rng.integers(0, x.shape[-1], x.shape[:-1])


def yes_or_no(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    return rng.integers(0, 2, x.shape).astype(float)


def signs(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    return rng.choice([-1.0, 1.0], x.shape)


CASES = {
    "softmax": Case(losses.softmax_cross_entropy, classes, oracle_softmax),
    "softmax of probabilities": Case(
        losses.softmax_cross_entropy, probabilities, lambda z, p: -(p * log_softmax(z)).sum(-1)
    ),
    "binary": Case(losses.binary_cross_entropy, yes_or_no, oracle_bce),
    "binary of probabilities": Case(losses.binary_cross_entropy, probabilities, oracle_bce),
    "mse": Case(losses.mse, numbers, lambda a, b: (a - b) ** 2),
    "mae": Case(losses.mae, numbers, lambda a, b: np.abs(a - b)),
    "huber": Case(losses.huber, numbers, oracle_huber),
    "log_cosh": Case(losses.log_cosh, numbers, lambda a, b: np.log(np.cosh(a - b))),
    "hinge": Case(losses.hinge, signs, lambda s, y: np.maximum(0, 1 - s * y)),
    "kl": Case(losses.kl_divergence, probabilities, oracle_kl, log_softmax),
    "cosine": Case(losses.cosine, numbers, oracle_cosine),
}


def sample(name: str, *shape: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An output and a target in float64."""
    rng = np.random.default_rng(seed)
    output = CASES[name].output(rng.normal(size=shape) * 3)
    return output, CASES[name].target(rng, output)


def as_dtype(array: np.ndarray, dtype: Any) -> jax.Array:
    return jnp.asarray(array, jnp.int32 if array.dtype.kind == "i" else dtype)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(5, 4), (3, 2, 6), (1, 1)])
def test_losses_agree_with_float64_numpy(name, shape):
    output, target = sample(name, *shape)
    expected = CASES[name].oracle(output, target)
    reductions = {"none": np.asarray, "mean": np.mean, "sum": np.sum}
    all_found = jax.jit(
        lambda *arrays: [CASES[name].loss(*arrays, reduction=r) for r in reductions]
    )
    for found, reduce in zip(all_found(output, target), reductions.values(), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, reduce(expected), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_in_float64_losses_are_exact_to_float64(name):
    output, target = sample(name, 5, 4)
    with jax.enable_x64(True):
        found = jax.jit(CASES[name].loss)(output, target)
        assert found.dtype == jnp.float64
        np.testing.assert_allclose(found, CASES[name].oracle(output, target).mean(), rtol=1e-13)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_16_bit_outputs_are_computed_in_float32_and_get_16_bit_gradients(name, dtype):
    output, target = sample(name, 5, 4)
    low, target = as_dtype(output, dtype), as_dtype(target, jnp.float32)
    found, gradient = jax.jit(jax.value_and_grad(CASES[name].loss))(low, target)
    assert (found.dtype, gradient.dtype) == (jnp.float32, dtype)
    wide = (
        np.asarray(low, np.float64),
        np.asarray(target, np.float64 if target.dtype != jnp.int32 else int),
    )
    np.testing.assert_allclose(found, CASES[name].oracle(*wide).mean(), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_finite_differences(name):
    output, target = sample(name, 3, 4, seed=1)
    mean = lambda x: CASES[name].oracle(x, target).mean()  # noqa: E731
    found = np.asarray(jax.jit(jax.grad(CASES[name].loss))(output, target))
    step = 1e-6
    for place in np.ndindex(output.shape):
        moved = np.zeros_like(output)
        moved[place] = step
        expected = (mean(output + moved) - mean(output - moved)) / (2 * step)
        np.testing.assert_allclose(found[place], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_jit_and_vmap_change_nothing(name):
    output, target = (as_dtype(array, jnp.float32) for array in sample(name, 6, 4))
    loss = CASES[name].loss
    np.testing.assert_allclose(jax.jit(loss)(output, target), loss(output, target), rtol=1e-6)
    each = jax.jit(jax.vmap(functools.partial(loss, reduction="sum")))(output, target)
    whole = np.asarray(loss(output, target, reduction="none"))
    np.testing.assert_allclose(each, whole.reshape(6, -1).sum(1), rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_numpy_arrays_are_taken(name):
    output, target = sample(name, 5, 4)
    np.testing.assert_allclose(
        CASES[name].loss(output, target), CASES[name].oracle(output, target).mean(), rtol=2e-6
    )


# --- torch ---------------------------------------------------------------------------------------


def torch_losses(F: Any) -> dict[str, Any]:
    return {
        "softmax": F.cross_entropy,
        "softmax of probabilities": F.cross_entropy,
        "binary": F.binary_cross_entropy_with_logits,
        "binary of probabilities": F.binary_cross_entropy_with_logits,
        "mse": F.mse_loss,
        "mae": F.l1_loss,
        "huber": F.huber_loss,
        "kl": functools.partial(F.kl_div, reduction="batchmean"),
        "cosine": lambda a, b: (1 - F.cosine_similarity(a, b)).mean(),
    }


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"log_cosh", "hinge"}))
def test_losses_and_gradients_agree_with_torch(name):
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    output, target = sample(name, 8, 5, seed=2)
    theirs = torch.tensor(output, requires_grad=True)
    expected = torch_losses(torch.nn.functional)[name](theirs, torch.tensor(target))
    expected.backward()
    found, gradient = jax.jit(jax.value_and_grad(CASES[name].loss))(output, target)
    np.testing.assert_allclose(found, expected.item(), rtol=2e-6)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("name", ["softmax", "softmax of probabilities"])
def test_label_smoothing_agrees_with_torch(name):
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    output, target = sample(name, 8, 5)
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(output), torch.tensor(target), label_smoothing=0.1
    )
    found = losses.softmax_cross_entropy(output, target, label_smoothing=0.1)
    np.testing.assert_allclose(found, expected.item(), rtol=1e-6)


# --- numbers at the edge -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e4, -1e4, 1e30])
def test_large_logits_overflow_nowhere(size):
    logits = jnp.array([[size, 0.0], [0.0, size]])
    for loss, labels in [
        (losses.softmax_cross_entropy, jnp.array([0, 1])),
        (losses.binary_cross_entropy, jnp.eye(2)),
        (losses.log_cosh, jnp.zeros((2, 2))),
    ]:
        value, gradient = jax.jit(jax.value_and_grad(loss))(logits, labels)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_vectors_of_length_zero_have_distance_one_and_a_finite_gradient():
    value, gradient = jax.jit(jax.value_and_grad(losses.cosine))(
        jnp.zeros((1, 3)), jnp.ones((1, 3))
    )
    assert value == 1
    assert np.isfinite(gradient).all()


def test_probabilities_of_zero_add_nothing_to_the_divergence():
    log_q = jnp.log(jnp.array([[0.25, 0.75]]))
    value, gradient = jax.value_and_grad(losses.kl_divergence)(log_q, jnp.array([[0.0, 1.0]]))
    np.testing.assert_allclose(value, -np.log(0.75), rtol=1e-6)
    assert gradient.tolist() == [[0.0, -1.0]]


def test_one_hot_labels_may_be_integers_or_booleans():
    logits, hot = jnp.array([[1.0, 2.0, 0.5]]), np.array([[0, 1, 0]])
    expected = losses.softmax_cross_entropy(logits, np.array([1]))
    for labels in [hot, hot.astype(bool), hot.astype(np.float64), jnp.asarray(hot, jnp.bfloat16)]:
        np.testing.assert_allclose(
            losses.softmax_cross_entropy(logits, labels), expected, rtol=1e-6
        )


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int64, np.uint32])
def test_labels_may_be_integers_of_any_size(dtype):
    logits = jnp.zeros((2, 300)).at[0, 100].set(5.0)
    labels = np.array([100, 0], dtype)
    expected = losses.softmax_cross_entropy(logits, np.array([100, 0], np.int32))
    assert losses.softmax_cross_entropy(logits, labels) == expected
    assert losses.softmax_cross_entropy(logits, jnp.asarray(labels)) == expected


# --- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_weights_scale_the_examples(name):
    output, target = sample(name, 4, 3)
    weights = np.array([0.0, 1.0, 2.5, 0.5])
    each = CASES[name].oracle(output, target)
    scale = np.broadcast_to(weights.reshape((4,) + (1,) * (each.ndim - 1)), each.shape)
    for reduction, expected in [
        ("none", scale * each),
        ("sum", (scale * each).sum()),
        ("mean", (scale * each).sum() / scale.sum()),
    ]:
        found = CASES[name].loss(output, target, weights=weights, reduction=reduction)
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


COMPILED = jax.jit(losses.softmax_cross_entropy)


@given(st.lists(st.booleans(), min_size=4, max_size=4).filter(any))
def test_what_is_masked_takes_no_part(mask):
    logits, labels = sample("softmax", 4, 3)
    kept = np.array(mask)
    logits[~kept], labels[~kept] = np.nan, -100
    expected = losses.softmax_cross_entropy(logits[kept], labels[kept])
    for loss in (losses.softmax_cross_entropy, COMPILED):
        found = loss(logits, labels.astype(np.int32), weights=kept)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_mask_may_follow_more_axes_and_be_all_zero():
    output, target = sample("softmax", 2, 3, 4)
    mask = np.array([[1, 1, 0], [0, 0, 0]])
    expected = losses.softmax_cross_entropy(output[0, :2], target[0, :2])
    found = losses.softmax_cross_entropy(output, target, weights=mask)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert losses.softmax_cross_entropy(output, target, weights=0 * mask) == 0


# --- errors --------------------------------------------------------------------------------------

Z, T = jnp.zeros((2, 10)), jnp.zeros((2, 10))

BAD_CALLS = [
    (losses.softmax_cross_entropy, (Z, jnp.zeros(3, int)), {}, ShapeError,
     "softmax_cross_entropy: expected labels of shape (2,) (class numbers) or (2, 10) (probab"),
    (losses.softmax_cross_entropy, (Z, jnp.zeros((2, 1), int)), {}, ShapeError, "got (2, 1)"),
    (losses.softmax_cross_entropy, (jnp.float32(1), jnp.int32(1)), {}, ShapeError, "shape ()"),
    (losses.softmax_cross_entropy, (Z, jnp.zeros(2)), {}, DtypeError,
     "expected class numbers to be integers, got float32"),
    (losses.softmax_cross_entropy, (jnp.zeros((2, 10), int), jnp.zeros(2, int)), {}, DtypeError,
     "expected floats as logits, got int32; cast or scale them"),
    (losses.softmax_cross_entropy, (Z, jnp.array([0, 12])), {}, DataError,
     "expected labels from 0 to 9 (10 logits), got 12 at (1,) (1 such); mend the targets"),
    (losses.softmax_cross_entropy, (Z, jnp.array([-1, 0])), {}, DataError, "got -1 at (0,)"),
    (losses.softmax_cross_entropy, (Z, np.array([2**32, 0])), {}, DataError, "at (0,) (1 such)"),
    (losses.softmax_cross_entropy, (jnp.zeros((2, 300)), jnp.array([0, -1], jnp.int8)), {},
     DataError, "expected labels from 0 to 299 (300 logits), got -1 at (1,)"),
    (losses.softmax_cross_entropy, (Z, [0, 1]), {}, ArgumentError,
     "expected labels to be an array, got list; wrap it in jnp.asarray(...)"),
    (losses.softmax_cross_entropy, (None, jnp.zeros(2, int)), {}, ArgumentError,
     "expected logits to be an array, got NoneType"),
    (losses.softmax_cross_entropy, (Z[:0], jnp.zeros(0, int)), {}, ShapeError,
     "the batch is empty: logits has the shape (0, 10)"),
    (losses.softmax_cross_entropy, (Z, T), {"label_smoothing": 1.5}, ArgumentError,
     "expected label_smoothing from 0 to 1, got 1.5"),
    (losses.binary_cross_entropy, (Z, T[:, 0]), {}, ShapeError,
     "expected logits and labels of equal shape, got (2, 10) and (2,); add or drop an axis"),
    (losses.binary_cross_entropy, (Z, T + 2), {}, DataError,
     "expected labels from 0 to 1, got 2.0 at (0, 0) (20 such)"),
    (losses.mse, (Z[:, :1], T[:, 0]), {}, ShapeError,
     "of equal shape, got (2, 1) and (2,); add or drop an axis, e.g. targets[:, None]"),
    (losses.mae, (Z, T.astype(complex)), {}, DtypeError,
     "expected real targets, got complex64"),
    (losses.mse, (Z, T), {"reduction": "max"}, ArgumentError,
     "mse: expected a reduction of mean, sum, none, got 'max'"),
    (losses.mse, (Z, T), {"weights": jnp.ones(3)}, ShapeError,
     "(2,), one for each example, or of more leading axes of (2, 10), got (3,)"),
    (losses.mse, (Z, T), {"weights": 2.0}, ArgumentError, "expected weights to be an array, got f"),
    (losses.huber, (Z, T), {"delta": 0.0}, ArgumentError, "huber: expected delta above 0, got 0.0"),
    (losses.huber, (Z, T), {"delta": float("nan")}, ArgumentError, "above 0, got nan"),
    (losses.hinge, (Z, T), {}, DataError, "hinge: expected labels of -1 or 1, got 0.0 at (0, 0)"),
    (losses.kl_divergence, (Z, T - 1), {}, DataError, "targets from 0 up, got -1.0 at (0,)"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "arrays", "options", "error", "text"), BAD_CALLS)
def test_bad_arguments_are_refused_in_words(loss, arrays, options, error, text):
    with pytest.raises(error) as caught:
        loss(*arrays, **options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "good", "bad"),
    [
        (losses.softmax_cross_entropy, 1, 3),
        (losses.softmax_cross_entropy, 1, -1),
        (losses.binary_cross_entropy, 1.0, 1.5),
        (losses.hinge, 1.0, 0.0),
    ],
)
def test_in_a_compiled_program_a_wrong_target_makes_the_loss_nan(loss, good, bad):
    shape = (2, 3) if isinstance(good, int) else (2,)
    each = jax.jit(functools.partial(loss, reduction="none"))
    assert jnp.isnan(each(jnp.zeros(shape), jnp.array([good, bad]))).tolist() == [False, True]
    assert jnp.isnan(jax.jit(loss)(jnp.zeros(shape), jnp.array([good, bad])))
    assert jnp.isfinite(jax.jit(loss)(jnp.zeros(shape), jnp.array([good, good])))


def test_labels_known_while_the_logits_are_traced_still_raise():
    with pytest.raises(DataError, match="got 12 at"):
        jax.grad(losses.softmax_cross_entropy)(Z, jnp.array([0, 12]))


def test_shapes_are_checked_while_tracing_too():
    with pytest.raises(ShapeError, match="mse: expected predictions and targets of equal shape"):
        jax.jit(losses.mse)(Z[:, :1], T[:, 0])
