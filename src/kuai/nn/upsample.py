"""Layers that change the size of images."""

from __future__ import annotations

from typing import Any

from kuai.core.block import Block
from kuai.nn._check import as_array, as_floating, check_count
from kuai.nn._spatial import check_layout
from kuai.nn.ops.resizing import check_method, check_target, resize
from kuai.nn.ops.shuffling import pixel_shuffle, pixel_unshuffle


class Upsample(Block):
    """The input at more places, or fewer: nearest, linear or cubic, over one to three axes.

    The numbers are those of PyTorch's `interpolate`. Keras agrees for "nearest" and "bilinear"; its
    "bicubic" has a = -0.5, as has `jax.image.resize`, which also leaves out what lies beyond the
    edges (here the outermost elements go on) and smooths where it shrinks (here nothing is
    smoothed).

    Args:
        scale: size of the output over that of the input, rounded down: a number, or a tuple with
            one for each spatial axis; or None with `size`.
        size: of the output: an integer or a tuple; or None with `scale`.
        method: "nearest" (the element whose area a place begins in, the default), "nearest-exact"
            (the nearest), "linear" (between two along each axis; also "bilinear" for two axes and
            "trilinear" for three), or "cubic" (between four, with a = -0.75; also "bicubic" for two
            axes).
        align_corners: whether the centres of the outermost elements keep their places, in place of
            the edges of the image; for linear and cubic methods; default False.
        layout: "channels_last" (default), or "channels_first" as in PyTorch, Gluon and Paddle.

    Shape:
        (batch, *sizes, channels) → (batch, *size, channels), in the dtype of the input.

    Raises:
        ArgumentError: not one of scale and size is given, one is not positive, method or layout are
            unknown, or "nearest" is to align corners; when called, the input is no array, or has
            another number of axes than scale or size.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has no or more than three spatial axes, or another number
            than the method, or nothing would be left.

    Example:
        >>> nn.Upsample(2)(jnp.array([[[1.0], [2.0]]])).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
        >>> nn.Upsample(size=3, method="linear", align_corners=True)(
        ...     jnp.array([[[1.0], [2.0]]])
        ... ).ravel().tolist()
        [1.0, 1.5, 2.0]

    Reference:
        Keys, "Cubic convolution interpolation for digital image processing" (1981).
    """

    def __init__(
        self,
        scale: Any = None,
        size: Any = None,
        method: str = "nearest",
        align_corners: bool = False,
        layout: str = "channels_last",
    ) -> None:
        super().__init__()
        self.size, self.scale = check_target("Upsample", size, scale, None)
        self.method = check_method("Upsample", method, align_corners)
        self.align_corners = align_corners
        self.layout = check_layout("Upsample", layout)

    def forward(self, x: Any) -> Any:
        """The input at other places."""
        return resize(
            as_floating(x), self.size, self.scale, self.method, self.align_corners, self.layout
        )


class PixelShuffle(Block):
    """Channels become places: y[h · factor + i, w · factor + j, c] = x[h, w, (c, i, j)].

    Channel (c · factor + i) · factor + j is meant by (c, i, j), as in PyTorch and Paddle, in both
    layouts. TensorFlow's `depth_to_space` has c last.

    Args:
        factor: by how much height and width grow.
        layout: "channels_last" (default), or "channels_first" as in PyTorch.

    Shape:
        (batch, height, width, channels · factor²) → (batch, height · factor, width · factor,
        channels).

    Raises:
        ArgumentError: `factor` is no positive integer, or the layout is unknown; when called, the
            input is no array.
        ShapeError: when called, the input has other axes, or channels that factor² does not divide.

    Example:
        >>> nn.PixelShuffle(2)(jnp.ones((1, 4, 4, 12))).shape
        (1, 8, 8, 3)

    Reference:
        Shi et al., "Real-time single image and video super-resolution" (2016).
    """

    def __init__(self, factor: int, layout: str = "channels_last") -> None:
        super().__init__()
        self.factor = check_count("PixelShuffle", "factor", factor)
        self.layout = check_layout("PixelShuffle", layout)

    def forward(self, x: Any) -> Any:
        """The same elements at more places."""
        return pixel_shuffle(as_array(x), self.factor, self.layout)


class PixelUnshuffle(Block):
    """Places become channels: what `PixelShuffle` by the same factor makes undone.

    Args:
        factor: by how much height and width shrink.
        layout: "channels_last" (default), or "channels_first" as in PyTorch.

    Shape:
        (batch, height, width, channels) → (batch, height / factor, width / factor, channels ·
        factor²).

    Raises:
        ArgumentError: `factor` is no positive integer, or the layout is unknown; when called, the
            input is no array.
        ShapeError: when called, the input has other axes, or the factor does not divide them.

    Example:
        >>> nn.PixelUnshuffle(2)(jnp.ones((1, 8, 8, 3))).shape
        (1, 4, 4, 12)
    """

    def __init__(self, factor: int, layout: str = "channels_last") -> None:
        super().__init__()
        self.factor = check_count("PixelUnshuffle", "factor", factor)
        self.layout = check_layout("PixelUnshuffle", layout)

    def forward(self, x: Any) -> Any:
        """The same elements in more channels."""
        return pixel_unshuffle(as_array(x), self.factor, self.layout)
