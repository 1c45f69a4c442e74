"""Activations of kuai as those of Keras, where both mean the same.

Names alone do not tell: kuai's gelu is the tanh formula and Keras's the exact one, and the slopes
of leaky_relu differ. So each name is first the block that it stands for, with all its numbers.
Sparsemax is left out: that of Keras 3.15 gives rows whose sum is not 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kuai import nn
from kuai.core.block import Block
from kuai.interop.nets.keras_spot import Layer, Spot, operation
from kuai.nn.activation import kept

Said = str | Layer  # the name of a function of Keras, or what has arguments

_FIXED: dict[type, str] = {
    nn.HardSigmoid: "hard_sigmoid",
    nn.HardSiLU: "hard_silu",
    nn.LogSigmoid: "log_sigmoid",
    nn.Mish: "mish",
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.SELU: "selu",
    nn.Sigmoid: "sigmoid",
    nn.SiLU: "silu",
    nn.SoftSign: "softsign",
    nn.SparsePlus: "sparse_plus",
    nn.SparseSigmoid: "sparse_sigmoid",
    nn.Tanh: "tanh",
    nn.TanhShrink: "tanh_shrink",
}
_WITH_NUMBERS: dict[type, Callable[[Any], Said | None]] = {
    nn.CELU: lambda b: operation("Celu", alpha=float(b.alpha)),
    nn.ELU: lambda b: Layer("ELU", {"alpha": float(b.alpha)}),
    nn.GELU: lambda b: operation("Gelu", approximate=bool(b.approximate)),
    nn.HardShrink: lambda b: operation("HardShrink", threshold=float(b.threshold)),
    nn.HardTanh: lambda b: "hard_tanh" if (b.low, b.high) == (-1, 1) else None,
    nn.LeakyReLU: lambda b: Layer("LeakyReLU", {"negative_slope": float(b.negative_slope)}),
    nn.LogSoftmax: lambda b: operation("LogSoftmax", axis=b.axis),
    nn.SoftShrink: lambda b: operation("SoftShrink", threshold=float(b.threshold)),
    nn.Softmax: lambda b: Layer("Softmax", {"axis": b.axis}),
    nn.Softplus: lambda b: "softplus" if b.beta == 1 else None,
    nn.Squareplus: lambda b: operation("Squareplus", b=float(b.b)),
    nn.Threshold: lambda b: operation(
        "Threshold", threshold=float(b.threshold), default_value=float(b.value)
    ),
}
_NAMED: dict[str, type] = {
    "celu": nn.CELU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hard_shrink": nn.HardShrink,
    "hard_sigmoid": nn.HardSigmoid,
    "hard_silu": nn.HardSiLU,
    "hard_swish": nn.HardSiLU,
    "hard_tanh": nn.HardTanh,
    "leaky_relu": nn.LeakyReLU,
    "log_sigmoid": nn.LogSigmoid,
    "log_softmax": nn.LogSoftmax,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "soft_shrink": nn.SoftShrink,
    "soft_sign": nn.SoftSign,
    "softmax": nn.Softmax,
    "softplus": nn.Softplus,
    "sparse_plus": nn.SparsePlus,
    "sparse_sigmoid": nn.SparseSigmoid,
    "squareplus": nn.Squareplus,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
    "tanh_shrink": nn.TanhShrink,
}


def is_activation(block: Any) -> bool:
    """Whether a block is an activation, or a function."""
    return type(block) in (nn.Activation, nn.Lambda, *_FIXED, *_WITH_NUMBERS)


def activation_layer(spot: Spot) -> list[Layer]:
    """A block that is an activation, or a function, as a layer of Keras.

    Raises:
        CheckpointError: Keras has no such.
    """
    said = _of_block(spot.block)
    if said is None:
        raise spot.refused("Keras has no function that is known to be the same")
    return [as_layer(said)]


def argument(spot: Spot, activation: Any) -> Said:
    """What a layer of Keras is given as `activation`.

    Args:
        spot: of the layer, for an error.
        activation: as a layer of kuai keeps it.

    Raises:
        CheckpointError: Keras has no such.
    """
    said = _said(activation)
    if said is None:
        raise spot.refused(
            f"Keras has no activation that is known to be the same as {activation!r}"
        )
    return said


def activated(spot: Spot, layer: Layer, activation: Any) -> list[Layer]:
    """A layer with its activation: as its argument, or as the layer after it.

    Raises:
        CheckpointError: as for `argument`.
    """
    said = argument(spot, activation)
    if isinstance(said, str):
        return [Layer(layer.kind, layer.config | {"activation": said})]
    follower = as_layer(said)
    return [layer, Layer(follower.kind, follower.config, is_helper=True)]


def as_layer(said: Said) -> Layer:
    """An activation as a layer of its own."""
    if isinstance(said, Layer) and not said.is_operation:
        return said
    return Layer("Activation", {"activation": written(said)})


def written(said: Said) -> str | dict[str, Any]:
    """An activation as config.json has it among a layer's arguments."""
    return said if isinstance(said, str) else said.written()


def _said(activation: Any) -> Said | None:
    if activation is None:
        return "linear"
    if isinstance(activation, Block):
        return _of_block(activation)
    return _of_name(kept(activation, "activation"), {})


def _of_block(block: Any) -> Said | None:
    if type(block) is nn.Activation:
        return _of_name(block.function, block.options)
    if type(block) is nn.Lambda:
        return _said(block.function)
    if type(block) in _FIXED:
        return _FIXED[type(block)]
    return _WITH_NUMBERS[type(block)](block) if type(block) in _WITH_NUMBERS else None


def _of_name(name: Any, options: dict[str, Any]) -> Said | None:
    kind = _NAMED.get(name) if isinstance(name, str) else None
    try:
        return None if kind is None else _of_block(kind(**options))
    except TypeError:  # an option that the block has not
        return None
