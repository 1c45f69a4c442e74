"""Convolutions, pooling and padding of kuai as layers of Keras.

Keras knows padding by name alone. Numbers are a layer of zeros in front of it, and of a transposed
convolution, whose padding is cut off, a layer behind it that crops.
"""

from __future__ import annotations

from typing import Any

from kuai.interop.nets.keras_activations import activated
from kuai.interop.nets.keras_spot import Layer, Spot
from kuai.nn._spatial import padding_pairs, sizes_of

Pairs = list[tuple[int, int]]


def convolution(spot: Spot) -> list[Layer]:
    """A convolution over one to three axes."""
    block = spot.block
    front, window = _window(spot, block, block._axes)
    config = window | {"filters": block.filters, "groups": block.groups}
    layer = Layer(f"Conv{block._axes}D", config | {"use_bias": block.bias is not None})
    return [*front, *activated(spot, layer, block.activation)]


def depthwise(spot: Spot) -> list[Layer]:
    """A convolution of each channel by itself."""
    block = spot.block
    front, window = _window(spot, block, 2)
    config = window | {"depth_multiplier": block.multiplier, "use_bias": block.bias is not None}
    return [*front, *activated(spot, Layer("DepthwiseConv2D", config), block.activation)]


def separable(spot: Spot) -> list[Layer]:
    """A convolution of each channel, and one that mixes them."""
    first, second = spot.block.depthwise, spot.block.pointwise
    front, window = _window(spot, first, 2)
    config = window | {"filters": second.filters, "depth_multiplier": first.multiplier}
    layer = Layer("SeparableConv2D", config | {"use_bias": second.bias is not None})
    return [*front, *activated(spot, layer, second.activation)]


def transposed(spot: Spot) -> list[Layer]:
    """A transposed convolution over one to three axes."""
    block, axes = spot.block, spot.block._axes
    if block.groups != 1:
        raise spot.refused(f"Keras has no groups in a transposed convolution, got {block.groups}")
    config = _sizes(spot, block, axes) | {"use_bias": block.bias is not None}
    cut = _cut(spot)
    is_same = block.padding == "same" and not any(sizes_of(block.output_padding, axes))
    config |= {"filters": block.filters, "padding": "same" if is_same else "valid"}
    layers = activated(spot, Layer(f"Conv{axes}DTranspose", config), block.activation)
    if not is_same and any(map(any, cut)):
        layers.append(Layer(f"Cropping{axes}D", {"cropping": _for_axes(cut)}, is_helper=True))
    return layers


def _cut(spot: Spot) -> Pairs:
    """What is cut off at each side of what Keras computes with padding "valid".

    It has (size - 1) · stride + reach elements, or size · stride where the kernel reaches less far.
    """
    block, axes = spot.block, spot.block._axes
    pairs = []
    steps, more = sizes_of(block.strides, axes), sizes_of(block.output_padding, axes)
    for place, (reach, step) in enumerate(zip(_reaches(block, axes), steps, strict=True)):
        if block.padding == "same":
            low = max(reach - step, 0) // 2
            high = reach - step - low
        else:
            low, high = _pairs(block.padding, axes)[place]
        pairs.append((low, high - more[place] + max(step - reach, 0)))
    if min(map(min, pairs)) < 0:
        raise spot.refused(
            f"Keras computes fewer elements than output_padding={block.output_padding!r} asks for"
        )
    return pairs


def largest(spot: Spot) -> list[Layer]:
    """The largest element of each window."""
    block = spot.block
    if block.padding != "same" and any(map(any, _pairs(block.padding, block._axes))):
        raise spot.refused(
            "Keras knows its padding as 'valid' or 'same' alone, and zeros in front of it could be "
            f"the largest, got padding={block.padding!r}"
        )
    return _pooling(spot, "Max", [], "same" if block.padding == "same" else "valid")


def mean(spot: Spot) -> list[Layer]:
    """The mean of each window."""
    block = spot.block
    is_same = block.padding == "same"
    pairs = [] if is_same else _pairs(block.padding, block._axes)
    if is_same and block.count_padding:
        raise spot.refused(
            "Keras leaves the zeros of padding='same' out of the mean; count_padding=False does too"
        )
    if any(map(any, pairs)) and not block.count_padding:
        raise spot.refused(
            "Keras knows its padding as 'valid' or 'same' alone, and zeros in front of it would "
            f"count, got padding={block.padding!r}"
        )
    return _pooling(spot, "Average", _zeros(pairs), "same" if is_same else "valid")


def _pooling(spot: Spot, kind: str, front: list[Layer], padding: str) -> list[Layer]:
    block, axes = spot.block, spot.block._axes
    if block.ceil_mode:
        raise spot.refused("Keras has no windows that reach beyond the input (ceil_mode=True)")
    steps = block.pool if block.strides is None else block.strides
    config = {"pool_size": sizes_of(block.pool, axes), "strides": sizes_of(steps, axes)}
    return [*front, Layer(f"{kind}Pooling{axes}D", config | {"padding": padding})]


def global_pooling(kind: str, spot: Spot) -> list[Layer]:
    """The mean of each channel, or its largest element.

    Args:
        kind: "Average" or "Max".
        spot: of the layer.
    """
    config = {"keepdims": bool(spot.block.keep_axes)}
    return [Layer(f"Global{kind}Pooling{spot.block._axes}D", config)]


def padded(spot: Spot) -> list[Layer]:
    """Zeros around the input."""
    block = spot.block
    if block.method != "constant" or block.value != 0:
        raise spot.refused(f"Keras pads with zeros alone, got {block!r}")
    pairs = _pairs(block.padding, block._axes)
    return [Layer(f"ZeroPadding{block._axes}D", {"padding": _for_axes(pairs)})]


def _window(spot: Spot, block: Any, axes: int) -> tuple[list[Layer], dict[str, Any]]:
    """The zeros in front of a convolution, and where its kernel stands."""
    config = _sizes(spot, block, axes)
    if block.padding in ("same", "causal"):
        return [], config | {"padding": block.padding}
    return _zeros(_pairs(block.padding, axes)), config | {"padding": "valid"}


def _sizes(spot: Spot, block: Any, axes: int) -> dict[str, Any]:
    names = {"kernel_size": block.kernel, "strides": block.strides, "dilation_rate": block.dilation}
    config = {name: sizes_of(sizes, axes) for name, sizes in names.items()}
    if max(config["strides"]) > 1 and max(config["dilation_rate"]) > 1:
        raise spot.refused("Keras has no strides and dilation above 1 in one convolution")
    return config


def _zeros(pairs: Pairs) -> list[Layer]:
    if not any(map(any, pairs)):
        return []
    return [Layer(f"ZeroPadding{len(pairs)}D", {"padding": _for_axes(pairs)}, is_helper=True)]


def _for_axes(pairs: Pairs) -> Any:
    """Of one axis a pair alone, as Keras takes it."""
    return pairs if len(pairs) > 1 else pairs[0]


def _pairs(padding: Any, axes: int) -> Pairs:
    """(low, high) for each axis, from numbers or "valid"."""
    unknown = (0,) * axes
    return list(padding_pairs(padding, unknown, unknown, unknown))


def _reaches(block: Any, axes: int) -> list[int]:
    sizes = zip(sizes_of(block.kernel, axes), sizes_of(block.dilation, axes), strict=True)
    return [(size - 1) * gap + 1 for size, gap in sizes]
