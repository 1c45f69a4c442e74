"""Images of another size as a pure function of arrays, one axis after the other.

Linear and cubic methods multiply by a matrix that is known when the program is made. Its rows are
almost empty, yet sums of gathered elements, or of slices, are quicker only without a gradient: XLA
scatters the gradient of a gather, and on CPU takes ten times as long for that as for the product.
The nearest elements are taken as they are: by slices, where their places soon repeat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError
from kuai.nn._dtypes import as_one_program, widened
from kuai.nn._spatial import (
    Sizes,
    check_any_spatial,
    check_layout,
    check_sizes,
    sizes_of,
    spatial_axes,
)

if TYPE_CHECKING:
    from jaxtyping import Float

_METHODS = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear", "cubic", "bicubic")
_AXES_OF = {"bilinear": 2, "trilinear": 3, "bicubic": 2}
_SHARPNESS = -0.75
_SHORT = 8


def resize(
    x: Float[jax.Array, "*shape"],
    size: Sizes | None = None,
    scale: int | float | Sequence[int | float] | None = None,
    method: str = "nearest",
    align_corners: bool = False,
    layout: str = "channels_last",
) -> Float[jax.Array, "*out_shape"]:
    """The input at more places, or fewer.

    Args:
        x: the input.
        size: of the output, an integer or one for each spatial axis; or None with `scale`.
        scale: size of the output over that of the input, rounded down; a number or one for each
            spatial axis.
        method: "nearest" (the element whose area a place begins in, the default), "nearest-exact"
            (the nearest), "linear" (between two along each axis; also "bilinear" for two axes and
            "trilinear" for three), or "cubic" (between four, with a = -0.75; also "bicubic" for two
            axes). Linear and cubic ones spread what is not finite along the axes.
        align_corners: whether the centres of the outermost elements keep their places, in place of
            the edges of the image; for linear and cubic methods; default False.
        layout: "channels_last" (default) or "channels_first".

    Shape:
        (batch, *sizes, channels) → (batch, *size, channels), in the dtype of x, computed in at
        least float32.

    Raises:
        ArgumentError: an argument is none of these, or not one of size and scale is given.
        ShapeError: x has no or more than three spatial axes, or another number than the method, or
            nothing is left of one.

    Example:
        >>> from kuai.nn import ops
        >>> x = jnp.array([1.0, 2.0]).reshape(1, 2, 1)
        >>> ops.resize(x, scale=2, method="linear").ravel().tolist()
        [1.0, 1.25, 1.75, 2.0]

    Reference:
        Keys, "Cubic convolution interpolation for digital image processing" (1981).
    """
    check_layout(here(), layout)
    axes = check_any_spatial(x, layout)
    check_method(here(), method, align_corners)
    _check_axes_of(method, axes, x.shape)
    lengths = [x.shape[axis] for axis in spatial_axes(x, layout)]
    targets = _targets(lengths, *check_target(here(), size, scale, axes))
    return _resize(x, tuple(spatial_axes(x, layout)), targets, method, align_corners)


@as_one_program
def _resize(
    x: jax.Array,
    axes: tuple[int, ...],
    targets: tuple[tuple[int, float], ...],
    method: str,
    align_corners: bool,
) -> jax.Array:
    y = x.astype(widened(x.dtype))
    for axis, (count, step) in zip(axes, targets, strict=True):
        length = y.shape[axis]
        if method.startswith("nearest"):
            y = _taken(y, axis, _nearest(method, length, count, step))
        else:
            matrix = _matrix(method, length, count, step, align_corners).astype(y.dtype)
            product = jnp.tensordot(y, matrix, (axis, 1), precision=lax.Precision.HIGHEST)
            y = jnp.moveaxis(product, -1, axis)
    return y.astype(x.dtype)


def check_method(where: str, method: Any, align_corners: bool) -> str:
    """The name of a method that goes with `align_corners`.

    Raises:
        ArgumentError: it is none, or does not go with it.
    """
    if method not in _METHODS:
        raise ArgumentError(
            f"{where}: expected method {', '.join(map(repr, _METHODS))}, got {method!r}; write for "
            "example method='linear'"
        )
    if align_corners and method.startswith("nearest"):
        raise ArgumentError(
            f"{where}: expected a linear or cubic method with align_corners=True, got {method!r}; "
            "leave align_corners out"
        )
    return str(method)


def check_target(where: str, size: Any, scale: Any, axes: int | None) -> tuple[Any, Any]:
    """Size and scale, of which one is None; lists become tuples.

    Raises:
        ArgumentError: both or neither are None, or one is not what it should be.
    """
    if (size is None) == (scale is None):
        raise ArgumentError(
            f"{where}: expected either size or scale, got size={size!r} and scale={scale!r}; write "
            "for example scale=2"
        )
    given = scale if size is None else size
    count = axes or (len(given) if isinstance(given, (tuple, list)) else 1)
    if size is not None:
        return check_sizes(where, "size", size, count), None
    several = isinstance(scale, (tuple, list))
    factors = tuple(scale) if several else (scale,)
    if (several and len(factors) != count) or not all(map(_is_factor, factors)):
        raise ArgumentError(
            f"{where}: expected scale to be a number above 0 or one for each spatial axis, got "
            f"{scale!r}; write for example scale=2"
        )
    return None, factors if several else scale


def _is_factor(value: Any) -> bool:
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return real and 0 < value < math.inf


def _check_axes_of(method: str, axes: int, shape: tuple[int, ...]) -> None:
    if _AXES_OF.get(method, axes) != axes:
        raise ShapeError(
            f"{here()}: expected an input with {_AXES_OF[method]} spatial axes for method "
            f"{method!r}, got shape {shape}; use 'linear' or 'cubic', which take any number"
        )


def _targets(lengths: list[int], size: Any, scale: Any) -> tuple[tuple[int, float], ...]:
    """For each axis, how many elements to make, and how far they lie apart in the input."""
    if size is not None:
        sizes = sizes_of(size, len(lengths))
        return tuple((count, n / count) for n, count in zip(lengths, sizes, strict=True))
    factors = scale if isinstance(scale, tuple) else (scale,) * len(lengths)
    counts = [math.floor(length * factor) for length, factor in zip(lengths, factors, strict=True)]
    if 0 in counts:
        raise ShapeError(
            f"{here()}: expected a scale that leaves an output, got {scale} for an input of size "
            f"{tuple(lengths)}; use a larger one"
        )
    return tuple((count, 1 / factor) for count, factor in zip(counts, factors, strict=True))


def _nearest(method: str, length: int, count: int, step: float) -> np.ndarray:
    """The places of the nearest elements, found in float32 as PyTorch does."""
    shift = np.float32(0.5 if method == "nearest-exact" else 0)
    exact = (np.arange(count, dtype=np.float32) + shift) * np.float32(step)
    return np.minimum(np.floor(exact).astype(int), length - 1)


def _matrix(method: str, length: int, count: int, step: float, align_corners: bool) -> np.ndarray:
    """The weights (outputs, inputs); the outermost elements also stand for those beyond them."""
    outputs = np.arange(count)
    if align_corners:
        exact = outputs * ((length - 1) / max(count - 1, 1))
    else:
        exact = (outputs + 0.5) * step - 0.5
    before = np.floor(exact).astype(int)
    weights = (_cubic if method.endswith("cubic") else _linear)(exact - before)
    first = 1 - len(weights) // 2
    matrix = np.zeros((count, length))
    for place, weight in enumerate(weights, start=first):
        np.add.at(matrix, (outputs, np.clip(before + place, 0, length - 1)), weight)
    return matrix


def _linear(t: np.ndarray) -> np.ndarray:
    return np.stack([1 - t, t])


def _cubic(t: np.ndarray) -> np.ndarray:
    return np.stack([_far(1 + t), _near(t), _near(1 - t), _far(2 - t)])


def _near(t: np.ndarray) -> np.ndarray:
    """The weight of an element at a distance up to 1."""
    return ((_SHARPNESS + 2) * t - (_SHARPNESS + 3)) * t * t + 1


def _far(t: np.ndarray) -> np.ndarray:
    """The weight of an element at a distance from 1 to 2."""
    return ((_SHARPNESS * t - 5 * _SHARPNESS) * t + 8 * _SHARPNESS) * t - 4 * _SHARPNESS


def _taken(x: jax.Array, axis: int, places: np.ndarray) -> jax.Array:
    """The elements at the places along one axis."""
    period, step = _period(places)
    if period is None:
        return jnp.take(x, places, axis)
    reach = step * (len(places) // period - 1) + 1
    parts = [lax.slice_in_dim(x, p, p + reach, step, axis) for p in places[:period].tolist()]
    shape = (*x.shape[:axis], len(places), *x.shape[axis + 1 :])
    return jnp.stack(parts, axis + 1).reshape(shape)


def _period(places: np.ndarray) -> tuple[int | None, int]:
    """After how many places all go on by the same step, and that step."""
    for period in range(1, min(_SHORT, len(places)) + 1):
        steps = np.unique(places[period:] - places[:-period])
        if len(places) % period == 0 and len(steps) <= 1 and (steps > 0).all():
            return period, int(steps[0]) if len(steps) else 1
    return None, 0
