"""Torch's functions in kuai's layouts: channels last, kernels (*sizes, inputs, outputs)."""

from __future__ import annotations

from typing import Any


def module(torch: Any, function: Any, **shapes: tuple[int, ...]) -> Any:
    """A module that computes `function(parameters by name, *inputs)`."""

    class Peer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, shape in shapes.items():
                setattr(self, name, torch.nn.Parameter(torch.zeros(shape)))

        def forward(self, *inputs: Any) -> Any:
            return function(dict(self.named_parameters()), *inputs)

    return Peer()


def over_channels_first(function: Any) -> Any:
    """A function of an array with channels on the second axis, for one with them on the last."""
    return lambda x, *others: function(x.movedim(-1, 1), *others).movedim(1, -1)


def kernel(weight: Any) -> Any:
    """(*sizes, inputs, outputs) → (outputs, inputs, *sizes)."""
    return weight.movedim((-1, -2), (0, 1)).contiguous()


def transposed_kernel(weight: Any, groups: int = 1) -> Any:
    """(*sizes, inputs / groups, outputs) → (inputs, outputs / groups, *sizes)."""
    *sizes, inputs, outputs = weight.shape
    parts = weight.reshape(*sizes, inputs, groups, outputs // groups).movedim(
        (-2, -3, -1), (0, 1, 2)
    )
    return parts.reshape(inputs * groups, outputs // groups, *sizes)
