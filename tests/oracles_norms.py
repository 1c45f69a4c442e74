"""What the norms by groups, size and neighbours, and the activations of theirs, compute in NumPy.

In float64, from the formulas and with nothing of kuai, as in tests/oracles.py.
"""

from __future__ import annotations

import numpy as np

from tests.oracles import Arrays, normalized


def group_norm(a: Arrays, x, groups, *, axis=-1, epsilon=1e-5):
    """Example by example and group by group."""
    x = np.moveaxis(x, axis, -1)
    y = np.empty_like(x)
    for example, into in zip(x, y, strict=True):
        parts = zip(np.split(example, groups, -1), np.split(into, groups, -1), strict=True)
        for part, place in parts:
            place[:] = normalized(part, part.mean(), part.var(), epsilon)
    return np.moveaxis(y * a.get("weight", 1.0) + a.get("bias", 0.0), -1, axis)


def rms_norm(a: Arrays, x, axes=1, epsilon=1e-6, offset=0.0):
    size = np.sqrt((x**2).mean(tuple(range(-axes, 0)), keepdims=True) + epsilon)
    return x / size * (a["weight"] + offset if "weight" in a else 1.0)


def local_response_norm(x, size, alpha, beta, k, axis=-1):
    """Feature by feature, with the window that torch documents."""
    x = np.moveaxis(x, axis, -1)
    y = np.empty_like(x)
    for feature in range(x.shape[-1]):
        first = feature - size // 2
        window = x[..., max(first, 0) : first + size]
        y[..., feature] = x[..., feature] / (k + alpha * (window**2).sum(-1) / size) ** beta
    return np.moveaxis(y, -1, axis)


def shrunk(x, threshold):
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0)


def sparsemax(x, axis=-1):
    """The t at which max(x - t, 0) sums to 1, by bisection."""
    high = x.max(axis, keepdims=True)
    low = high - 1
    for _ in range(100):
        middle = (low + high) / 2
        above = np.maximum(x - middle, 0).sum(axis, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.maximum(x - low, 0)


def sparse_plus(x):
    return np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4))


def prelu(slope, x):
    return np.where(x > 0, x, slope * x)
