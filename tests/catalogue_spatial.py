"""The layers with spatial axes, and the bilinear one: entries of the catalogue.

Of these layers the forms over one, two and three axes share their code, and tests of their functions
look at the configurations (tests/test_convolution.py, tests/test_pooling.py, tests/test_resizing.py);
so layers without parameters stand side by side in one entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kuai import nn
from tests import oracles_spatial as oracles
from tests import peers_spatial as peers
from tests.entry import Entry
from tests.oracles_spatial import channels_first, largest, mean, with_bias

BOTH = {"weight": "weight", "bias": "bias"}


def conv_entry(name, make, oracle, inputs, output, **options):
    return Entry(name, make, oracle, inputs=(inputs,), output=output, mixed="promoted", **options)


def convolved(pairs, strides, dilation, groups=1):
    return lambda a, x: with_bias(a, oracles.conv(x, a["weight"], pairs, strides, dilation, groups))


def transposed(pairs, strides, dilation, groups=1, more=0):
    return lambda a, x: with_bias(
        a, oracles.conv_transpose(x, a["weight"], pairs, strides, dilation, groups, more)
    )


def peer(function: Any, weight: tuple[int, ...]) -> Any:
    """torch → a module of `function(functions, x, kernel in kuai's shape, bias)`."""

    def make(torch: Any) -> Any:
        def run(p: Any, x: Any) -> Any:
            return function(torch.nn.functional, x.movedim(-1, 1), p["weight"], p["bias"]).movedim(
                1, -1
            )

        return peers.module(torch, run, weight=weight, bias=weight[-1:])

    return make


CONVOLUTIONS = [
    conv_entry(
        "Conv1d, causal and dilated",
        lambda: nn.Conv1d(4, 3, padding="causal", dilation=2),
        convolved([(4, 0)], [1], [2]),
        (2, 7, 3),
        (2, 7, 4),
        peer=peer(
            lambda f, x, w, b: f.conv1d(f.pad(x, (4, 0)), peers.kernel(w), b, dilation=2),
            (3, 3, 4),
        ),
        names=BOTH,
    ),
    conv_entry(
        "Conv2d",
        lambda: nn.Conv2d(4, (3, 2), strides=(2, 1), padding=((1, 0), 1)),
        convolved([(1, 0), (1, 1)], [2, 1], [1, 1]),
        (2, 5, 4, 3),
        (2, 2, 5, 4),
        peer=peer(
            lambda f, x, w, b: f.conv2d(f.pad(x, (1, 1, 1, 0)), peers.kernel(w), b, (2, 1)),
            (3, 2, 3, 4),
        ),
        names=BOTH,
    ),
    conv_entry(
        "Conv2d in groups with channels first and an activation",
        lambda: nn.Conv2d(
            6, 3, padding="same", groups=2, activation="tanh", layout="channels_first"
        ),
        channels_first(
            lambda a, x: np.tanh(convolved([(1, 1)] * 2, [1, 1], [1, 1], groups=2)(a, x))
        ),
        (2, 4, 5, 3),
        (2, 6, 5, 3),
    ),
    conv_entry(
        "Conv3d without bias",
        lambda: nn.Conv3d(2, (1, 2, 2), use_bias=False),
        convolved([(0, 0)] * 3, [1] * 3, [1] * 3),
        (2, 1, 3, 4, 3),
        (2, 1, 2, 3, 2),
    ),
    conv_entry(
        "ConvTranspose1d",
        lambda: nn.ConvTranspose1d(4, 3, strides=2, padding=1, output_padding=1),
        transposed([(1, 1)], [2], [1], more=1),
        (2, 4, 3),
        (2, 8, 4),
        peer=peer(
            lambda f, x, w, b: f.conv_transpose1d(x, peers.transposed_kernel(w), b, 2, 1, 1),
            (3, 3, 4),
        ),
        names=BOTH,
    ),
    conv_entry(
        "ConvTranspose2d in groups",
        lambda: nn.ConvTranspose2d(6, 3, strides=(2, 1), groups=2, dilation=(1, 2)),
        transposed([(0, 0)] * 2, [2, 1], [1, 2], groups=2),
        (2, 3, 2, 4),
        (2, 7, 6, 6),
        peer=peer(
            lambda f, x, w, b: f.conv_transpose2d(
                x, peers.transposed_kernel(w, 2), b, (2, 1), groups=2, dilation=(1, 2)
            ),
            (3, 3, 2, 6),
        ),
        names=BOTH,
    ),
    conv_entry(
        "ConvTranspose3d with channels first and without bias",
        lambda: nn.ConvTranspose3d(
            2, 2, strides=2, padding="same", use_bias=False, layout="channels_first"
        ),
        channels_first(transposed([(0, 0)] * 3, [2] * 3, [1] * 3)),
        (2, 3, 1, 2, 2),
        (2, 2, 2, 4, 4),
    ),
    conv_entry(
        "DepthwiseConv2d",
        lambda: nn.DepthwiseConv2d(3, padding=1, multiplier=2),
        convolved([(1, 1)] * 2, [1, 1], [1, 1], groups=3),
        (2, 4, 3, 3),
        (2, 4, 3, 6),
        peer=peer(
            lambda f, x, w, b: f.conv2d(x, peers.kernel(w), b, padding=1, groups=3), (3, 3, 1, 6)
        ),
        names=BOTH,
    ),
    conv_entry(
        "SeparableConv2d",
        lambda: nn.SeparableConv2d(4, 2, strides=2, activation="tanh"),
        lambda a, x: np.tanh(
            with_bias(a, separated(a, x), "pointwise."),
        ),
        (2, 4, 5, 3),
        (2, 2, 2, 4),
    ),
]


def separated(a, x):
    y = oracles.conv(x, a["depthwise.weight"], [(0, 0)] * 2, [2, 2], [1, 1], groups=3)
    return y @ a["pointwise.weight"][0, 0]


def pools(axes):
    """Every pooling over a number of axes, to three places along each, joined by channels."""
    kinds = [
        getattr(nn, f"{name}{axes}d")
        for name in ("MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool", "GlobalMaxPool",
                     "GlobalAvgPool")
    ]  # fmt: skip
    largest, mean, adaptive_largest, adaptive_mean, *whole = kinds
    return nn.Parallel(
        largest(3, 2, 1),
        mean(3, 2, 1),
        adaptive_largest(3),
        adaptive_mean(3),
        *(nn.Sequential(kind(keep_axes=True), getattr(nn, f"Pad{axes}d")(1)) for kind in whole),
    )


def pools_oracle(_, x):
    axes = x.ndim - 2
    spans = oracles.windows_of(x, [3] * axes, [2] * axes, [(1, 1)] * axes)
    regions, whole = oracles.regions_of(x, [3] * axes), oracles.regions_of(x, [1] * axes)
    around = [(0, 0), *[(1, 1)] * axes, (0, 0)]
    return np.concatenate(
        [
            oracles.pooled(x, spans, largest),
            oracles.pooled(x, spans, oracles.mean_with_padding),
            oracles.pooled(x, regions, largest),
            oracles.pooled(x, regions, mean),
            np.pad(oracles.pooled(x, whole, largest), around),
            np.pad(oracles.pooled(x, whole, mean), around),
        ],
        -1,
    )


def pools_entry(axes, *sizes):
    return Entry(
        f"Pooling over {axes} {'axis' if axes == 1 else 'axes'}",
        lambda: pools(axes),
        pools_oracle,
        inputs=((2, *sizes, 2),),
        output=(2, *(3,) * axes, 12),
    )


def upsampled(_, x):
    return oracles.shuffled(
        oracles.resized(oracles.unshuffled(x, 2), (4, 3), oracles.linear_weights), 2
    )


OTHERS = [
    pools_entry(1, 5),
    pools_entry(2, 5, 6),
    pools_entry(3, 5, 6, 5),
    Entry(
        "PixelUnshuffle, Upsample and PixelShuffle",
        lambda: nn.Sequential(
            nn.PixelUnshuffle(2), nn.Upsample(size=(4, 3), method="bilinear"), nn.PixelShuffle(2)
        ),
        upsampled,
        inputs=((2, 4, 6, 2),),
        output=(2, 8, 6, 2),
    ),
    Entry(
        "Bilinear",
        lambda: nn.Bilinear(3, activation="tanh"),
        lambda a, x, y: np.tanh(with_bias(a, np.einsum("bi,iju,bj->bu", x, a["weight"], y))),
        inputs=((2, 4), (2, 5)),
        output=(2, 3),
        peer=lambda t: peers.module(
            t,
            lambda p, x, y: t.tanh(
                t.nn.functional.bilinear(x, y, p["weight"].movedim(-1, 0), p["bias"])
            ),
            weight=(4, 5, 3),
            bias=(3,),
        ),
        names=BOTH,
        mixed="promoted",
    ),
]

SPATIAL = [*CONVOLUTIONS, *OTHERS]
