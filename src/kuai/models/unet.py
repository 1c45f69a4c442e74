"""U-Net: down to few places and up again, with a way across at every size."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from kuai import nn
from kuai.core.block import Block
from kuai.core.tree import here
from kuai.errors import ShapeError
from kuai.models._check import check_sizes
from kuai.nn._check import as_floating, check_count


class UNet(Block):
    """A U-Net for labels of every pixel.

    Args:
        classes: number of outputs of each pixel; default 2.
        width: filters at the size of the image, doubled with each halving; default 64.
        depth: number of halvings; default 4.
        batch_norm: whether each convolution is followed by batch normalization; default True. The
            paper, which is older, has none.

    Shape:
        (batch, height, width, channels) → (batch, height, width, classes). Convolutions keep the
        size (the paper's lose a border), so height and width must be divisible by 2^depth.

    Raises:
        ArgumentError: a number is out of range; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, height or width is not divisible by 2^depth.

    Example:
        >>> net = kuai.models.UNet(classes=3, width=4, depth=2)
        >>> net(jnp.ones((1, 8, 12, 1))).shape
        (1, 8, 12, 3)

    Reference:
        Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation"
        (2015).
    """

    def __init__(
        self, classes: int = 2, *, width: int = 64, depth: int = 4, batch_norm: bool = True
    ) -> None:
        super().__init__()
        check_sizes("UNet", classes=classes, width=width)
        check_count("UNet", "depth", depth, at_least=0)
        widths = [width * 2**step for step in range(depth)]
        self.down = [_pair(w, batch_norm) for w in widths]
        self.pool = nn.MaxPool2d(2)
        self.bottom = _pair(width * 2**depth, batch_norm)
        self.double = [nn.ConvTranspose2d(w, 2, strides=2) for w in reversed(widths)]
        self.up = [_pair(w, batch_norm) for w in reversed(widths)]
        self.head = nn.Conv2d(classes, 1)

    def forward(self, x: Any) -> Any:
        """Logits of every pixel."""
        x = as_floating(x)
        self._check_divisible(x)
        across = []
        for convolve in self.down:
            x = convolve(x)
            across.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for double, convolve, same_size in zip(self.double, self.up, reversed(across), strict=True):
            x = convolve(jnp.concatenate([same_size, double(x)], -1))
        return self.head(x)

    def _check_divisible(self, x: Any) -> None:
        step = 2 ** len(self.down)
        if x.ndim != 4 or x.shape[1] % step or x.shape[2] % step:
            raise ShapeError(
                f"{here()}: expected images (batch, height, width, channels) with height and width "
                f"divisible by {step}, got shape {x.shape}; pad or resize them"
            )


def _pair(width: int, batch_norm: bool) -> nn.Sequential:
    """Two 3 by 3 convolutions."""
    pair = nn.Sequential()
    for _ in range(2):
        pair.add(nn.Conv2d(width, 3, padding=1, use_bias=not batch_norm, init="he_normal"))
        if batch_norm:
            pair.add(nn.BatchNorm())
        pair.add(nn.ReLU())
    return pair
