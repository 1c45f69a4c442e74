"""Padding layers."""

from __future__ import annotations

from typing import Any, ClassVar

from kuai.core.block import Block
from kuai.nn._check import as_array
from kuai.nn._spatial import check_layout, check_padding, check_spatial
from kuai.nn.ops.padding import check_method, pad


class Padded(Block):
    """What padding over one, two and three axes shares."""

    _axes: ClassVar[int]

    def __init__(
        self,
        padding: Any,
        method: str = "constant",
        value: int | float = 0.0,
        layout: str = "channels_last",
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.padding = check_padding(where, padding, self._axes, ())
        self.method = check_method(where, method)
        self.value = value
        self.layout = check_layout(where, layout)

    def forward(self, x: Any) -> Any:
        """The input with elements around it."""
        x = as_array(x)
        check_spatial(x, self._axes, self.layout)
        return pad(x, self.padding, self.method, self.value, self.layout)


class Pad2d(Padded):
    """Elements more around two axes.

    Args:
        padding: how many: an integer, or for each axis an integer or a pair (low, high). The first
            axis comes first; in PyTorch's tuples the last does.
        method: which: "constant" (`value`, the default), "reflect" (as in a mirror on the outermost
            element, which is not repeated), "replicate" (the outermost element) or "circular" (from
            the other end).
        value: for method "constant"; default 0.
        layout: "channels_last" (default), or "channels_first" as in PyTorch, Gluon and Paddle.

    Shape:
        (batch, height, width, channels) → (batch, low + height + high, low + width + high,
        channels).

    Raises:
        ArgumentError: the padding is no integer of at least 0 and no such tuple, method or layout
            are unknown; when called, the input is no array.
        ShapeError: when called, the input has other axes, or no more elements than are to be
            reflected, or fewer than are to be taken from the other end.

    Example:
        >>> nn.Pad2d(((0, 0), (1, 2)), "replicate")(jnp.array([[[[1.0], [2.0]]]])).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0, 2.0]
    """

    _axes = 2


class Pad1d(Padded):
    """Elements more around one axis.

    Args:
        padding: how many: an integer, or a pair in a tuple of its own, ((low, high),).
        method, value, layout: as for `Pad2d`.

    Shape:
        (batch, length, channels) → (batch, low + length + high, channels).

    Raises:
        ArgumentError, ShapeError: as for `Pad2d`.

    Example:
        >>> nn.Pad1d(((0, 2),), value=7.0)(jnp.array([[[1.0], [2.0]]])).ravel().tolist()
        [1.0, 2.0, 7.0, 7.0]
    """

    _axes = 1


class Pad3d(Padded):
    """Elements more around three axes.

    Args:
        padding: how many: an integer, or for each axis an integer or a pair (low, high).
        method, value, layout: as for `Pad2d`.

    Shape:
        (batch, depth, height, width, channels) → (batch, *(low + size + high), channels).

    Raises:
        ArgumentError, ShapeError: as for `Pad2d`.

    Example:
        >>> nn.Pad3d(1)(jnp.ones((1, 2, 3, 4, 5))).shape
        (1, 4, 5, 6, 5)
    """

    _axes = 3
