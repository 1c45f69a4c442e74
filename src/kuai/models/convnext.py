"""ConvNeXt: a convolutional network in the shape of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from kuai import init, nn
from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.models._check import check_each, check_equal_length, check_sizes
from kuai.nn._check import check_number

_EPSILON = 1e-6


class ConvNeXtUnit(Block):
    """A depthwise 7 by 7 convolution and a network of each place: y = x + scale · f(x).

    Args:
        width: number of channels, in and out.
        drop_path: chance that f(x) is left out of an example in training; default 0.

    Shape:
        (batch, height, width, channels) → the same. `scale` (channels,).

    Example:
        >>> from kuai.models.convnext import ConvNeXtUnit
        >>> ConvNeXtUnit(8)(jnp.ones((1, 4, 4, 8))).shape
        (1, 4, 4, 8)

    Reference:
        Liu et al., "A ConvNet for the 2020s" (2022).
    """

    scale: Any

    def __init__(self, width: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, 7, padding=3, groups=width),
            nn.LayerNorm(epsilon=_EPSILON),
            nn.Dense(4 * width, activation=nn.GELU(approximate=False)),
            nn.Dense(width),
        )
        self.scale = Parameter(jnp.full(width, 1e-6))
        self.drop_path = nn.DropPath(drop_path)

    def forward(self, x: Any) -> Any:
        """X + scale · body(x)."""
        return x + self.drop_path(self.scale * self.body(x))


class ConvNeXt(Block):
    """A ConvNeXt: patches, stages of units, the average over all places, a Dense.

    Args:
        units: number of units in each stage; default those of ConvNeXt-T.
        widths: channels of each stage; default those of ConvNeXt-T.
        classes: number of outputs; default 1000.
        drop_path: chance that the last unit is left out in training; it rises to it from 0 along
            the units. Default 0: the units of a stage are one `nn.Repeat`.
        patch: height and width of the patches that the stem makes a place of; default 4.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Raises:
        ArgumentError: `units` and `widths` differ in length, or a number is out of range.

    Example:
        >>> net = kuai.models.ConvNeXt((1, 1), (8, 16), classes=3)
        >>> net(jnp.ones((1, 32, 32, 3))).shape
        (1, 3)

    Reference:
        Liu et al., "A ConvNet for the 2020s" (2022).
    """

    def __init__(
        self,
        units: Sequence[int] = (3, 3, 9, 3),
        widths: Sequence[int] = (96, 192, 384, 768),
        classes: int = 1000,
        *,
        drop_path: float = 0.0,
        patch: int = 4,
    ) -> None:
        super().__init__()
        units = check_each("ConvNeXt", "units", units)
        widths = check_each("ConvNeXt", "widths", widths)
        check_sizes("ConvNeXt", classes=classes, patch=patch)
        check_number("ConvNeXt", "drop_path", drop_path, 1.0)
        check_equal_length("ConvNeXt", "widths", widths, "units", units)
        rates = iter(_rising(drop_path, sum(units)))
        self.stem = nn.Sequential(
            nn.Conv2d(widths[0], patch, strides=patch), nn.LayerNorm(epsilon=_EPSILON)
        )
        self.stages = [
            _stage(width, [next(rates) for _ in range(count)], halve=stage > 0)
            for stage, (count, width) in enumerate(zip(units, widths, strict=True))
        ]
        self.pool = nn.GlobalAvgPool2d()
        self.norm = nn.LayerNorm(epsilon=_EPSILON)
        self.head = nn.Dense(classes, init=init.truncated_normal(0.02))

    def forward(self, x: Any) -> Any:
        """Logits of images."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(self.norm(self.pool(x)))


def _stage(width: int, rates: list[float], *, halve: bool) -> nn.Sequential:
    stage = nn.Sequential()
    if halve:
        half = nn.Sequential(nn.LayerNorm(epsilon=_EPSILON), nn.Conv2d(width, 2, strides=2))
        stage.add(("half", half))
    if any(rates):
        return stage.add(("units", nn.Sequential(*[ConvNeXtUnit(width, rate) for rate in rates])))
    return stage.add(("units", nn.Repeat(lambda: ConvNeXtUnit(width), len(rates))))


def _rising(last: float, count: int) -> list[float]:
    return [last * place / max(count - 1, 1) for place in range(count)]
