"""The vision transformer."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from kuai import init, nn
from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.models._check import check_heads, check_sizes
from kuai.models.bert import first_token
from kuai.nn._check import as_floating

_INIT = init.truncated_normal(0.02)


class ViT(Block):
    """A vision transformer: patches as tokens, a token for the class, transformer layers.

    Args:
        classes: number of outputs; default 1000.
        image: height and width of the images, in pixels; default 224.
        patch: height and width of a patch; default 16. It divides `image`.
        width: features of a token; default 768 (ViT-B). ViT-S has 384, ViT-L 1024.
        layers: default 12. ViT-L has 24. They are one `nn.Repeat`.
        heads: of the attention; default 12. ViT-S has 6, ViT-L 16.
        hidden: units of the feed-forward blocks; default 4 · width.
        activation: of the feed-forward blocks; default the exact GELU.
        dropout: share dropped in training; default 0.
        epsilon: of the norms; default 1e-12, as in the published weights of Hugging Face;
            torchvision has 1e-6.

    Shape:
        (batch, image, image, channels) → (batch, classes).

    Raises:
        ArgumentError: `patch` does not divide `image`, `heads` does not divide `width`, or a number
            is out of its range; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the images have another size.

    Example:
        >>> net = kuai.models.ViT(3, image=8, patch=4, width=8, layers=2, heads=2)
        >>> net(jnp.ones((2, 8, 8, 1))).shape
        (2, 3)

    Reference:
        Dosovitskiy et al., "An image is worth 16x16 words" (2021).
    """

    token: Any

    def __init__(
        self,
        classes: int = 1000,
        *,
        image: int = 224,
        patch: int = 16,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        hidden: int | None = None,
        activation: Any = None,
        dropout: float = 0.0,
        epsilon: float = 1e-12,
    ) -> None:
        super().__init__()
        check_sizes("ViT", classes=classes, image=image, patch=patch)
        check_sizes("ViT", width=width, layers=layers, heads=heads)
        check_heads("ViT", width, heads)
        hidden = 4 * width if hidden is None else hidden
        check_sizes("ViT", hidden=hidden)
        if image % patch:
            raise ArgumentError(
                f"ViT: expected a patch that divides the image of {image} pixels, got {patch}; "
                "change one of them"
            )
        activation = nn.GELU(approximate=False) if activation is None else activation
        self.image = image

        def layer() -> nn.TransformerEncoderLayer:
            return nn.TransformerEncoderLayer(
                nn.MultiHeadAttention(heads, dropout=dropout, init=_INIT),
                nn.FeedForward(hidden, activation, init=_INIT),
                norm=lambda: nn.LayerNorm(epsilon=epsilon),
                norm_first=True,
                dropout=dropout,
            )

        self.patches = nn.Conv2d(width, patch, strides=patch, init=_INIT)
        self.token = Parameter(shape=(1, 1, width), init=_INIT)
        self.positions = nn.PositionEmbedding((image // patch) ** 2 + 1, init=_INIT)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Repeat(layer, layers)
        self.norm = nn.LayerNorm(epsilon=epsilon)
        self.head = nn.Dense(classes, init=_INIT)

    def forward(self, x: Any) -> Any:
        """Logits of images."""
        x = as_floating(x)
        if x.ndim != 4 or x.shape[1:3] != (self.image, self.image):
            raise ShapeError(
                f"{here()}: expected images (batch, {self.image}, {self.image}, channels), got "
                f"shape {x.shape}; resize them, or make a net for that size"
            )
        patches = self.patches(x)
        batch, height, width, features = patches.shape
        patches = patches.reshape(batch, height * width, features)
        token = jnp.broadcast_to(self.token, (batch, 1, features))
        x = jnp.concatenate([token.astype(patches.dtype), patches], 1)
        x = self.layers(self.dropout(self.positions(x)))
        return self.head(first_token(self.norm(x)))
