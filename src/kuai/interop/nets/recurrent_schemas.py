"""Recurrent layers in other systems: packings, orders of gates, one bias or two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kuai import nn
from kuai.interop.nets.parts import Arrays, Part, reordered, same, turned

_OURS = ("input_weight", "recurrent_weight", "bias", "recurrent_bias")
_IN_PROGRAMS = ("w_0", "w_1", "b_0", "b_1")  # of Paddle, which numbers a cell's arrays
_KERAS_GATES = (1, 0, 2)  # of a GRU: reset, update and new here; update, reset and new there


def cell(block: Any, system: str) -> list[list[Part]]:
    """A cell by itself."""
    if system == "keras":
        return [_keras_cell(block, "", "")]
    names = {
        "torch": ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
        "paddle": ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
        "gluon": ("i2h_weight", "h2h_weight", "i2h_bias", "h2h_bias"),
    }[system]
    return [_four(names, ""), *([_four(_IN_PROGRAMS, "")] if system == "paddle" else [])]


def stack(block: Any, system: str) -> list[list[Part]]:
    """Layers of cells, one or two for each layer."""
    if system == "keras":
        return []  # a layer of theirs for each of ours: `keras_layer`
    ways = 2 if block.bidirectional else 1
    found = []
    for naming in [_gluon_1, _gluon_2] if system == "gluon" else [_torch]:
        parts = []
        for place in range(block.layers * ways):
            layer, way = divmod(place, ways)
            four = _four(naming(layer, way, ways), f"cells.{place}.")
            parts += _with_copies(four, layer, way, ways) if system == "paddle" else four
        found.append(parts)
    return found + (_of_program(block.layers * ways) if system == "paddle" else [])


def _of_program(count: int) -> list[list[Part]]:
    """Cells of Paddle's programs, which know no stack: a mapping leads each to its path here."""
    starts = [f"cells.{place}." for place in range(count)]
    apart = [part for start in starts for part in _four([start + n for n in _IN_PROGRAMS], start)]
    return [apart, _four(_IN_PROGRAMS, starts[0])] if count == 1 else [apart]


def keras_layer(block: Any, layer: int) -> list[list[Part]]:
    """One layer of a stack, in one direction or two."""
    if not block.bidirectional:
        return [_keras_cell(block.cells[layer], "cell/", f"cells.{layer}.")]
    ahead, back = 2 * layer, 2 * layer + 1
    parts = _keras_cell(block.cells[ahead], "forward_layer/cell/", f"cells.{ahead}.")
    return [parts + _keras_cell(block.cells[back], "backward_layer/cell/", f"cells.{back}.")]


def _torch(layer: int, way: int, _: int) -> list[str]:
    """PyTorch's names, and Paddle's."""
    end = f"_l{layer}{'_reverse' * way}"
    return [f"{kind}_{side}{end}" for kind in ("weight", "bias") for side in ("ih", "hh")]


def _with_copies(parts: list[Part], layer: int, way: int, ways: int) -> list[Part]:
    """Paddle's state has each array once more, under the name of its cell."""
    start = f"{layer}.cell{('_fw', '_bw')[way] if ways == 2 else ''}."
    return [
        replace(part, copies=(start + part.theirs[0].removesuffix("_reverse").rpartition("_")[0],))
        for part in parts
    ]


def _gluon_1(layer: int, way: int, ways: int) -> list[str]:
    """MXNet 1 saves under the names that unfused cells would have."""
    start = f"_unfused.{layer}." + (f"{'lr'[way]}_cell." if ways == 2 else "")
    return [f"{start}{side}_{kind}" for kind in ("weight", "bias") for side in ("i2h", "h2h")]


def _gluon_2(layer: int, way: int, _: int) -> list[str]:
    start = f"{'lr'[way]}{layer}_"
    return [f"{start}{side}_{kind}" for kind in ("weight", "bias") for side in ("i2h", "h2h")]


def _four(names: Any, path: str) -> list[Part]:
    """Weights as (gates, inputs), and two biases."""
    weights = [turned(n, path + o, (1, 0)) for n, o in zip(names[:2], _OURS[:2], strict=True)]
    return weights + [same(n, path + o) for n, o in zip(names[2:], _OURS[2:], strict=True)]


def _keras_cell(block: Any, theirs: str, ours: str) -> list[Part]:
    parts = [
        same(theirs + "kernel", ours + "input_weight"),
        same(theirs + "recurrent_kernel", ours + "recurrent_weight"),
    ]
    biases = (ours + "bias", ours + "recurrent_bias")
    if not isinstance(block, nn.GRUCell):
        return [*parts, Part((theirs + "bias",), biases, _with_zeros, _sum, "the second is zeros")]
    both = Part((theirs + "bias",), biases, list, lambda *rows: [np.stack(rows)], "split")
    return [reordered(part, 3, _KERAS_GATES) for part in (*parts, both)]


def _with_zeros(bias: np.ndarray) -> Arrays:
    return [bias, np.zeros_like(bias)]


def _sum(bias: np.ndarray, recurrent: np.ndarray) -> Arrays:
    return [bias + recurrent]
