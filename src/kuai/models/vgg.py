"""VGG: stacks of 3 by 3 convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuai import nn
from kuai.core.block import Block
from kuai.core.unbound import explained
from kuai.models._check import check_each, check_equal_length, check_sizes


@explained()
def vgg(
    stacks: Sequence[int],
    classes: int = 1000,
    *,
    widths: Sequence[int] = (64, 128, 256, 512, 512),
    hidden: int = 4096,
    batch_norm: bool = False,
    dropout: float = 0.5,
) -> nn.Sequential:
    """A VGG network: stacks of 3 by 3 convolutions, each halved by pooling, then Dense layers.

    Args:
        stacks: number of convolutions in each stack.
        classes: number of outputs; default 1000.
        widths: filters of each stack; default those of the paper.
        hidden: units of the two hidden Dense layers; default 4096.
        batch_norm: whether each convolution is followed by batch normalization; default False.
        dropout: share of the hidden Dense outputs dropped in training; default 0.5.

    Shape:
        (batch, height, width, channels) → (batch, classes). Each stack halves height and width,
        which must last for all of them.

    Raises:
        ArgumentError: `stacks` and `widths` differ in length, or a number is out of range.
        ShapeError: when called, the image is too small for the number of stacks.

    Example:
        >>> net = kuai.models.vgg((1, 1), classes=3, widths=(4, 8), hidden=16)
        >>> net(jnp.ones((1, 8, 8, 3))).shape
        (1, 3)

    Reference:
        Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
        recognition" (2015). The average over 7 by 7 regions before the Dense layers is
        torchvision's: it does nothing to images of 224 by 224.
    """
    stacks = check_each("vgg", "stacks", stacks)
    widths = check_each("vgg", "widths", widths)
    check_sizes("vgg", classes=classes, hidden=hidden)
    check_equal_length("vgg", "widths", widths, "stacks", stacks)
    features = nn.Sequential()
    for count, width in zip(stacks, widths, strict=True):
        for _ in range(count):
            features.add(*_convolution(width, batch_norm))
        features.add(nn.MaxPool2d(2))
    head = nn.Sequential(
        nn.AdaptiveAvgPool2d(7),
        nn.Flatten(),
        nn.Dense(hidden, activation="relu"),
        nn.Dropout(dropout),
        nn.Dense(hidden, activation="relu"),
        nn.Dropout(dropout),
        nn.Dense(classes),
    )
    return nn.Sequential(("features", features), ("head", head))


def _convolution(width: int, batch_norm: bool) -> list[Block]:
    if batch_norm:
        return [nn.Conv2d(width, 3, padding=1), nn.BatchNorm(), nn.ReLU()]
    return [nn.Conv2d(width, 3, padding=1, activation="relu")]


def vgg11(classes: int = 1000, **options: Any) -> nn.Sequential:
    """VGG-11; `batch_norm=True` is the one that trains easily.

    Args:
        classes: number of outputs; default 1000.
        **options: as for `vgg`.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Example:
        >>> len(kuai.models.vgg11().blocks(nn.Conv2d))
        8
    """
    return vgg((1, 1, 2, 2, 2), classes, **options)


def vgg13(classes: int = 1000, **options: Any) -> nn.Sequential:
    """VGG-13; `batch_norm=True` is the one that trains easily.

    Args:
        classes: number of outputs; default 1000.
        **options: as for `vgg`.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Example:
        >>> len(kuai.models.vgg13().blocks(nn.Conv2d))
        10
    """
    return vgg((2, 2, 2, 2, 2), classes, **options)


def vgg16(classes: int = 1000, **options: Any) -> nn.Sequential:
    """VGG-16; `batch_norm=True` is the one that trains easily.

    Args:
        classes: number of outputs; default 1000.
        **options: as for `vgg`.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Example:
        >>> len(kuai.models.vgg16().blocks(nn.Conv2d))
        13
    """
    return vgg((2, 2, 3, 3, 3), classes, **options)


def vgg19(classes: int = 1000, **options: Any) -> nn.Sequential:
    """VGG-19; `batch_norm=True` is the one that trains easily.

    Args:
        classes: number of outputs; default 1000.
        **options: as for `vgg`.

    Shape:
        (batch, height, width, channels) → (batch, classes).

    Example:
        >>> len(kuai.models.vgg19().blocks(nn.Conv2d))
        16
    """
    return vgg((2, 2, 4, 4, 4), classes, **options)
