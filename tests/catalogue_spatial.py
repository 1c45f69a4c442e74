"""The layers with spatial axes, and the bilinear one: entries of the catalogue.

The forms of a layer over one, two and three axes share their code, and tests of the functions
behind them go through the configurations; so layers without parameters stand side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kuai import nn
from tests import oracles_spatial as oracles
from tests import peers_spatial as peers
from tests.entry import Entry
from tests.oracles import pointwise, softplus
from tests.oracles_spatial import channels_first, with_bias

BOTH = {"weight": "weight", "bias": "bias"}


def conv_entry(name, make, oracle, inputs, output, **options):
    return Entry(name, make, oracle, inputs=(inputs,), output=output, mixed="promoted", **options)


def convolved(pairs, strides, dilation, groups=1, at=""):
    def oracle(a, x):
        return with_bias(a, oracles.conv(x, a[f"{at}weight"], pairs, strides, dilation, groups), at)

    return oracle


def transposed(pairs, strides, dilation, groups=1, more=None, at=""):
    def oracle(a, x):
        y = oracles.conv_transpose(x, a[f"{at}weight"], pairs, strides, dilation, groups, more)
        return with_bias(a, y, at)

    return oracle


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
        "ConvTranspose2d",
        lambda: nn.ConvTranspose2d(6, 3, (2, 1), padding=1, output_padding=(1, 0), groups=2),
        transposed([(1, 1)] * 2, [2, 1], [1, 1], groups=2, more=(1, 0)),
        (2, 3, 2, 4),
        (2, 6, 2, 6),
        peer=peer(
            lambda f, x, w, b: f.conv_transpose2d(
                x, peers.transposed_kernel(w, 2), b, (2, 1), 1, (1, 0), groups=2
            ),
            (3, 3, 2, 6),
        ),
        names=BOTH,
    ),
    conv_entry(
        "Conv1d and ConvTranspose1d",
        lambda: nn.Sequential(
            nn.Conv1d(4, 3, padding="causal", dilation=2, activation="tanh"),
            nn.ConvTranspose1d(2, 3, strides=2, padding="same"),
        ),
        lambda a, x: transposed([(0, 1)], [2], [1], at="1.")(
            a, np.tanh(convolved([(4, 0)], [1], [2], at="0.")(a, x))
        ),
        (2, 5, 3),
        (2, 10, 2),
    ),
    conv_entry(
        "Conv3d and ConvTranspose3d with channels first and without bias",
        lambda: nn.Sequential(
            nn.Conv3d(4, (1, 2, 2), groups=2, use_bias=False, layout="channels_first"),
            nn.ConvTranspose3d(2, 2, 2, use_bias=False, layout="channels_first"),
        ),
        channels_first(
            lambda a, x: transposed([(0, 0)] * 3, [2] * 3, [1] * 3, at="1.")(
                a, convolved([(0, 0)] * 3, [1] * 3, [1] * 3, groups=2, at="0.")(a, x)
            )
        ),
        (2, 2, 1, 3, 2),
        (2, 2, 2, 4, 2),
    ),
    conv_entry(
        "SeparableConv2d",
        lambda: nn.SeparableConv2d(4, 2, strides=2, multiplier=2, activation="softplus"),
        lambda a, x: softplus(
            convolved([(0, 0)] * 2, [1, 1], [1, 1], at="pointwise.")(
                a, convolved([(0, 0)] * 2, [2, 2], [1, 1], groups=3, at="depthwise.")(a, x)
            )
        ),
        (2, 4, 5, 3),
        (2, 2, 2, 4),
    ),
]


def pools(axes, along):
    """Every pooling over some axes, of which all but one have one element, joined by channels."""

    def made(name, *arguments):
        return getattr(nn, f"{name}{axes}d")(*arguments)

    def at(value, others):
        return tuple(value if axis == along else others for axis in range(axes))

    return nn.Sequential(
        made("Pad", at(1, 0), "replicate"),
        nn.Parallel(
            made("MaxPool", at(4, 1), at(2, 1)),
            made("AvgPool", at(4, 1), at(2, 1)),
            made("AdaptiveMaxPool", at(1, None)),
            made("AdaptiveAvgPool", at(1, None)),
            made("GlobalMaxPool", True),
            made("GlobalAvgPool", True),
        ),
    )


def pools_oracle(x):
    """For x (batch, 3, channels)."""
    x = x[:, [0, 0, 1, 2, 2]]
    window = [x[:, :4].max(1), x[:, :4].mean(1)]
    return np.concatenate([*window, x.max(1), x.mean(1), x.max(1), x.mean(1)], -1)


def pools_entry(axes, along):
    ones = (1,) * (axes - 1)
    sizes = (*ones[:along], 3, *ones[along:])
    output = (2, *(1,) * axes, 12)
    return Entry(
        f"Pooling over {axes} {'axis' if axes == 1 else 'axes'}",
        lambda: pools(axes, along),
        pointwise(lambda x: pools_oracle(x.reshape(2, 3, 2)).reshape(output)),
        inputs=((2, *sizes, 2),),
        output=output,
    )


def upsampled(x):
    return oracles.shuffled(
        oracles.resized(oracles.unshuffled(x, 2), (4, 3), oracles.linear_weights), 2
    )


OTHERS = [
    pools_entry(1, along=0),
    pools_entry(2, along=0),
    pools_entry(3, along=2),
    Entry(
        "PixelUnshuffle, Upsample and PixelShuffle",
        lambda: nn.Sequential(
            nn.PixelUnshuffle(2), nn.Upsample(size=(4, 3), method="bilinear"), nn.PixelShuffle(2)
        ),
        pointwise(upsampled),
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
