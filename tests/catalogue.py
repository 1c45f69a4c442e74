"""Every layer of kuai.nn, in the configurations that matter: one entry each.

tests/test_catalogue.py runs them all through shapes, dtypes, compilation, gradients, files, repr,
and against the oracles (float64 NumPy, tests/oracles.py) and the peers (torch's modules).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import kuai
from kuai import nn
from tests.catalogue_attention import ATTENTIONS
from tests.catalogue_containers import CONTAINERS
from tests.catalogue_norms import NORMS_AND_KIN
from tests.catalogue_parametrizations import PARAMETRIZATIONS
from tests.catalogue_recurrent import RECURRENT
from tests.catalogue_repeat import REPEATS
from tests.catalogue_spatial import SPATIAL
from tests.entry import Entry, Integers
from tests.oracles import (
    batch_norm,
    celu,
    dense,
    elu,
    gelu_exact,
    gelu_tanh,
    glu,
    layer_norm,
    pointwise,
    selu,
    sigmoid,
    softmax,
    softplus,
)

LINEAR = {"weight": "weight.T", "bias": "bias"}
AS_LINEAR: dict[str, Any] = {"peer": lambda t: t.nn.Linear(6, 3), "names": LINEAR}
NORM = {"weight": "weight", "bias": "bias"}
RUNNING = {**NORM, "running_mean": "running_mean", "running_var": "running_var"}
STATISTICS = ("running_mean", "running_var")


def dense_entry(name, make, oracle=dense, output=(2, 3), **options):
    return Entry(name, make, oracle, output=output, mixed="promoted", **options)


def activation(name, make, function, peer=None, **options):
    return Entry(name, make, pointwise(function), peer=peer, **options)


DENSE = [
    dense_entry(
        "Dense",
        lambda: nn.Dense(3),
        **AS_LINEAR,
    ),
    dense_entry(
        "Dense without bias",
        lambda: nn.Dense(3, use_bias=False),
        peer=lambda t: t.nn.Linear(6, 3, bias=False),
        names={"weight": "weight.T"},
    ),
    dense_entry(
        "Dense on one axis",
        lambda: nn.Dense(3),
        inputs=((6,),),
        output=(3,),
        **AS_LINEAR,
        batch=None,
    ),
    dense_entry(
        "Dense on three axes",
        lambda: nn.Dense(3),
        inputs=((2, 4, 6),),
        output=(2, 4, 3),
        **AS_LINEAR,
    ),
    dense_entry(
        "Dense on five axes",
        lambda: nn.Dense(3),
        inputs=((2, 3, 1, 2, 6),),
        output=(2, 3, 1, 2, 3),
        **AS_LINEAR,
    ),
    dense_entry(
        "Dense with an activation by name",
        lambda: nn.Dense(3, activation="tanh"),
        lambda a, x: np.tanh(dense(a, x)),
        peer=lambda t: t.nn.Sequential(t.nn.Linear(6, 3), t.nn.Tanh()),
        names={"weight": "0.weight.T", "bias": "0.bias"},
    ),
    dense_entry(
        "Dense with a function as activation",
        lambda: nn.Dense(3, nn.softplus),
        lambda a, x: softplus(dense(a, x)),
    ),
    dense_entry(
        "Dense with a block as activation",
        lambda: nn.Dense(3, activation=nn.LeakyReLU(0.1)),
        lambda a, x: np.maximum(dense(a, x), 0.1 * dense(a, x)),
    ),
    dense_entry(
        "Dense with a block that has parameters as activation",
        lambda: nn.Dense(4, activation=nn.Dense(3)),
        lambda a, x: dense(a, dense(a, x), "activation."),
    ),
    dense_entry(
        "Dense with initializers",
        lambda: nn.Dense(3, init=kuai.init.normal(std=0.1), bias_init="ones", dtype="float32"),
    ),
    Entry(
        "Flatten",
        lambda: nn.Flatten(),
        pointwise(lambda x: x.reshape(2, 12)),
        inputs=((2, 3, 4),),
        output=(2, 12),
        peer=lambda t: t.nn.Flatten(),
    ),
    Entry(
        "Flatten from the third axis",
        lambda: nn.Flatten(start=2),
        pointwise(lambda x: x.reshape(2, 3, 20)),
        inputs=((2, 3, 4, 5),),
        output=(2, 3, 20),
        peer=lambda t: t.nn.Flatten(2),
    ),
]

EMBEDDING = [
    Entry(
        "Embedding",
        lambda: nn.Embedding(10, 4),
        lambda a, i: a["weight"][i],
        inputs=(Integers((2, 3), 10),),
        output=(2, 3, 4),
        peer=lambda t: t.nn.Embedding(10, 4),
        names={"weight": "weight"},
        mixed="promoted",
    ),
    Entry(
        "Embedding of a scalar",
        lambda: nn.Embedding(10, 4, init="ones"),
        lambda a, i: a["weight"][i],
        inputs=(Integers((), 10),),
        output=(4,),
        peer=lambda t: t.nn.Embedding(10, 4),
        names={"weight": "weight"},
        mixed="promoted",
        batch=None,
    ),
]

DROPOUT = [
    Entry(
        "Dropout in eval mode",
        lambda: nn.Dropout(0.5),
        pointwise(lambda x: x),
        peer=lambda t: t.nn.Dropout(0.5).eval(),
    ),
    Entry(
        "Dropout of rate 0",
        lambda: nn.Dropout(0.0),
        pointwise(lambda x: x),
        peer=lambda t: t.nn.Dropout(0.0),
        training=True,
    ),
    Entry("Dropout", lambda: nn.Dropout(0.5), None, training=True),
    Entry(
        "Dropout with shared axes",
        lambda: nn.Dropout(0.25, shared_axes=(1, -1)),
        None,
        inputs=((4, 3, 5),),
        output=(4, 3, 5),
        training=True,
    ),
]

NORMS = [
    Entry(
        "LayerNorm",
        lambda: nn.LayerNorm(),
        layer_norm,
        peer=lambda t: t.nn.LayerNorm(6),
        names=NORM,
    ),
    Entry(
        "LayerNorm over two axes",
        lambda: nn.LayerNorm(axes=2, epsilon=1e-3),
        lambda a, x: layer_norm(a, x, 2, 1e-3),
        inputs=((2, 3, 4),),
        output=(2, 3, 4),
        peer=lambda t: t.nn.LayerNorm((3, 4), eps=1e-3),
        names=NORM,
    ),
    Entry(
        "LayerNorm without scale",
        lambda: nn.LayerNorm(use_scale=False),
        layer_norm,
    ),
    Entry(
        "LayerNorm without bias",
        lambda: nn.LayerNorm(use_bias=False),
        layer_norm,
        peer=lambda t: t.nn.LayerNorm(6, bias=False),
        names={"weight": "weight"},
    ),
    Entry(
        "LayerNorm without either",
        lambda: nn.LayerNorm(use_scale=False, use_bias=False),
        layer_norm,
        peer=lambda t: t.nn.LayerNorm(6, elementwise_affine=False),
    ),
    Entry(
        "BatchNorm",
        lambda: nn.BatchNorm(),
        lambda a, x: batch_norm(a, x, training=True),
        inputs=((5, 3),),
        output=(5, 3),
        peer=lambda t: t.nn.BatchNorm1d(3),
        names=RUNNING,
        training=True,
        state=STATISTICS,
        batch=None,
    ),
    Entry(
        "BatchNorm in eval mode",
        lambda: nn.BatchNorm(),
        batch_norm,
        inputs=((5, 3),),
        output=(5, 3),
        peer=lambda t: t.nn.BatchNorm1d(3).eval(),
        names=RUNNING,
    ),
    Entry(
        "BatchNorm with channels first",
        lambda: nn.BatchNorm(axis=1, momentum=0.5, epsilon=1e-3),
        lambda a, x: batch_norm(a, x, axis=1, training=True, epsilon=1e-3),
        inputs=((2, 3, 4, 2),),
        output=(2, 3, 4, 2),
        peer=lambda t: t.nn.BatchNorm2d(3, momentum=0.5, eps=1e-3),
        names=RUNNING,
        training=True,
        state=STATISTICS,
        batch=None,
    ),
    Entry(
        "BatchNorm with channels last",
        lambda: nn.BatchNorm(),
        lambda a, x: batch_norm(a, x, training=True),
        inputs=((2, 4, 2, 3),),
        output=(2, 4, 2, 3),
        training=True,
        state=STATISTICS,
        batch=None,
    ),
    Entry(
        "BatchNorm without scale and bias",
        lambda: nn.BatchNorm(use_scale=False, use_bias=False),
        lambda a, x: batch_norm(a, x, training=True),
        inputs=((5, 3),),
        output=(5, 3),
        peer=lambda t: t.nn.BatchNorm1d(3, affine=False),
        names={name: name for name in STATISTICS},
        training=True,
        state=STATISTICS,
        batch=None,
    ),
]

ACTIVATIONS = [
    activation("ReLU", nn.ReLU, lambda x: np.maximum(x, 0), lambda t: t.nn.ReLU()),
    activation("ReLU6", nn.ReLU6, lambda x: np.clip(x, 0, 6), lambda t: t.nn.ReLU6()),
    activation(
        "LeakyReLU",
        lambda: nn.LeakyReLU(0.2),
        lambda x: np.where(x > 0, x, 0.2 * x),
        lambda t: t.nn.LeakyReLU(0.2),
    ),
    activation("ELU", lambda: nn.ELU(0.5), lambda x: elu(x, 0.5), lambda t: t.nn.ELU(0.5)),
    activation("CELU", lambda: nn.CELU(0.5), lambda x: celu(x, 0.5), lambda t: t.nn.CELU(0.5)),
    activation("SELU", nn.SELU, selu, lambda t: t.nn.SELU()),
    activation("GELU", nn.GELU, gelu_tanh, lambda t: t.nn.GELU(approximate="tanh")),
    activation(
        "GELU, exact", lambda: nn.GELU(approximate=False), gelu_exact, lambda t: t.nn.GELU()
    ),
    activation("SiLU", nn.SiLU, lambda x: x * sigmoid(x), lambda t: t.nn.SiLU()),
    activation(
        "HardSiLU", nn.HardSiLU, lambda x: x * np.clip(x + 3, 0, 6) / 6, lambda t: t.nn.Hardswish()
    ),
    activation("Mish", nn.Mish, lambda x: x * np.tanh(softplus(x)), lambda t: t.nn.Mish()),
    activation("Softplus", nn.Softplus, softplus, lambda t: t.nn.Softplus()),
    activation("Sigmoid", nn.Sigmoid, sigmoid, lambda t: t.nn.Sigmoid()),
    activation(
        "HardSigmoid",
        nn.HardSigmoid,
        lambda x: np.clip(x + 3, 0, 6) / 6,  # torch's gradient has a 1 / 6 of float32 in float64
    ),
    activation("LogSigmoid", nn.LogSigmoid, lambda x: -softplus(-x), lambda t: t.nn.LogSigmoid()),
    activation("Tanh", nn.Tanh, np.tanh, lambda t: t.nn.Tanh()),
    activation("HardTanh", nn.HardTanh, lambda x: np.clip(x, -1, 1), lambda t: t.nn.Hardtanh()),
    activation("SoftSign", nn.SoftSign, lambda x: x / (1 + np.abs(x)), lambda t: t.nn.Softsign()),
    activation("Softmax", nn.Softmax, softmax, lambda t: t.nn.Softmax(-1)),
    activation(
        "Softmax on the first axis",
        lambda: nn.Softmax(axis=0),
        lambda x: softmax(x, 0),
        lambda t: t.nn.Softmax(0),
        batch=1,
    ),
    activation(
        "LogSoftmax", nn.LogSoftmax, lambda x: np.log(softmax(x)), lambda t: t.nn.LogSoftmax(-1)
    ),
    activation("GLU", nn.GLU, glu, lambda t: t.nn.GLU(), output=(2, 3)),
    activation(
        "Activation",
        lambda: nn.Activation("leaky_relu", negative_slope=0.2),
        lambda x: np.where(x > 0, x, 0.2 * x),
        lambda t: t.nn.LeakyReLU(0.2),
    ),
    activation("Activation of a function", lambda: nn.Activation(nn.tanh), np.tanh),
]

CATALOGUE = [
    *(*DENSE, *EMBEDDING, *DROPOUT, *NORMS, *ACTIVATIONS, *CONTAINERS),
    *(*REPEATS, *SPATIAL, *NORMS_AND_KIN, *PARAMETRIZATIONS, *ATTENTIONS),
    *RECURRENT,
]
