"""Losses beyond output and target of one shape: arrays, a float64 NumPy oracle, and torch's name.

tests/test_losses_kinds.py runs them all through values, gradients, precisions and weights.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kuai import losses

Source = np.random.Generator


class Kind(NamedTuple):
    """A loss with options.

    Attributes:
        loss: kuai's.
        arrays: gives them from a source of random numbers, floating or integer.
        oracle: arrays → the loss of each element.
        torch: (functional, *tensors) → torch's mean, or None where it has none.
    """

    loss: Callable[..., Any]
    arrays: Callable[[Source], tuple[np.ndarray, ...]]
    oracle: Callable[..., np.ndarray]
    torch: Callable[..., Any] | None = None


def normal(s: Source, *shape: int) -> np.ndarray:
    return s.normal(size=shape) * 2


def signs(s: Source, *shape: int) -> np.ndarray:
    return s.choice([-1.0, 1.0], shape)


def numbers_and_signs(s: Source) -> tuple[np.ndarray, ...]:
    return normal(s, 4, 3), signs(s, 4, 3)


def scores_and_classes(s: Source) -> tuple[np.ndarray, ...]:
    return normal(s, 4, 5), s.integers(0, 5, 4)


def log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def picked(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.take_along_axis(scores, labels[:, None], -1)[:, 0]


def others(scores: np.ndarray, labels: np.ndarray, margin: float) -> np.ndarray:
    """What each wrong class lacks of trailing by the margin; 0 for the right one."""
    lacks = np.maximum(0, margin + scores - picked(scores, labels)[:, None])
    np.put_along_axis(lacks, labels[:, None], 0, -1)
    return lacks


def binary_focal(z, y, gamma=2.0, alpha=None):
    p = 1 / (1 + np.exp(-z))
    right = np.where(y == 1, p, 1 - p)
    factor = 1 if alpha is None else np.where(y == 1, alpha, 1 - alpha)
    return -factor * (1 - right) ** gamma * np.log(right)


def softmax_focal(z, y, gamma=2.0):
    log_p = picked(log_softmax(z), y)
    return -((1 - np.exp(log_p)) ** gamma) * log_p


def tversky(z, y, smooth=1.0, alpha=0.5, beta=0.5):
    p = np.exp(log_softmax(z))
    hot = np.eye(z.shape[-1])[y]
    overlap, ours, theirs = ((p * hot).sum(1), p.sum(1), hot.sum(1))
    rest = alpha * (ours - overlap) + beta * (theirs - overlap)
    return (1 - (overlap + smooth) / (overlap + rest + smooth)).mean(-1)


def spoken(path: tuple[int, ...]) -> list[int]:
    """What a way through the frames says: equal neighbours are one, and blanks, 0, go."""
    return [key for key, _ in itertools.groupby(path) if key]


def ctc(z, labels, frames, lengths):
    """Every way through the frames, tried."""
    log_p = log_softmax(z)
    each = []
    for row, said, count, length in zip(log_p, labels, frames, lengths, strict=True):
        ways = itertools.product(range(z.shape[-1]), repeat=count)
        fitting = [way for way in ways if spoken(way) == said[:length].tolist()]
        each.append(-np.log(sum(np.exp(row[np.arange(count), way].sum()) for way in fitting)))
    return np.array(each)


def triplet(a, p, n, power=2.0, margin=1.0, swap=False):
    def distance(x, y):
        return (np.abs(x - y + 1e-6) ** power).sum(-1) ** (1 / power)

    apart = np.minimum(distance(a, n), distance(p, n)) if swap else distance(a, n)
    return np.maximum(0, margin + distance(a, p) - apart)


def cosines(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def three_vectors(s: Source) -> tuple[np.ndarray, ...]:
    return normal(s, 4, 3), normal(s, 4, 3), normal(s, 4, 3)


def ctc_of_lengths(z, labels, frames, lengths, **options):
    return losses.ctc(z, labels, logit_lengths=frames, label_lengths=lengths, **options)


KINDS = {
    "nll": Kind(
        losses.nll,
        lambda s: (log_softmax(normal(s, 4, 5)), s.integers(0, 5, 4)),
        lambda log_p, y: -picked(log_p, y),
        lambda F, *a: F.nll_loss(*a),
    ),
    "smooth_l1": Kind(
        functools.partial(losses.smooth_l1, beta=0.5),
        lambda s: (normal(s, 4, 3), normal(s, 4, 3)),
        lambda a, b: np.where(abs(a - b) < 0.5, (a - b) ** 2, abs(a - b) - 0.25),
        lambda F, *a: F.smooth_l1_loss(*a, beta=0.5),
    ),
    "mape": Kind(
        losses.mape,
        lambda s: (normal(s, 4, 3), normal(s, 4, 3)),
        lambda a, b: 100 * abs(a - b) / abs(b),
    ),
    "msle": Kind(
        losses.msle,
        lambda s: (normal(s, 4, 3), abs(normal(s, 4, 3))),
        lambda a, b: (np.log1p(np.maximum(a, 0)) - np.log1p(b)) ** 2,
    ),
    "quantile": Kind(
        functools.partial(losses.quantile, level=0.9),
        lambda s: (normal(s, 4, 3), normal(s, 4, 3)),
        lambda a, b: np.where(b > a, 0.9 * (b - a), 0.1 * (a - b)),
    ),
    "poisson": Kind(
        losses.poisson,
        lambda s: (normal(s, 4, 3), s.poisson(2, (4, 3)).astype(float)),
        lambda z, y: np.exp(z) - y * z,
        lambda F, *a: F.poisson_nll_loss(*a),
    ),
    "poisson of rates": Kind(
        functools.partial(losses.poisson, log_input=False),
        lambda s: (abs(normal(s, 4, 3)), s.poisson(2, (4, 3)).astype(float)),
        lambda r, y: r - y * np.log(r + 1e-8),
        lambda F, *a: F.poisson_nll_loss(*a, log_input=False),
    ),
    "gaussian_nll": Kind(
        losses.gaussian_nll,
        lambda s: (normal(s, 4, 3), normal(s, 4, 3), abs(normal(s, 4, 3)) + 0.1),
        lambda m, y, v: (np.log(v) + (y - m) ** 2 / v) / 2,
        lambda F, *a: F.gaussian_nll_loss(*a),
    ),
    "squared_hinge": Kind(
        losses.squared_hinge, numbers_and_signs, lambda s, y: np.maximum(0, 1 - s * y) ** 2
    ),
    "soft_margin": Kind(
        losses.soft_margin,
        numbers_and_signs,
        lambda s, y: np.log1p(np.exp(-s * y)),
        lambda F, *a: F.soft_margin_loss(*a),
    ),
    "multiclass_hinge": Kind(
        losses.multiclass_hinge,
        scores_and_classes,
        lambda s, y: others(s, y, 1.0).max(-1),
    ),
    "multi_margin": Kind(
        functools.partial(losses.multi_margin, power=2, margin=0.5),
        scores_and_classes,
        lambda s, y: (others(s, y, 0.5) ** 2).mean(-1),
        lambda F, *a: F.multi_margin_loss(*a, p=2, margin=0.5),
    ),
    "hinge_embedding": Kind(
        losses.hinge_embedding,
        lambda s: (abs(normal(s, 4, 3)), signs(s, 4, 3)),
        lambda d, y: np.where(y > 0, d, np.maximum(0, 1 - d)),
        lambda F, *a: F.hinge_embedding_loss(*a),
    ),
    "cosine_embedding": Kind(
        functools.partial(losses.cosine_embedding, margin=0.25),
        lambda s: (normal(s, 6, 3), normal(s, 6, 3), np.array([1.0, -1, 1, -1, -1, 1])),
        lambda a, b, y: np.where(y > 0, 1 - cosines(a, b), np.maximum(0, cosines(a, b) - 0.25)),
        lambda F, *a: F.cosine_embedding_loss(*a, margin=0.25),
    ),
    "margin_ranking": Kind(
        functools.partial(losses.margin_ranking, margin=0.5),
        lambda s: (normal(s, 6), normal(s, 6), signs(s, 6)),
        lambda a, b, y: np.maximum(0, 0.5 - y * (a - b)),
        lambda F, *a: F.margin_ranking_loss(*a, margin=0.5),
    ),
    "triplet_margin": Kind(
        losses.triplet_margin,
        three_vectors,
        triplet,
        lambda F, *a: F.triplet_margin_loss(*a),
    ),
    "triplet_margin, swapped and cubic": Kind(
        functools.partial(losses.triplet_margin, power=3.0, margin=2.0, swap=True),
        three_vectors,
        functools.partial(triplet, power=3.0, margin=2.0, swap=True),
        lambda F, *a: F.triplet_margin_loss(*a, p=3, margin=2.0, swap=True),
    ),
    "binary_focal": Kind(
        functools.partial(losses.binary_focal, alpha=0.25),
        lambda s: (normal(s, 4, 3), s.integers(0, 2, (4, 3)).astype(float)),
        functools.partial(binary_focal, alpha=0.25),
    ),
    "softmax_focal": Kind(losses.softmax_focal, scores_and_classes, softmax_focal),
    "dice": Kind(
        functools.partial(losses.dice, smooth=0.5, false_positives=0.25),
        lambda s: (normal(s, 4, 5, 3), s.integers(0, 3, (4, 5))),
        functools.partial(tversky, smooth=0.5, alpha=0.25),
    ),
    "ctc": Kind(
        ctc_of_lengths,
        lambda s: (
            normal(s, 4, 5, 3),
            np.array([[1, 2, 1], [2, 2, -1], [1, 9, 9], [2, 1, 2]]),
            np.array([5, 3, 2, 4]),
            np.array([3, 2, 1, 3]),
        ),
        ctc,
    ),
}
