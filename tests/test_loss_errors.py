"""Bad arguments of the losses in tests/test_losses_kinds.py: refused in words, or NaN compiled."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kuai import losses
from kuai.errors import ArgumentError, DataError, DtypeError, ShapeError

Z, Y, V = jnp.zeros((2, 3)), jnp.array([0, 2]), jnp.ones((2, 3))
FRAMES, SAID = jnp.zeros((2, 4, 3)), jnp.array([[1, 2], [1, 1]])
LENGTHS = np.array([4, 4])

BAD_CALLS = [
    (losses.softmax_cross_entropy, (Z, Y), {"class_weights": jnp.ones(2)}, ShapeError,
     "expected class_weights of shape (3,), one for each class, got (2,)"),
    (losses.softmax_cross_entropy, (Z, Y), {"class_weights": [1.0, 1.0, 1.0]}, ArgumentError,
     "expected class_weights to be an array, got list; wrap it in jnp.asarray(...)"),
    (losses.softmax_cross_entropy, (Z, V[:, 0]), {"label_smoothing": 0.1}, DtypeError,
     "softmax_cross_entropy: expected class numbers to be integers, got float32"),
    (losses.softmax_cross_entropy, (Z, V / 3), {"ignore_index": -1}, ArgumentError,
     "expected no ignore_index with probabilities as labels, got -1; give what is to be ignored"),
    (losses.softmax_cross_entropy, (Z, jnp.array([-7, 3])), {"ignore_index": -7}, DataError,
     "expected labels from 0 to 2 (3 logits), got 3 at (1,) (1 such)"),
    (losses.binary_cross_entropy, (Z, Z), {"label_smoothing": -0.1}, ArgumentError,
     "binary_cross_entropy: expected label_smoothing from 0 to 1, got -0.1"),
    (losses.binary_cross_entropy, (Z, Z), {"positive_weight": jnp.ones(2)}, ShapeError,
     "expected positive_weight of shape () or (3,), one for each question, got (2,)"),
    (losses.binary_cross_entropy, (Z, Z), {"positive_weight": 2.0}, ArgumentError,
     "expected positive_weight to be an array, got float"),
    (losses.nll, (Z, V), {}, ShapeError,
     "nll: expected labels of shape (2,), one for each example, for scores of shape (2, 3), got"),
    (losses.nll, (Z, Y + 1), {}, DataError, "nll: expected labels from 0 to 2 (3 logits), got 3"),
    (losses.smooth_l1, (Z, Z), {"beta": 0.0}, ArgumentError, "expected beta above 0, got 0.0"),
    (losses.quantile, (Z, Z), {"level": 1.5}, ArgumentError,
     "quantile: expected level from 0 to 1, got 1.5"),
    (losses.mape, (Z, Z[:, 0]), {}, ShapeError, "mape: expected predictions and targets of equal"),
    (losses.mape, (Z, Z), {"epsilon": -1.0}, ArgumentError, "mape: expected epsilon from 0 up"),
    (losses.msle, (Z, V - 2), {}, DataError, "msle: expected targets from 0 up, got -1.0 at"),
    (losses.poisson, (Z, V - 2), {}, DataError, "poisson: expected targets from 0 up, got -1.0"),
    (losses.gaussian_nll, (Z, Z, -V), {}, DataError, "expected variances from 0 up, got -1.0 at"),
    (losses.gaussian_nll, (Z, Z, V), {"epsilon": -1.0}, ArgumentError,
     "gaussian_nll: expected epsilon from 0 up, got -1.0"),
    (losses.gaussian_nll, (Z, Z, V[:, 0]), {}, ShapeError, "expected means and variances of equal"),
    (losses.squared_hinge, (Z, Z), {}, DataError, "squared_hinge: expected labels of -1 or 1, got"),
    (losses.soft_margin, (Z, Z), {}, DataError, "soft_margin: expected labels of -1 or 1, got 0.0"),
    (losses.multiclass_hinge, (Z, Y - 1), {}, DataError, "expected labels from 0 to 2 (3 logits)"),
    (losses.multiclass_hinge, (Z, Y), {"margin": -1.0}, ArgumentError,
     "multiclass_hinge: expected margin from 0 up, got -1.0"),
    (losses.multi_margin, (Z, Y), {"power": 3}, ArgumentError,
     "multi_margin: expected a power of 1 or 2, got 3"),
    (losses.multi_margin, (Z, V[:, 0]), {}, DtypeError, "expected class numbers to be integers"),
    (losses.cosine_embedding, (Z, V, Y), {}, DataError, "expected labels of -1 or 1, got 0.0 at"),
    (losses.cosine_embedding, (Z, V, V), {}, ShapeError,
     "cosine_embedding: expected labels of shape (2,), one for each pair, got (2, 3)"),
    (losses.cosine_embedding, (Z, V, Y), {"margin": 2.0}, ArgumentError,
     "cosine_embedding: expected margin from -1 to 1, got 2.0"),
    (losses.hinge_embedding, (Z, Z), {}, DataError, "hinge_embedding: expected labels of -1 or 1"),
    (losses.margin_ranking, (Z, Z, Y), {}, ShapeError, "expected labels of shape (2, 3), one for"),
    (losses.triplet_margin, (Z, Z, V[:1]), {}, ShapeError,
     "triplet_margin: expected anchors and negatives of equal shape, got (2, 3) and (1, 3)"),
    (losses.triplet_margin, (Z, Z, V), {"power": 0.5}, ArgumentError,
     "triplet_margin: expected power from 1 up, got 0.5"),
    (losses.binary_focal, (Z, Z), {"gamma": -1.0}, ArgumentError,
     "binary_focal: expected gamma from 0 up, got -1.0"),
    (losses.binary_focal, (Z, Z), {"alpha": 2.0}, ArgumentError, "expected alpha from 0 to 1, got"),
    (losses.binary_focal, (Z, Z - 1), {}, DataError, "expected labels from 0 to 1, got -1.0 at"),
    (losses.softmax_focal, (Z, Y + 1), {}, DataError, "expected labels from 0 to 2 (3 logits)"),
    (losses.dice, (Z, Y + 1), {}, DataError, "dice: expected labels from 0 to 2 (3 logits), got 3"),
    (losses.dice, (Z, V + 1), {}, DataError, "dice: expected probabilities from 0 to 1, got 2.0"),
    (losses.dice, (Z[..., :1], Y), {}, ShapeError,
     "and labels of the same shape where there is one class, got (2, 1) and (2,)"),
    (losses.dice, (Z[0], Y[0]), {}, ShapeError,
     "dice: expected logits (batch, places..., classes), and labels of the same shape where"),
    (losses.dice, (Z, Y), {"smooth": -1.0}, ArgumentError, "dice: expected smooth from 0 up, got"),
    (losses.ctc, (Z, SAID), {}, ShapeError,
     "ctc: expected logits (batch, frames, classes) and labels (batch, longest), got (2, 3) and"),
    (losses.ctc, (FRAMES, V[:, :2]), {}, DtypeError, "ctc: expected labels to be integers"),
    (losses.ctc, (FRAMES, SAID), {"blank": 3}, ArgumentError, "expected blank from 0 to 2, got 3"),
    (losses.ctc, (FRAMES, SAID - 1), {}, DataError,
     "ctc: expected labels from 0 to 2 and not the blank, 0, got 0 at (0,) (2 such)"),
    (losses.ctc, (FRAMES, SAID), {"label_lengths": np.array([2])}, ShapeError,
     "ctc: expected label_lengths of shape (2,), one for each sequence, got (1,)"),
    (losses.ctc, (FRAMES, SAID), {"logit_lengths": np.array([4, 5])}, DataError,
     "ctc: expected lengths within their arrays, got 5 at (1,)"),
    (losses.ctc, (FRAMES, SAID), {"logit_lengths": np.array([2, 2])}, DataError,
     "expected as many frames as labels, and one more between equal neighbours, got 2 at (1,)"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "arrays", "options", "error", "text"), BAD_CALLS)
def test_bad_arguments_are_refused_in_words(loss, arrays, options, error, text):
    with pytest.raises(error) as caught:
        loss(*arrays, **options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "arrays"),
    [
        (losses.nll, (Z, jnp.array([0, 3]))),
        (losses.poisson, (Z[:, 0], jnp.array([1.0, -1.0]))),
        (losses.gaussian_nll, (Z[:, 0], Z[:, 0], jnp.array([1.0, -1.0]))),
        (losses.soft_margin, (Z[:, 0], jnp.array([1, 0]))),
        (losses.multiclass_hinge, (Z, jnp.array([0, -1]))),
        (losses.cosine_embedding, (V, V, jnp.array([1, 0]))),
        (losses.softmax_focal, (Z, jnp.array([0, 3]))),
        (losses.dice, (FRAMES, jnp.array([[0, 1, 2, 0], [0, 1, 2, 3]]))),
        (losses.ctc, (FRAMES, jnp.array([[1, 2, 1], [1, 1, 1]]))),
        (losses.ctc, (FRAMES, jnp.array([[1, 2], [1, 3]]))),
    ],
)
def test_in_a_compiled_program_a_wrong_target_makes_its_loss_nan(loss, arrays):
    each = jax.jit(functools.partial(loss, reduction="none"))(*arrays)
    assert jnp.isnan(each).tolist() == [False, True]


def test_what_cannot_be_said_in_time_takes_no_part_with_weight_zero():
    labels = jnp.array([[1, 2, 1], [1, 1, 1]])
    run = jax.jit(jax.value_and_grad(functools.partial(losses.ctc, weights=jnp.array([1.0, 0.0]))))
    value, gradient = run(FRAMES, labels)
    np.testing.assert_allclose(value, losses.ctc(FRAMES[:1], labels[:1]), rtol=1e-6)
    assert np.isfinite(gradient).all()
