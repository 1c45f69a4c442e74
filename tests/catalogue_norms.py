"""The catalogue's norms by groups, size and neighbours, dropouts, noise and rarer activations."""

from __future__ import annotations

import numpy as np

from kuai import nn
from tests.entry import Entry
from tests.oracles import pointwise, sigmoid, softmax, softplus
from tests.oracles_norms import (
    group_norm,
    local_response_norm,
    prelu,
    rms_norm,
    shrunk,
    sparse_plus,
    sparsemax,
)

NORM = {"weight": "weight", "bias": "bias"}
IMAGE = (2, 3, 5, 4)  # odd places


def norm(name, make, oracle, shape=IMAGE, **options):
    return Entry(name, make, oracle, inputs=(shape,), output=shape, **options)


def random(name, make, shape=(2, 6), **options):
    return Entry(name, make, None, inputs=(shape,), output=shape, training=True, **options)


def activation(name, make, function, peer=None, **options):
    return Entry(name, make, pointwise(function), peer=peer, **options)


GROUPED = [
    norm("GroupNorm", lambda: nn.GroupNorm(2), lambda a, x: group_norm(a, x, 2), slow=True),
    norm(
        "GroupNorm with channels first",
        lambda: nn.GroupNorm(3, axis=1, epsilon=1e-3),
        lambda a, x: group_norm(a, x, 3, axis=1, epsilon=1e-3),
        shape=(2, 6, 5, 1),
        peer=lambda t: t.nn.GroupNorm(3, 6, eps=1e-3),
        names=NORM,
    ),
    norm(
        "GroupNorm of features alone",
        lambda: nn.GroupNorm(1, use_scale=False),
        lambda a, x: group_norm(a, x, 1),
        shape=(2, 6),
        slow=True,
    ),
    norm(
        "InstanceNorm",
        lambda: nn.InstanceNorm(),
        lambda a, x: group_norm(a, x, 4),
        slow=True,
    ),
    norm(
        "InstanceNorm with channels first",
        lambda: nn.InstanceNorm(axis=1, use_scale=True, use_bias=True),
        lambda a, x: group_norm(a, x, 3, axis=1),
        shape=(2, 3, 1, 5),
        peer=lambda t: t.nn.InstanceNorm2d(3, affine=True),
        names=NORM,
    ),
]

SIZED = [
    norm(
        "RMSNorm",
        lambda: nn.RMSNorm(epsilon=1e-6),
        rms_norm,
        shape=(2, 6),
        peer=lambda t: t.nn.RMSNorm(6, eps=1e-6),
        names={"weight": "weight"},
    ),
    norm(
        "RMSNorm over two axes",
        lambda: nn.RMSNorm(axes=2, use_scale=False),
        lambda a, x: rms_norm(a, x, 2, 0.0),
        shape=(2, 3, 4),
        peer=lambda t: t.nn.RMSNorm((3, 4), elementwise_affine=False),
        slow=True,
    ),
    norm(
        "RMSNorm with a unit offset",
        lambda: nn.RMSNorm(epsilon=1e-6, unit_offset=True),
        lambda a, x: rms_norm(a, x, offset=1.0),
        shape=(2, 1, 5),
        slow=True,
    ),
    norm(
        "LocalResponseNorm",
        lambda: nn.LocalResponseNorm(3, alpha=0.5, k=2.0),
        pointwise(lambda x: local_response_norm(x, 3, 0.5, 0.75, 2.0)),
        slow=True,
    ),
    norm(
        "LocalResponseNorm with channels first",
        lambda: nn.LocalResponseNorm(4, axis=1, alpha=0.5),
        pointwise(lambda x: local_response_norm(x, 4, 0.5, 0.75, 1.0, axis=1)),
        shape=(2, 6, 3),
        peer=lambda t: t.nn.LocalResponseNorm(4, alpha=0.5),
    ),
]

