"""Which layers of Keras compute what a layer of kuai computes, with which arguments.

A rule takes a layer and gives its layers of Keras, with kuai's numbers: Keras's own defaults differ
(the epsilon of its norms is 1e-3). Of a rule's layers one has the arrays, at the place that
`keras_places` tells; the others have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from kuai import nn
from kuai.interop.nets import keras_spatial_layers as spatial
from kuai.interop.nets.keras_activations import activated, activation_layer, argument, is_activation
from kuai.interop.nets.keras_activations import written as written_activation
from kuai.interop.nets.keras_spot import Layer, Spot
from kuai.nn.conv import Convolution
from kuai.nn.conv_transpose import TransposedConvolution
from kuai.nn.global_pool import Global, GlobalAvgPooling, GlobalMaxPooling
from kuai.nn.pad import Padded
from kuai.nn.pool import AvgPooling, MaxPooling
from kuai.nn.stacked import StackedCells

Rule = Callable[[Spot], list[Layer]]


def layers_of(spot: Spot) -> list[Layer]:
    """The layers of Keras that do what a layer does.

    Raises:
        CheckpointError: Keras has none that are known to do the same.
    """
    if is_activation(spot.block):
        return activation_layer(spot)
    is_own = not type(spot.block).__module__.startswith("kuai.")
    kinds = () if is_own else type(spot.block).__mro__
    rule = next((_RULES[kind] for kind in kinds if kind in _RULES), None)
    if rule is None:
        raise spot.refused("Keras has no layer that is known to do the same in a Sequential")
    return rule(spot)


def rank_after(spot: Spot) -> int:
    """How many axes a layer's output has."""
    block = spot.block
    if isinstance(block, nn.Flatten) or (isinstance(block, Global) and not block.keep_axes):
        return 2
    return spot.rank + 1 if isinstance(block, nn.Embedding) else spot.rank


def _dense(spot: Spot) -> list[Layer]:
    block = spot.block
    layer = Layer("Dense", {"units": block.units, "use_bias": block.bias is not None})
    return activated(spot, layer, block.activation)


def _embedding(spot: Spot) -> list[Layer]:
    return [Layer("Embedding", {"input_dim": spot.block.size, "output_dim": spot.block.features})]


def _flatten(spot: Spot) -> list[Layer]:
    if spot.block.start != 1:
        raise spot.refused(f"Keras flattens all axes but the first, got start={spot.block.start}")
    return [Layer("Flatten")]


def _batch_norm(spot: Spot) -> list[Layer]:
    block = spot.block
    if block.axis % spot.rank == 0:
        raise spot.refused("Keras has the batch on axis 0")
    config = _norm_config(block) | {"axis": block.axis, "momentum": float(block.momentum)}
    return [Layer("BatchNormalization", config)]


def _layer_norm(spot: Spot) -> list[Layer]:
    axes = list(range(-spot.block.axes, 0))
    return [Layer("LayerNormalization", _norm_config(spot.block) | {"axis": axes})]


def _group_norm(spot: Spot) -> list[Layer]:
    groups = spot.block.groups if isinstance(spot.block, nn.GroupNorm) else -1
    axis = spot.block.axis % spot.rank  # of a negative one Keras makes other groups
    config = _norm_config(spot.block) | {"axis": axis, "groups": groups}
    return [Layer("GroupNormalization", config)]


def _norm_config(block: Any) -> dict[str, Any]:
    return {
        "epsilon": float(block.epsilon),
        "scale": block.weight is not None,
        "center": block.bias is not None,
    }


def _rms_norm(spot: Spot) -> list[Layer]:
    block = spot.block
    if block.unit_offset or block.weight is None:
        raise spot.refused("Keras has its scale alone: use_scale=True and unit_offset=False")
    epsilon = np.finfo(np.float32).eps if block.epsilon is None else block.epsilon
    axes = list(range(-block.axes, 0))
    return [Layer("RMSNormalization", {"axis": axes, "epsilon": float(epsilon)})]


