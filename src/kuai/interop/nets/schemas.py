"""What each system calls the arrays of each kind of layer, and how it lays them out.

One schema for a kind of layer and a system serves reading and writing. A schema takes a layer and a
system and gives alternatives: lists of parts. The first is what kuai writes; the others are what
other versions of the system wrote, or other ways to build the layer there.

A system's names below the layer end in the variable's own: `weight`, `cell/kernel`. Keras and
TensorFlow have one set of names, and part them by "/".
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from kuai import nn
from kuai.interop.nets.parts import Arrays, Part, folded, left_out, packed, same, turned
from kuai.interop.nets.recurrent_schemas import cell, stack
from kuai.nn.conv import Convolution
from kuai.nn.conv_transpose import TransposedConvolution

Alternatives = list[list[Part]]
Schema = Callable[[Any, str], Alternatives]

SYSTEMS = ("torch", "keras", "paddle", "gluon")
_OFTEN_CALLED = {
    "pytorch": "torch",
    "mxnet": "gluon",
    "tensorflow": "keras",
    "tf": "keras",
    "tf.keras": "keras",
    "paddlepaddle": "paddle",
}
CHANNELS_FIRST = ("torch", "paddle", "gluon")  # their usual order; Keras has channels last
_TURN = (1, 0)


def meant(told: Any) -> str:
    """What to add to an error about a system that is none: which may be meant, or ""."""
    name = str(told).lower()
    near = difflib.get_close_matches(name, SYSTEMS, n=1)
    found = _OFTEN_CALLED.get(name) or (near[0] if near else None)
    return f"; did you mean {found!r}?" if found else ""


def schema_of(block: Any) -> Schema | None:
    """The schema of a kind of layer; None: it has none, and is what it consists of."""
    return next((SCHEMAS[kind] for kind in type(block).__mro__ if kind in SCHEMAS), None)


def _dense(_: Any, system: str) -> Alternatives:
    kernel = "kernel" if system == "keras" else "weight"
    is_turned = system in ("torch", "gluon")
    weight = turned(kernel, "weight", _TURN) if is_turned else same(kernel, "weight")
    return [[weight, same("bias", "bias")]]


def _convolution(block: Convolution, system: str) -> Alternatives:
    if system == "keras":
        return [[same("kernel", "weight"), same("bias", "bias")]]
    space = tuple(range(2, 2 + block._axes))
    return [[turned("weight", "weight", (*space, 1, 0)), same("bias", "bias")]]


def _transposed(block: TransposedConvolution, system: str) -> Alternatives:
    axes, groups = block._axes, block.groups
    if system == "keras":
        space = tuple(range(axes))
        return [[turned("kernel", "weight", (*space, axes + 1, axes)), same("bias", "bias")]]

    def read(array: np.ndarray) -> Arrays:
        inputs, each, *kernel = array.shape
        parts = array.reshape(groups, inputs // groups, each, *kernel)
        parts = parts.transpose(*range(3, 3 + axes), 1, 0, 2)
        return [parts.reshape(*kernel, inputs // groups, groups * each)]

    def write(array: np.ndarray) -> Arrays:
        *kernel, inputs, outputs = array.shape
        parts = array.reshape(*kernel, inputs, groups, outputs // groups)
        parts = parts.transpose(axes + 1, axes, axes + 2, *range(axes))
        return [parts.reshape(groups * inputs, outputs // groups, *kernel)]

    weight = Part(("weight",), ("weight",), read, write, "inputs, outputs, kernel")
    return [[weight, same("bias", "bias")]]


def _depthwise(block: Any, system: str) -> Alternatives:
    if system != "keras":
        return [[turned("weight", "weight", (2, 3, 1, 0)), same("bias", "bias")]]
    return [[_by_channel("kernel", "weight", block.multiplier), same("bias", "bias")]]


def _separable(block: Any, system: str) -> Alternatives:
    if system != "keras":
        return []
    depthwise = _by_channel("depthwise_kernel", "depthwise.weight", block.depthwise.multiplier)
    pointwise = same("pointwise_kernel", "pointwise.weight")
    return [[depthwise, pointwise, same("bias", "pointwise.bias")]]


def _by_channel(theirs: str, ours: str, multiplier: int) -> Part:
    """Keras: (height, width, channels, multiplier)."""

    def read(array: np.ndarray) -> Arrays:
        *kernel, channels, times = array.shape
        if times != multiplier:
            raise ValueError(f"{theirs}: {array.shape} has another multiplier")
        return [array.reshape(*kernel, 1, channels * times)]

    return Part(
        (theirs,),
        (ours,),
        read,
        lambda array: [array.reshape(*array.shape[:2], -1, multiplier)],
        "axes joined",
    )


def _batch_norm(_: Any, system: str) -> Alternatives:
    names = {
        "torch": ("weight", "bias", "running_mean", "running_var"),
        "paddle": ("weight", "bias", "_mean", "_variance"),
        "gluon": ("gamma", "beta", "running_mean", "running_var"),
        "keras": ("gamma", "beta", "moving_mean", "moving_variance"),
    }[system]
    ours = ("weight", "bias", "running_mean", "running_var")
    parts = [same(name, path) for name, path in zip(names, ours, strict=True)]
    if system == "torch":
        parts.append(left_out("num_batches_tracked", np.array(0, np.int64)))
    return [parts]


def _norm(block: Any, system: str) -> Alternatives:
    names = ("gamma", "beta") if system in ("gluon", "keras") else ("weight", "bias")
    if system == "paddle" and isinstance(block, nn.InstanceNorm):
        names = ("scale", "bias")
    return [[same(name, path) for name, path in zip(names, ("weight", "bias"), strict=True)]]


def _rms_norm(block: nn.RMSNorm, system: str) -> Alternatives:
    if block.unit_offset:
        return []  # theirs scale by what they keep; Gemma's own layer, by one more
    return [[same("scale" if system == "keras" else "weight", "weight")]]


def _table(_: Any, system: str) -> Alternatives:
    return [[same("embeddings" if system == "keras" else "weight", "weight")]]


def _slopes(_: Any, system: str) -> Alternatives:
    if system == "keras":  # has axes of size 1 for those that share a slope; `keras_slopes` writes
        flat = Part(("alpha",), ("weight",), lambda a: [a.reshape(-1)], lambda a: [a], "flat")
        return [[flat]]
    names = {"torch": "weight", "paddle": "_weight", "gluon": "alpha"}
    return [[same(names[system], "weight")]]


def _bilinear(_: Any, system: str) -> Alternatives:
    if system not in ("torch", "paddle"):
        return []
    weight = turned("weight", "weight", (1, 2, 0))
    if system == "torch":
        return [[weight, same("bias", "bias")]]
    bias = Part(("bias",), ("bias",), lambda a: [a.reshape(-1)], lambda a: [a.reshape(1, -1)])
    return [[weight, bias]]


def _attention(block: nn.MultiHeadAttention, system: str) -> Alternatives:
    ours = ("query", "key", "value")
    if system == "torch":
        return _packed_attention(ours)
    if system == "paddle":
        parts = [(f"{path[0]}_proj", path) for path in ours] + [("out_proj", "output")]
        return [[same(f"{a}.{n}", f"{b}.{n}") for a, b in parts for n in ("weight", "bias")]]
    return [_keras_attention(block)] if system == "keras" else []


def _packed_attention(ours: tuple[str, ...]) -> Alternatives:
    """PyTorch: one matrix where query, key and value have inputs of one width, else three."""
    biases = packed("in_proj_bias", [f"{path}.bias" for path in ours], transposed=False)
    output = [turned("out_proj.weight", "output.weight", _TURN)]
    output.append(same("out_proj.bias", "output.bias"))
    whole = packed("in_proj_weight", [f"{path}.weight" for path in ours], transposed=True)
    apart = [turned(f"{path[0]}_proj_weight", f"{path}.weight", _TURN) for path in ours]
    return [[whole, biases, *output], [*apart, biases, *output]]


def _keras_attention(block: nn.MultiHeadAttention) -> list[Part]:
    def heads(count: int) -> Callable[[int], tuple[int, int]]:
        return lambda size: (count, size // count)

    parts = []
    counts = {"query": block.heads, "key": block.key_heads, "value": block.key_heads}
    for path, count in counts.items():
        parts.append(folded(f"{path}_dense/kernel", f"{path}.weight", heads(count), 1))
        parts.append(folded(f"{path}_dense/bias", f"{path}.bias", heads(count), 0))
    parts.append(folded("output_dense/kernel", "output.weight", heads(block.heads), 0))
    return [*parts, same("output_dense/bias", "output.bias")]


SCHEMAS: dict[type, Schema] = {
    nn.Dense: _dense,
    Convolution: _convolution,
    TransposedConvolution: _transposed,
    nn.DepthwiseConv2d: _depthwise,
    nn.SeparableConv2d: _separable,
    nn.BatchNorm: _batch_norm,
    nn.LayerNorm: _norm,
    nn.GroupNorm: _norm,
    nn.InstanceNorm: _norm,
    nn.RMSNorm: _rms_norm,
    nn.Embedding: _table,
    nn.PositionEmbedding: _table,
    nn.PReLU: _slopes,
    nn.Bilinear: _bilinear,
    nn.MultiHeadAttention: _attention,
    nn.RNNCell: cell,
    nn.LSTMCell: cell,
    nn.GRUCell: cell,
    nn.RNN: stack,
    nn.LSTM: stack,
    nn.GRU: stack,
}

# What a block that consists of others calls them there, in the order of its arrays there.
MEMBERS: dict[tuple[type, str], dict[str, str]] = {}
for _system, _cross in (("torch", "multihead_attn"), ("paddle", "cross_attn")):
    _feed_forward = {"feed_forward.up": "linear1", "feed_forward.down": "linear2"}
    MEMBERS[nn.TransformerEncoderLayer, _system] = {
        "attention": "self_attn",
        **_feed_forward,
        "attention_norm": "norm1",
        "feed_forward_norm": "norm2",
    }
    MEMBERS[nn.TransformerDecoderLayer, _system] = {
        "attention": "self_attn",
        "cross_attention": _cross,
        **_feed_forward,
        "attention_norm": "norm1",
        "cross_attention_norm": "norm2",
        "feed_forward_norm": "norm3",
    }
