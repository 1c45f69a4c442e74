"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuai import nn
from kuai.core.unbound import explained


@explained()
def mlp(
    hidden: Sequence[int] | int = (256, 128),
    classes: int = 10,
    *,
    activation: Any = "relu",
    dropout: float = 0.0,
) -> nn.Sequential:
    """A multilayer perceptron: hidden Dense layers one after the other, then a Dense of logits.

    Args:
        hidden: units of each hidden layer, from input to output; default (256, 128).
            One number: one hidden layer. Empty: a linear model.
        classes: number of outputs; default 10. For a regression, the number of targets.
        activation: of the hidden layers: a name, a function or a block; default "relu".
        dropout: share of each hidden layer's outputs that is dropped in training; default 0: none.

    Shape:
        (batch, ...) → (batch, classes); all axes but the first are joined.

    Raises:
        ArgumentError: a number of units is no positive integer, or `dropout` is outside [0, 1).

    Example:
        >>> net = kuai.models.mlp(hidden=(32,), classes=3)
        >>> net(jnp.ones((2, 8, 8))).shape
        (2, 3)

    Reference:
        Zhang et al., "Dive into Deep Learning", chapter "Multilayer Perceptrons".
    """
    net = nn.Sequential(nn.Flatten())
    for units in (hidden,) if isinstance(hidden, int) else hidden:
        net.add(nn.Dense(units, activation=activation))
        if dropout:
            net.add(nn.Dropout(dropout))
    return net.add(nn.Dense(classes))
