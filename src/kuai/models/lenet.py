"""LeNet-5, the first convolutional network of the books."""

from __future__ import annotations

from typing import Any

from kuai import nn
from kuai.core.unbound import explained
from kuai.models._check import check_sizes


@explained()
def lenet(classes: int = 10, *, activation: Any = "sigmoid") -> nn.Sequential:
    """LeNet-5 as Dive into Deep Learning has it: two convolutions with pooling, three Dense layers.

    Args:
        classes: number of outputs; default 10.
        activation: of the hidden layers; default "sigmoid", as in the book. "relu" trains faster.

    Shape:
        (batch, 28, 28, channels) → (batch, classes). Other sizes from 12 by 12 on do as well.

    Raises:
        ArgumentError: `classes` is no positive integer, or the activation is unknown.

    Example:
        >>> net = kuai.models.lenet()
        >>> net(jnp.ones((1, 28, 28, 1))).shape
        (1, 10)

    Reference:
        LeCun et al., "Gradient-based learning applied to document recognition" (1998).
    """
    check_sizes("lenet", classes=classes)
    return nn.Sequential(
        nn.Conv2d(6, 5, padding=2, activation=activation),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 5, activation=activation),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dense(120, activation=activation),
        nn.Dense(84, activation=activation),
        nn.Dense(classes),
    )