def _slopes(spot: Spot) -> list[Layer]:
    axis = None if spot.block.axis is None else spot.block.axis % spot.rank
    return [Layer("PReLU", {"shared_axes": [n for n in range(1, spot.rank) if n != axis]})]


def _recurrent(spot: Spot) -> list[Layer]:
    block = spot.block
    if block.return_state or block.time_major:
        raise spot.refused(
            "in a Sequential of Keras it gives outputs (batch, time, features) alone: "
            "return_state=False and time_major=False"
        )
    layers = []
    for number in range(block.layers):
        if number and block.dropout:
            layers.append(Layer("Dropout", {"rate": float(block.dropout)}, is_helper=True))
        layers.append(_one_or_both_ways(spot, number))
    return layers


def _one_or_both_ways(spot: Spot, number: int) -> Layer:
    """One layer of a stack."""
    cells = spot.block.cells
    if not spot.block.bidirectional:
        return _steps(spot, cells[number])
    ahead = _steps(spot, cells[2 * number]).written(name="forward")
    back = _steps(spot, cells[2 * number + 1]).written(name="backward", go_backwards=True)
    config = {"layer": ahead, "backward_layer": back, "merge_mode": "concat"}
    return Layer("Bidirectional", config)


def _steps(spot: Spot, cell: Any) -> Layer:
    kinds: dict[type, str] = {nn.RNNCell: "SimpleRNN", nn.LSTMCell: "LSTM", nn.GRUCell: "GRU"}
    if type(cell) not in kinds:
        raise spot.refused(f"its cell {type(cell).__name__} is none of kuai")
    config = {"units": cell.units, "use_bias": cell.bias is not None, "return_sequences": True}
    if isinstance(cell, nn.RNNCell):
        config["activation"] = written_activation(argument(spot, cell.activation))
    if isinstance(cell, nn.GRUCell):
        config["reset_after"] = True
    return Layer(kinds[type(cell)], config)


def _dropout(spot: Spot) -> list[Layer]:
    return [_dropped("Dropout", spot, spot.block.shared_axes)]


def _alpha_dropout(spot: Spot) -> list[Layer]:
    return [_dropped("AlphaDropout", spot, spot.block.shared_axes)]


def _spatial_dropout(spot: Spot) -> list[Layer]:
    return [_dropped("Dropout", spot, range(1, spot.rank - 1))]


def _drop_path(spot: Spot) -> list[Layer]:
    return [_dropped("Dropout", spot, range(1, spot.rank))]


def _dropped(kind: str, spot: Spot, shared_axes: Iterable[int]) -> Layer:
    shared = {axis % spot.rank for axis in shared_axes}
    shape = [1 if axis in shared else None for axis in range(spot.rank)]
    return Layer(kind, {"rate": float(spot.block.rate), "noise_shape": shape if shared else None})


_RULES: dict[type, Rule] = {
    nn.Dense: _dense,
    nn.Flatten: _flatten,
    nn.Embedding: _embedding,
    nn.Identity: lambda _: [Layer("Identity")],
    TransposedConvolution: spatial.transposed,
    Convolution: spatial.convolution,
    nn.DepthwiseConv2d: spatial.depthwise,
    nn.SeparableConv2d: spatial.separable,
    MaxPooling: spatial.largest,
    AvgPooling: spatial.mean,
    GlobalMaxPooling: partial(spatial.global_pooling, "Max"),
    GlobalAvgPooling: partial(spatial.global_pooling, "Average"),
    Padded: spatial.padded,
    nn.BatchNorm: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.InstanceNorm: _group_norm,
    nn.RMSNorm: _rms_norm,
    nn.PReLU: _slopes,
    StackedCells: _recurrent,
    nn.Dropout: _dropout,
    nn.AlphaDropout: _alpha_dropout,
    nn.SpatialDropout: _spatial_dropout,
    nn.DropPath: _drop_path,
    nn.GaussianDropout: lambda spot: [Layer("GaussianDropout", {"rate": float(spot.block.rate)})],
    nn.GaussianNoise: lambda spot: [Layer("GaussianNoise", {"stddev": float(spot.block.std)})],
}
