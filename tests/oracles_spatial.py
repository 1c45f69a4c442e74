"""What layers with spatial axes compute, in float64 NumPy, from the formulas: channels last."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from tests.oracles import Arrays


def places(*sizes):
    return itertools.product(*map(range, sizes))


def conv(x, weight, pairs, strides, dilation, groups=1):
    """One product of matrices for each element of the kernel."""
    *kernel, inputs, outputs = weight.shape
    x = np.pad(x, [(0, 0), *pairs, (0, 0)])
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = [(n - r) // s + 1 for n, r, s in zip(x.shape[1:-1], reach, strides, strict=True)]
    y = np.zeros((x.shape[0], *sizes, outputs))
    for at in places(*kernel):
        steps = zip(at, dilation, sizes, strides, strict=True)
        cut = tuple(slice(k * d, k * d + (n - 1) * s + 1, s) for (k, d, n, s) in steps)
        part = x[(slice(None), *cut)]
        for group in range(groups):
            own = slice(group * outputs // groups, (group + 1) * outputs // groups)
            y[..., own] += part[..., group * inputs : (group + 1) * inputs] @ weight[at][:, own]
    return y


def conv_transpose(x, weight, pairs, strides, dilation, groups=1, more=None):
    """Each element of the input adds a kernel to the output, which is then cut."""
    *kernel, inputs, outputs = weight.shape
    lengths = x.shape[1:-1]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    more = more or (0,) * len(kernel)
    whole = [
        (n - 1) * s + r + extra
        for n, s, r, extra in zip(lengths, strides, reach, more, strict=True)
    ]
    y = np.zeros((x.shape[0], *whole, outputs))
    for i in places(*lengths):
        for k in places(*kernel):
            at = tuple(a * s + b * d for a, s, b, d in zip(i, strides, k, dilation, strict=True))
            for group in range(groups):
                own = slice(group * outputs // groups, (group + 1) * outputs // groups)
                part = x[(slice(None), *i)][:, group * inputs : (group + 1) * inputs]
                y[(slice(None), *at, own)] += part @ weight[k][:, own]
    cut = [slice(low, n - high) for n, (low, high) in zip(whole, pairs, strict=True)]
    return y[(slice(None), *cut)]


def with_bias(a: Arrays, y: np.ndarray, at: str = "") -> np.ndarray:
    return y + a.get(f"{at}bias", 0.0)


def channels_first(function):
    """An oracle for channels on the second axis."""
    return lambda a, x: np.moveaxis(function(a, np.moveaxis(x, 1, -1)), -1, 1)


def windows_of(x, pool, strides, pairs, ceil_mode=False):
    """(index of the output, index of the window's elements that are in the input, its size).

    The size counts what is padding, and not what lies beyond it.
    """
    spans = []
    for n, size, step, (low, high) in zip(x.shape[1:-1], pool, strides, pairs, strict=True):
        count = (n + low + high - size) / step
        count = math.ceil(count) if ceil_mode else math.floor(count)
        starts = [i * step - low for i in range(count + 1)]
        spans.append(
            [
                (range(max(s, 0), min(s + size, n)), min(s + size, n + high) - s)
                for s in starts
                if not ceil_mode or s < n
            ]
        )
    return spans


def pooled(x, spans, reduce):
    """`reduce(elements (batch, places, channels), size)` for each window."""
    y = np.zeros((x.shape[0], *map(len, spans), x.shape[-1]))
    for at in places(*map(len, spans)):
        parts = [span[i] for span, i in zip(spans, at, strict=True)]
        inside = x[np.ix_(range(x.shape[0]), *(p[0] for p in parts), range(x.shape[-1]))]
        flat = inside.reshape(x.shape[0], -1, x.shape[-1])
        y[(slice(None), *at)] = reduce(flat, math.prod(p[1] for p in parts))
    return y


def largest(elements, size):
    return elements.max(1)


def mean(elements, size):
    return elements.mean(1)


def mean_with_padding(elements, size):
    return elements.sum(1) / size


def regions_of(x, sizes):
    """As `windows_of`, for regions that cover the input evenly."""
    return [
        [(range(math.floor(i * n / m), math.ceil((i + 1) * n / m)), 0) for i in range(m)]
        for n, m in zip(x.shape[1:-1], sizes, strict=True)
    ]


def linear_weights(t):
    return {0: 1 - t, 1: t}


def cubic_weights(t):
    def weight(d, a=-0.75):
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        return near if d <= 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a

    return {k: weight(abs(t - k)) for k in (-1, 0, 1, 2)}


def resized(x, sizes: Sequence[int], weights, align_corners=False):
    """Along one axis after the other, by a matrix of weights (outputs, inputs)."""
    for axis, count in enumerate(sizes, start=1):
        n = x.shape[axis]
        matrix = np.zeros((count, n))
        for i in range(count):
            place = (
                i * (n - 1) / max(count - 1, 1) if align_corners else (i + 0.5) * n / count - 0.5
            )
            before = math.floor(place)
            for offset, weight in weights(place - before).items():
                matrix[i, min(max(before + offset, 0), n - 1)] += weight
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


def shuffled(x, factor):
    batch, height, width, channels = x.shape
    left = channels // factor**2
    y = np.zeros((batch, height * factor, width * factor, left))
    for i, j, c in places(factor, factor, left):
        y[:, i::factor, j::factor, c] = x[..., (c * factor + i) * factor + j]
    return y


def unshuffled(x, factor):
    batch, height, width, channels = x.shape
    y = np.zeros((batch, height // factor, width // factor, channels * factor**2))
    for i, j, c in places(factor, factor, channels):
        y[..., (c * factor + i) * factor + j] = x[:, i::factor, j::factor, c]
    return y