RANDOM = [
    random("SpatialDropout", lambda: nn.SpatialDropout(0.5), IMAGE, slow=True),
    random(
        "SpatialDropout with channels first",
        lambda: nn.SpatialDropout(0.5, layout="channels_first"),
        (4, 3, 5),
        slow=True,
    ),
    random("AlphaDropout", lambda: nn.AlphaDropout(0.25)),
    random("DropPath", lambda: nn.DropPath(0.5), (6, 2, 3)),
    random("GaussianNoise", lambda: nn.GaussianNoise(0.5)),
    random("GaussianDropout", lambda: nn.GaussianDropout(0.25), slow=True),
    random("RReLU", lambda: nn.RReLU(), slow=True),
]

SLOPES = [
    Entry(
        "PReLU",
        lambda: nn.PReLU(),
        lambda a, x: prelu(a["weight"], x),
        peer=lambda t: t.nn.PReLU(),
        names={"weight": "weight"},
        slow=True,
    ),
    norm(
        "PReLU of channels",
        lambda: nn.PReLU(axis=1, init="zeros"),
        lambda a, x: prelu(a["weight"][:, None], x),
        shape=(2, 3, 5),
        peer=lambda t: t.nn.PReLU(3),
        names={"weight": "weight"},
    ),
    activation(
        "RReLU in eval mode",
        lambda: nn.RReLU(0.25, 0.5),
        lambda x: prelu(0.375, x),
        lambda t: t.nn.RReLU(0.25, 0.5).eval(),
        slow=True,
    ),
    activation(
        "Maxout",
        lambda: nn.Maxout(3),
        lambda x: x.reshape(2, 2, 3).max(-1),
        output=(2, 2),
    ),
]

ACTIVATIONS = [
    activation(
        "HardShrink",
        lambda: nn.HardShrink(0.25),
        lambda x: np.where(abs(x) > 0.25, x, 0),
        lambda t: t.nn.Hardshrink(0.25),
    ),
    activation(
        "SoftShrink",
        lambda: nn.SoftShrink(0.25),
        lambda x: shrunk(x, 0.25),
        lambda t: t.nn.Softshrink(0.25),
    ),
    activation(
        "TanhShrink",
        nn.TanhShrink,
        lambda x: x - np.tanh(x),
        lambda t: t.nn.Tanhshrink(),
        slow=True,
    ),
    activation(
        "Threshold",
        lambda: nn.Threshold(0.125, -2.0),
        lambda x: np.where(x > 0.125, x, -2.0),
        lambda t: t.nn.Threshold(0.125, -2.0),
        slow=True,
    ),
    activation(
        "HardTanh between other bounds",
        lambda: nn.HardTanh(-0.5, 2.0),
        lambda x: np.clip(x, -0.5, 2.0),
        lambda t: t.nn.Hardtanh(-0.5, 2.0),
        slow=True,
    ),
    activation(
        "Softplus with a sharper bend",
        lambda: nn.Softplus(beta=2.0),
        lambda x: softplus(2 * x) / 2,
        lambda t: t.nn.Softplus(beta=2.0),
        slow=True,
    ),
    activation("Squareplus", lambda: nn.Squareplus(1.0), lambda x: (x + np.sqrt(x**2 + 1)) / 2),
    activation("SparsePlus", nn.SparsePlus, sparse_plus),
    activation("SparseSigmoid", nn.SparseSigmoid, lambda x: np.clip((x + 1) / 2, 0, 1), slow=True),
    activation("QuickGELU", nn.QuickGELU, lambda x: x * sigmoid(1.702 * x)),
    activation("Softmin", nn.Softmin, lambda x: softmax(-x), lambda t: t.nn.Softmin(-1)),
    activation(
        "Sparsemax", lambda: nn.Sparsemax(axis=0), lambda x: sparsemax(x, 0), batch=1, slow=True
    ),
]

NORMS_AND_KIN = [*GROUPED, *SIZED, *RANDOM, *SLOPES, *ACTIVATIONS]
