"""What layers compute, in float64 NumPy, from the formulas and with nothing of kuai."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Arrays = dict[str, np.ndarray]

erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def softmax(x, axis=-1):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def gelu_tanh(x):
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def gelu_exact(x):
    return x * (1 + erf(x / math.sqrt(2))) / 2


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x))


def celu(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(x / alpha))


def selu(x):
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def glu(x, axis=-1):
    first, second = np.split(x, 2, axis)
    return first * sigmoid(second)


def dense(a: Arrays, x: np.ndarray, at: str = "") -> np.ndarray:
    return x @ a[f"{at}weight"] + a.get(f"{at}bias", 0.0)


def normalized(x, mean, variance, epsilon=1e-5):
    return (x - mean) / np.sqrt(variance + epsilon)


def layer_norm(a: Arrays, x: np.ndarray, axes: int = 1, epsilon: float = 1e-5) -> np.ndarray:
    over = tuple(range(-axes, 0))
    y = normalized(x, x.mean(over, keepdims=True), x.var(over, keepdims=True), epsilon)
    return y * a.get("weight", 1.0) + a.get("bias", 0.0)


def batch_norm(a: Arrays, x, *, axis=-1, training=False, epsilon=1e-5):
    """With the features moved to the last axis and back."""
    x = np.moveaxis(x, axis, -1)
    over = tuple(range(x.ndim - 1))
    mean, variance = (
        (x.mean(over), x.var(over)) if training else (a["running_mean"], a["running_var"])
    )
    y = normalized(x, mean, variance, epsilon) * a.get("weight", 1.0) + a.get("bias", 0.0)
    return np.moveaxis(y, -1, axis)


def pointwise(function: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda _, x: function(x)
