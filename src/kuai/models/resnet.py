"""Residual networks, version 1.5: the stride of a bottleneck stands on its 3 by 3 convolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kuai import nn
from kuai.core.block import Block
from kuai.models._check import check_each, check_equal_length, check_sizes


class ResidualUnit(Block):
    """Convolutions around which the input is added: y = relu(shortcut(x) + body(x)).

    Args:
        body: the convolutions.
        shortcut: what the input goes through; None: it is added as it is.

    Shape:
        That of the body's input → that of its output.

    Example:
        >>> from kuai.models.resnet import ResidualUnit
        >>> ResidualUnit(nn.Conv2d(3, 3, padding="same"))(jnp.ones((1, 4, 4, 3))).shape
        (1, 4, 4, 3)

    Reference:
        He et al., "Deep residual learning for image recognition" (2016).
    """

    def __init__(self, body: Block, shortcut: Block | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: Any) -> Any:
        """relu(shortcut(x) + body(x))."""
        return nn.relu(self.body(x) + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(Block):
    """A residual network: a stem, stages of equal units, the average over all places, a Dense.

    The units of a stage after the first are one `nn.Repeat`: compiled once, however many.

    Args:
        units: number of units in each stage.
        classes: number of outputs; default 1000.
        bottleneck: whether the units are bottlenecks; default True.
        widths: filters of each stage; default 64, 128, 256, 512, or four times that with
            bottlenecks, whose 3 by 3 convolutions have a fourth of them.
        stem: filters of the first convolution; default 64.
        small_images: whether the stem keeps the size of the image, a 3 by 3 convolution without
            pooling, for images of 32 by 32 or less; default False: 7 by 7, and a quarter of the
            size.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Raises:
        ArgumentError: `units` and `widths` differ in length, or a number is out of range.

    Example:
        >>> net = kuai.models.ResNet((1, 2), classes=3, widths=(8, 16), stem=4)
        >>> net(jnp.ones((1, 32, 32, 3))).shape
        (1, 3)

    Reference:
        He et al., "Deep residual learning for image recognition" (2016); the place of the stride
        is that of torchvision and of NVIDIA's "ResNet v1.5".
    """

    def __init__(
        self,
        units: Sequence[int],
        classes: int = 1000,
        *,
        bottleneck: bool = True,
        widths: Sequence[int] | None = None,
        stem: int = 64,
        small_images: bool = False,
    ) -> None:
        super().__init__()
        units = check_each("ResNet", "units", units)
        check_sizes("ResNet", classes=classes, stem=stem)
        if widths is None:
            widths = [64 * 2**stage * (4 if bottleneck else 1) for stage in range(len(units))]
        widths = check_each("ResNet", "widths", widths, at_least=4 if bottleneck else 1)
        check_equal_length("ResNet", "widths", widths, "units", units)
        body = _bottleneck if bottleneck else _basic
        self.stem = _stem(stem, small_images)
        self.stages = [
            _stage(body, count, width, 2 if stage else 1, project=stage > 0 or width != stem)
            for stage, (count, width) in enumerate(zip(units, widths, strict=True))
        ]
        self.pool = nn.GlobalAvgPool2d()
        self.head = nn.Dense(classes)

    def forward(self, x: Any) -> Any:
        """Logits of images."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(self.pool(x))


def _stem(width: int, small_images: bool) -> nn.Sequential:
    if small_images:
        return nn.Sequential(_convolution(width, 3), nn.BatchNorm(), nn.ReLU())
    return nn.Sequential(
        _convolution(width, 7, 2),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.MaxPool2d(3, strides=2, padding=1),
    )


def _stage(
    body: Callable[[int, int], Block], count: int, width: int, strides: int, *, project: bool
) -> nn.Sequential:
    shortcut = nn.Sequential(_convolution(width, 1, strides), nn.BatchNorm()) if project else None
    stage = nn.Sequential(("first", ResidualUnit(body(width, strides), shortcut)))
    if count > 1:
        stage.add(("rest", nn.Repeat(lambda: ResidualUnit(body(width, 1)), count - 1)))
    return stage


def _basic(width: int, strides: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(width, 3, strides),
        nn.BatchNorm(),
        nn.ReLU(),
        _convolution(width, 3),
        nn.BatchNorm(),
    )


def _bottleneck(width: int, strides: int) -> nn.Sequential:
    narrow = width // 4
    return nn.Sequential(
        _convolution(narrow, 1),
        nn.BatchNorm(),
        nn.ReLU(),
        _convolution(narrow, 3, strides),
        nn.BatchNorm(),
        nn.ReLU(),
        _convolution(width, 1),
        nn.BatchNorm(),
    )


def _convolution(width: int, kernel: int, strides: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        width, kernel, strides=strides, padding=kernel // 2, use_bias=False, init="he_normal"
    )


def resnet18(classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-18.

    Args:
        classes: number of outputs; default 1000.
        **options: as for `ResNet`.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Example:
        >>> len(kuai.models.resnet18().blocks(nn.Conv2d))
        20
    """
    return ResNet((2, 2, 2, 2), classes, bottleneck=False, **options)


def resnet34(classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-34.

    Args:
        classes: number of outputs; default 1000.
        **options: as for `ResNet`.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Example:
        >>> len(kuai.models.resnet34().blocks(nn.Conv2d))
        36
    """
    return ResNet((3, 4, 6, 3), classes, bottleneck=False, **options)


def resnet50(classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-50.

    Args:
        classes: number of outputs; default 1000.
        **options: as for `ResNet`.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Example:
        >>> len(kuai.models.resnet50().blocks(nn.Conv2d))
        53
    """
    return ResNet((3, 4, 6, 3), classes, **options)


def resnet101(classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-101.

    Args:
        classes: number of outputs; default 1000.
        **options: as for `ResNet`.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Example:
        >>> len(kuai.models.resnet101().blocks(nn.Conv2d))
        104
    """
    return ResNet((3, 4, 23, 3), classes, **options)


def resnet152(classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-152.

    Args:
        classes: number of outputs; default 1000.
        **options: as for `ResNet`.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Example:
        >>> len(kuai.models.resnet152().blocks(nn.Conv2d))
        155
    """
    return ResNet((3, 8, 36, 3), classes, **options)
