"""The slopes of PReLU in Keras, which have as many axes as what they are multiplied with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kuai import nn
from kuai.core.block import Block
from kuai.interop.nets.parts import Part
from kuai.interop.nets.tracing import traced
from kuai.interop.nets.units import Unit


def with_axes(net: Block, layers: list[Unit], sample: Any) -> list[Unit]:
    """A net's layers, of which each PReLU writes its slopes with the axes that Keras gives them.

    Args:
        net: the net; it is not changed.
        layers: of the net.
        sample: an input, a tuple of inputs, or None, where nothing is changed.

    Raises:
        ArgumentError: the net does not run on the sample.
    """
    if sample is None or not any(isinstance(unit.block, nn.PReLU) for unit in layers):
        return layers
    ranks = _ranks(net, sample)
    return [
        replace(unit, alternatives=[[_part(unit.block, ranks[unit.path])]])
        if unit.path in ranks
        else unit
        for unit in layers
    ]


def _part(block: Any, rank: int) -> Part:
    """One axis for each of the input but the batch's, of size 1 where a slope is shared."""
    shape = [1] * (rank - 1)
    if block.axis is not None:
        shape[block.axis % rank - 1] = -1
    return Part(
        ("alpha",),
        ("weight",),
        lambda array: [array.reshape(-1)],
        lambda array: [array.reshape(shape)],
        "axes joined",
    )


def _ranks(net: Block, sample: Any) -> dict[str, int]:
    """Path of a PReLU → how many axes its input has."""
    ranks: dict[str, int] = {}

    def watch(copy: Block) -> None:
        for path, block in copy.named_blocks(nn.PReLU):
            block.register_forward_pre_hook(
                lambda _, inputs, at=path: ranks.update({at: np.ndim(inputs[0])})
            )

    traced(net, sample, watch)
    return ranks
