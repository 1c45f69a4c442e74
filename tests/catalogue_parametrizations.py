"""Layers with parametrizations set on them from outside: one entry each."""

from __future__ import annotations

from typing import Any

import numpy as np

from kuai import nn
from tests.entry import Entry, Integers
from tests.oracles import dense

NORMED = "parametrizations.weight.original"
LINEAR = {"bias": "bias"}


def weight_normed(a, axes=0, at="weight"):
    norms = np.sqrt(np.square(a[at]).sum(axes, keepdims=True))
    return a[at] * a[f"{at}_norm.magnitude"] / norms


def spectrally_normed(a):
    return a["weight"] / (a["weight_spectral.left"] @ a["weight"].T @ a["weight_spectral.right"])


def adapted(a, scale=1.0):
    return a["weight"] + scale * a["weight_lora.down"] @ a["weight_lora.up"]


def with_weight(weight, function=dense):
    return lambda a, x: function({**a, "weight": weight(a)}, x)


def entry(name, make, weight, **options: Any):
    return Entry(name, make, with_weight(weight), output=(2, 3), mixed="promoted", **options)


def peer_spectral(torch):
    return torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(6, 3)).eval()


SPECTRAL = {
    **LINEAR,
    "weight": f"{NORMED}.T",
    "weight_spectral.left": "parametrizations.weight.0._u",
    "weight_spectral.right": "parametrizations.weight.0._v",
}

PARAMETRIZATIONS = [
    entry(
        "weight_norm",
        lambda: nn.weight_norm(nn.Dense(3)),
        weight_normed,
        peer=lambda t: t.nn.utils.parametrizations.weight_norm(t.nn.Linear(6, 3)),
        names={**LINEAR, "weight": f"{NORMED}1.T", "weight_norm.magnitude": f"{NORMED}0.T"},
    ),
    entry(
        "weight_norm in all",
        lambda: nn.weight_norm(nn.Dense(3), axis=None),
        lambda a: weight_normed(a, None),
    ),
    entry(
        "weight_norm of the inputs",
        lambda: nn.weight_norm(nn.Dense(3, use_bias=False), axis=0),
        lambda a: weight_normed(a, 1),
        peer=lambda t: t.nn.utils.parametrizations.weight_norm(
            t.nn.Linear(6, 3, bias=False), dim=1
        ),
        names={"weight": f"{NORMED}1.T", "weight_norm.magnitude": f"{NORMED}0.T"},
    ),
    entry(
        "spectral_norm in eval mode",
        lambda: nn.spectral_norm(nn.Dense(3)),
        spectrally_normed,
        peer=peer_spectral,
        names=SPECTRAL,
    ),
    entry("lora", lambda: nn.lora(nn.Dense(3), rank=2, alpha=3.0), lambda a: adapted(a, 1.5)),
    Entry(
        "lora of an embedding",
        lambda: nn.lora(nn.Embedding(10, 4), rank=2, select=nn.Embedding),
        lambda a, i: adapted(a)[i],
        inputs=(Integers((2, 3), 10),),
        output=(2, 3, 4),
        mixed="promoted",
    ),
    entry(
        "lora over weight_norm",
        lambda: nn.lora(nn.weight_norm(nn.Dense(3)), rank=1),
        lambda a: weight_normed(a) + a["weight_lora.down"] @ a["weight_lora.up"],
    ),
    entry(
        "weight_norm over lora",
        lambda: nn.weight_norm(nn.lora(nn.Dense(3), rank=1)),
        lambda a: weight_normed({**a, "weight": adapted(a)}),
    ),
    entry(
        "parametrize",
        lambda: nn.parametrize(nn.Dense(3), "weight", nn.Tanh()),
        lambda a: np.tanh(a["weight"]),
    ),
]
