"""Losses of margins, pairs, distributions, rare classes and sequences; see tests/loss_cases.py."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kuai import losses
from tests.loss_cases import KINDS, log_softmax, picked

every_kind = pytest.mark.parametrize("name", KINDS)


def sample(name: str, seed: int = 0) -> tuple[np.ndarray, ...]:
    return KINDS[name].arrays(np.random.default_rng(seed))


def as_dtype(array: np.ndarray, dtype: Any) -> jax.Array:
    return jnp.asarray(array, jnp.int32 if array.dtype.kind == "i" else dtype)


def differentiable(arrays: tuple[np.ndarray, ...]) -> tuple[int, ...]:
    """The places of floating arrays that are not labels."""
    labels = {-1.0, 0.0, 1.0}
    return tuple(
        place
        for place, array in enumerate(arrays)
        if array.dtype.kind == "f" and not labels.issuperset(array.ravel())
    )


def with_gradient(loss: Any, x: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """The losses, and the gradient of their sum, in one compiled program."""

    @jax.jit
    def run(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, backward = jax.vjp(loss, x)
        return value, backward(jnp.ones_like(value))[0]

    return run(jnp.asarray(x))


@functools.cache
def found(name: str) -> tuple[float, list[np.ndarray]]:
    """The mean and its gradients, computed by one compiled program in float64."""
    arrays = sample(name)
    with jax.enable_x64(True):
        run = jax.jit(jax.value_and_grad(KINDS[name].loss, differentiable(arrays)))
        value, gradients = run(*(as_dtype(array, jnp.float64) for array in arrays))
        assert value.dtype == jnp.float64
        return float(value), [np.asarray(gradient) for gradient in gradients]


@every_kind
def test_float64_agrees_with_numpy(name):
    expected = KINDS[name].oracle(*sample(name)).mean()
    np.testing.assert_allclose(found(name)[0], expected, rtol=1e-11)


@every_kind
def test_gradients_agree_with_finite_differences(name):
    arrays, step = sample(name), 1e-6
    for which, gradient in zip(differentiable(arrays), found(name)[1], strict=True):
        for place in np.ndindex(arrays[which].shape):
            means = []
            for sign in (1, -1):
                moved = [array.copy() for array in arrays]
                moved[which][place] += sign * step
                means.append(KINDS[name].oracle(*moved).mean())
            expected = (means[0] - means[1]) / (2 * step)
            np.testing.assert_allclose(gradient[place], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.torch])
def test_torch_agrees_on_the_mean_and_gradients(name):
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    arrays = sample(name)
    tensors = [torch.from_numpy(array) for array in arrays]
    floating = [tensors[place].requires_grad_() for place in differentiable(arrays)]
    expected = KINDS[name].torch(torch.nn.functional, *tensors)
    expected.backward()
    value, gradients = found(name)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-9)
    for gradient, tensor in zip(gradients, floating, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-9, atol=1e-12)


@functools.cache
def of_16_bits(name: str) -> tuple[tuple[np.ndarray, ...], dict[str, jax.Array]]:
    """Arrays of 16 bits, and their losses by one compiled program: the mean, weighted, each."""
    arrays = [as_dtype(array, jnp.bfloat16) for array in sample(name)]
    wide = tuple(np.asarray(a, np.float64 if a.dtype == jnp.bfloat16 else int) for a in arrays)

    @jax.jit
    def run(weights: jax.Array, *arrays: jax.Array) -> dict[str, jax.Array]:
        loss = functools.partial(KINDS[name].loss, *arrays)
        return {"mean": loss(), "weighted": loss(weights=weights),
                "each": loss(weights=weights, reduction="none")}  # fmt: skip

    return wide, run(jnp.arange(len(wide[0])) / 2, *arrays)


@every_kind
def test_16_bit_arrays_are_computed_in_float32(name):
    arrays, found = of_16_bits(name)
    assert found["mean"].dtype == jnp.float32
    np.testing.assert_allclose(found["mean"], KINDS[name].oracle(*arrays).mean(), rtol=5e-6)


@every_kind
def test_weights_scale_the_examples(name):
    arrays, found = of_16_bits(name)
    each = KINDS[name].oracle(*arrays)
    scale = np.arange(len(each)).reshape(-1, *(1,) * (each.ndim - 1)) / 2.0
    scale = np.broadcast_to(scale, each.shape)
    np.testing.assert_allclose(found["each"], scale * each, rtol=5e-6, atol=2e-6)
    np.testing.assert_allclose(found["weighted"], (scale * each).sum() / scale.sum(), rtol=5e-6)


# --- classes that count more, less, or not at all ------------------------------------------------

FACTORS = np.array([0.5, 1.0, 4.0])
LOGITS = np.random.default_rng(5).normal(size=(6, 3)) * 2
LABELS = np.array([0, 2, 1, -7, 2, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("factors", [None, FACTORS])
def test_torch_agrees_on_class_weights_smoothing_and_a_label_to_ignore(
    smoothing, reduction, factors
):
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    theirs = torch.from_numpy(LOGITS).requires_grad_()
    expected = torch.nn.functional.cross_entropy(
        theirs,
        torch.from_numpy(LABELS),
        weight=None if factors is None else torch.from_numpy(factors),
        ignore_index=-7,
        label_smoothing=smoothing,
        reduction=reduction,
    )
    expected.sum().backward()
    with jax.enable_x64(True):
        loss = functools.partial(
            losses.softmax_cross_entropy,
            labels=LABELS,
            class_weights=factors,
            ignore_index=-7,
            label_smoothing=smoothing,
            reduction=reduction,
        )
        value, gradient = with_gradient(loss, LOGITS)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_torch_agrees_on_class_weights_of_probabilities_nll_and_margins():
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    F = torch.nn.functional
    logits, labels = torch.from_numpy(LOGITS), torch.from_numpy(LABELS)
    factors, known = torch.from_numpy(FACTORS), torch.from_numpy(abs(LABELS) % 3)
    shares = np.random.default_rng(6).dirichlet(np.ones(3), 6)
    log_p = log_softmax(LOGITS)
    expected = [
        F.cross_entropy(logits, torch.from_numpy(shares), weight=factors, label_smoothing=0.1),
        F.nll_loss(torch.from_numpy(log_p), labels, weight=factors, ignore_index=-7),
        F.multi_margin_loss(logits, known, weight=factors),
    ]
    with jax.enable_x64(True):
        found = [
            losses.softmax_cross_entropy(
                LOGITS, shares, class_weights=FACTORS, label_smoothing=0.1
            ),
            losses.nll(log_p, LABELS, class_weights=FACTORS, ignore_index=-7),
            losses.multi_margin(LOGITS, known.numpy(), class_weights=FACTORS),
        ]
    np.testing.assert_allclose(found, [x.item() for x in expected], rtol=1e-12)


@pytest.mark.parametrize("loss", [losses.softmax_cross_entropy, losses.nll, losses.softmax_focal])
def test_what_is_ignored_takes_no_part_even_if_it_is_nan(loss):
    logits = jnp.asarray(np.where(LABELS[:, None] == -7, np.nan, log_softmax(LOGITS)))
    kept = LABELS != -7
    run = jax.jit(jax.value_and_grad(functools.partial(loss, ignore_index=-7)))
    value, gradient = run(logits, LABELS)
    np.testing.assert_allclose(value, loss(logits[kept], LABELS[kept]), rtol=1e-6)
    assert jnp.isfinite(gradient[kept]).all()
    assert loss(logits, np.full(6, -7), ignore_index=-7) == 0
    weights = np.arange(6.0)
    np.testing.assert_allclose(
        loss(logits, LABELS, ignore_index=-7, weights=weights),
        loss(logits[kept], LABELS[kept], weights=weights[kept]),
        rtol=1e-6,
    )


def test_class_weights_of_the_focal_loss_leave_the_mean_to_the_examples():
    labels = np.array([0, 2, 1, 0, 2, 1])
    plain = np.asarray(losses.softmax_focal(LOGITS, labels, reduction="none"))
    found = losses.softmax_focal(LOGITS, labels, class_weights=FACTORS)
    np.testing.assert_allclose(found, (FACTORS[labels] * plain).mean(), rtol=1e-6)


@pytest.mark.parametrize("weight", [np.array(3.0), FACTORS])
def test_torch_agrees_on_the_weight_of_a_yes(weight):
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    labels = np.random.default_rng(7).uniform(size=(6, 3))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(LOGITS), torch.from_numpy(labels), pos_weight=torch.from_numpy(weight)
    )
    found = losses.binary_cross_entropy(LOGITS, labels, positive_weight=weight)
    np.testing.assert_allclose(found, expected.item(), rtol=1e-6)


def test_smoothed_answers_move_towards_one_half():
    found = losses.binary_cross_entropy(LOGITS, LOGITS > 0, label_smoothing=0.2)
    expected = losses.binary_cross_entropy(LOGITS, np.where(LOGITS > 0, 0.9, 0.1))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# --- numbers at the edge -------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_losses_of_large_logits_have_finite_gradients(gamma):
    logits = jnp.array([[200.0, 0.0], [-200.0, 0.0]])
    for loss, labels in [
        (losses.softmax_focal, np.array([0, 0])),
        (losses.binary_focal, np.array([[1, 0], [1, 0]])),
    ]:
        run = jax.jit(jax.value_and_grad(functools.partial(loss, gamma=gamma)))
        value, gradient = run(logits, labels)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_a_focal_loss_without_focus_is_the_cross_entropy():
    labels = np.array([0, 2, 1, 0, 2, 1])
    np.testing.assert_allclose(
        losses.softmax_focal(LOGITS, labels, gamma=0.0),
        losses.softmax_cross_entropy(LOGITS, labels),
        rtol=1e-6,
    )


def test_equal_vectors_of_a_triplet_have_a_finite_gradient():
    x = jnp.ones((1, 3))
    value, gradient = jax.value_and_grad(losses.triplet_margin)(x, x, x)
    assert value == 1
    assert np.isfinite(gradient).all()


def test_a_variance_of_zero_still_has_a_gradient_as_torchs():
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    arrays = [np.array([1.0]), np.array([1.5]), np.array([0.0])]
    tensors = [torch.from_numpy(array).requires_grad_() for array in arrays]
    expected = torch.nn.functional.gaussian_nll_loss(*tensors)
    expected.backward()
    value, gradient = jax.value_and_grad(losses.gaussian_nll, 2)(*map(jnp.asarray, arrays))
    np.testing.assert_allclose(value, expected.item(), rtol=1e-6)
    np.testing.assert_allclose(gradient, tensors[2].grad.numpy(), rtol=1e-5)


def test_one_class_alone_overlaps_by_its_sigmoid():
    logits = np.random.default_rng(8).normal(size=(2, 4, 1))
    labels = np.array([[[1], [0], [1], [1]], [[0], [0], [0], [0]]])
    p = 1 / (1 + np.exp(-logits))
    expected = 1 - (2 * (p * labels).sum(1) + 2) / (p.sum(1) + labels.sum(1) + 2)
    found = losses.dice(logits, labels, reduction="none")
    np.testing.assert_allclose(found, expected[:, 0], rtol=1e-6)


def test_one_hot_labels_overlap_as_their_classes_do():
    labels = np.random.default_rng(9).integers(0, 3, (2, 3))
    logits = LOGITS.reshape(2, 3, 3)
    expected = losses.dice(logits, labels)
    np.testing.assert_allclose(losses.dice(logits, np.eye(3)[labels]), expected, rtol=1e-6)


def test_torch_agrees_on_ctc():
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    logits = np.random.default_rng(10).normal(size=(3, 12, 6))
    labels = np.random.default_rng(11).integers(0, 5, (3, 4))
    frames, lengths = np.array([12, 9, 10]), np.array([4, 3, 1])
    theirs = torch.from_numpy(logits).requires_grad_()
    expected = torch.nn.functional.ctc_loss(
        theirs.log_softmax(-1).transpose(0, 1),
        *map(torch.from_numpy, (labels, frames, lengths)),
        blank=5,
        reduction="none",
    )
    expected.sum().backward()
    with jax.enable_x64(True):
        loss = functools.partial(
            losses.ctc,
            labels=labels,
            logit_lengths=frames,
            label_lengths=lengths,
            blank=5,
            reduction="none",
        )
        value, gradient = with_gradient(loss, logits)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-8, atol=1e-12)


def test_nll_of_log_softmax_is_the_cross_entropy():
    labels = np.array([0, 2, 1, 0, 2, 1])
    expected = losses.softmax_cross_entropy(LOGITS, labels)
    np.testing.assert_allclose(losses.nll(log_softmax(LOGITS), labels), expected, rtol=1e-6)
    assert picked(log_softmax(LOGITS), labels).mean() < 0
