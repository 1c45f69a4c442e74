"""Bad arguments and inputs of layers with spatial axes: where, expected, got, what to do."""

from __future__ import annotations

import re
from typing import Any

import jax.numpy as jnp
import jaxtyping
import pytest

import kuai
from kuai.errors import ArgumentError, DtypeError, ShapeError
from kuai.nn import ops

nn: Any = kuai.nn  # so that mypy lets bad arguments pass
X = jnp.ones((2, 5, 5, 4))


@pytest.fixture(autouse=True)
def annotations_not_enforced():
    """As for users, whose arguments no type checker sees."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


PADDING = (
    "Conv2d: expected padding to be 'valid', 'same', an integer of at least 0, or for each of 2 "
    "axes one or a (low, high) pair, got {}; write for example padding=1 or padding=((1, 2), "
    "(1, 2))"
)
CONSTRUCTORS = [
    (lambda: nn.Conv2d(0, 3), "Conv2d: expected filters to be an integer of at least 1, got 0"),
    (lambda: nn.Conv2d(4, 0), "Conv2d: expected kernel to be an integer of at least 1, got 0;"),
    (
        lambda: nn.Conv2d(4, (3, -1)),
        "expected kernel to be an integer of at least 1, got -1; write",
    ),
    (
        lambda: nn.Conv2d(4, (3,)),
        (
            "Conv2d: expected kernel to be an integer or a tuple of 2, got (3,); write for example "
            "kernel=(2, 2)"
        ),
    ),
    (lambda: nn.Conv3d(4, (3, 3)), "Conv3d: expected kernel to be an integer or a tuple of 3, got"),
    (
        lambda: nn.Conv1d(4, 3, strides=-2),
        "Conv1d: expected strides to be an integer of at least 1",
    ),
    (lambda: nn.Conv2d(4, 3, dilation=0), "Conv2d: expected dilation to be an integer of at least"),
    (lambda: nn.Conv2d(4, 3, groups=0), "Conv2d: expected groups to be an integer of at least 1"),
    (
        lambda: nn.Conv2d(4, 3, groups=3),
        (
            "Conv2d: expected groups to divide the 4 filters, got groups=3; make the filters a "
            "multiple of the groups"
        ),
    ),
    (lambda: nn.Conv2d(4, 3, padding=-1), PADDING.format("-1")),
    (lambda: nn.Conv2d(4, 3, padding="full"), PADDING.format("'full'")),
    (lambda: nn.Conv2d(4, 3, padding="causal"), PADDING.format("'causal'")),
    (lambda: nn.Conv2d(4, 3, padding=(1, 2, 3)), PADDING.format("(1, 2, 3)")),
    (lambda: nn.Conv2d(4, 3, padding=(1, (2, -1))), PADDING.format("(1, (2, -1))")),
    (lambda: nn.Conv2d(4, 3, padding=(1, (2, 1, 1))), PADDING.format("(1, (2, 1, 1))")),
    (lambda: nn.Conv2d(4, 3, padding=True), PADDING.format("True")),
    (
        lambda: nn.Conv1d(4, 3, padding=(1, 2)),
        (
            "Conv1d: expected padding to be 'valid', 'same', 'causal', an integer of at least 0, "
            "or for each of 1 axis one or a (low, high) pair, got (1, 2); write for example "
            "padding=1 or padding=((1, 2),)"
        ),
    ),
    (
        lambda: nn.Conv2d(4, 3, layout="NCHW"),
        (
            "Conv2d: expected layout 'channels_last' or 'channels_first', got 'NCHW'; write for "
            "example layout='channels_last'"
        ),
    ),
    (lambda: nn.Conv2d(4, 3, dtype=int), "Conv2d: expected a floating dtype, got <class 'int'>"),
    (
        lambda: nn.Conv2d(4, 3, activation="rlu"),
        "Conv2d: expected an activation's name, a function",
    ),
    (
        lambda: nn.ConvTranspose2d(4, 3, 2, output_padding=2),
        (
            "ConvTranspose2d: expected output_padding below strides or dilation, (2, 2), got (2, "
            "2); choose a smaller one"
        ),
    ),
    (
        lambda: nn.ConvTranspose1d(4, 3, output_padding=-1),
        "ConvTranspose1d: expected output_padding",
    ),
    (
        lambda: nn.ConvTranspose1d(4, 3, padding="causal"),
        "padding to be 'valid', 'same', an integer",
    ),
    (lambda: nn.DepthwiseConv2d(3, multiplier=0), "DepthwiseConv2d: expected multiplier to be an"),
    (lambda: nn.SeparableConv2d(-1, 3), "SeparableConv2d: expected filters to be an integer of at"),
    (lambda: nn.MaxPool2d(0), "MaxPool2d: expected pool to be an integer of at least 1, got 0;"),
    (lambda: nn.AvgPool2d(2, strides=(1, 2, 3)), "AvgPool2d: expected strides to be an integer or"),
    (
        lambda: nn.MaxPool1d(2, padding="causal"),
        "MaxPool1d: expected padding to be 'valid', 'same',",
    ),
    (lambda: nn.MaxPool1d(2, layout="last"), "MaxPool1d: expected layout 'channels_last' or"),
    (lambda: nn.AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d: expected size to be an integer of at"),
    (lambda: nn.AdaptiveMaxPool2d((1, 0)), "AdaptiveMaxPool2d: expected size to be an integer of"),
    (
        lambda: nn.AdaptiveMaxPool3d((1, None)),
        "AdaptiveMaxPool3d: expected size to be an integer or",
    ),
    (lambda: nn.GlobalMaxPool1d(layout=1), "GlobalMaxPool1d: expected layout 'channels_last' or"),
    (
        lambda: nn.Pad2d("same"),
        "Pad2d: expected padding to be an integer of at least 0, or for each",
    ),
    (
        lambda: nn.Pad1d(-1),
        "Pad1d: expected padding to be an integer of at least 0, or for each of",
    ),
    (
        lambda: nn.Pad1d(1, "edge"),
        (
            "Pad1d: expected method 'constant', 'reflect', 'replicate', 'circular', got 'edge'; "
            "write for example method='reflect'"
        ),
    ),
    (
        lambda: nn.Upsample(),
        (
            "Upsample: expected either size or scale, got size=None and scale=None; write for "
            "example scale=2"
        ),
    ),
    (lambda: nn.Upsample(2, 4), "Upsample: expected either size or scale, got size=4 and scale=2"),
    (
        lambda: nn.Upsample(0),
        "Upsample: expected scale to be a number above 0 or one for each spatial axis, got 0; ",
    ),
    (lambda: nn.Upsample((2, "3")), "Upsample: expected scale to be a number above 0 or one for"),
    (
        lambda: nn.Upsample(size=-4),
        "Upsample: expected size to be an integer of at least 1, got -4",
    ),
    (
        lambda: nn.Upsample(2, method="lanczos"),
        (
            "Upsample: expected method 'nearest', 'nearest-exact', 'linear', 'bilinear', "
            "'trilinear', 'cubic', 'bicubic', got 'lanczos'; write for example method='linear'"
        ),
    ),
    (
        lambda: nn.Upsample(2, align_corners=True),
        (
            "Upsample: expected a linear or cubic method with align_corners=True, got 'nearest'; "
            "leave align_corners out"
        ),
    ),
    (lambda: nn.PixelShuffle(0), "PixelShuffle: expected factor to be an integer of at least 1,"),
    (
        lambda: nn.PixelUnshuffle(1.5),
        "PixelUnshuffle: expected factor to be an integer of at least",
    ),
    (
        lambda: nn.Bilinear(0),
        "Bilinear: expected units to be an integer of at least 1, got 0; write",
    ),
]


@pytest.mark.parametrize(("make", "text"), CONSTRUCTORS)
def test_a_bad_argument_is_named(make, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        make()


IMAGE = "expected an input of shape (batch, height, width, channels)"
INPUTS = [
    (lambda: nn.Conv2d(4, 3), jnp.ones((5, 5, 4)), ShapeError,
     f"{IMAGE}, got shape (5, 5, 4); add a batch axis with x[None]"),
    (lambda: nn.Conv2d(4, 3), jnp.ones((1, 2, 5, 5, 4)), ShapeError,
     f"{IMAGE}, got shape (1, 2, 5, 5, 4); reshape it"),
    (lambda: nn.Conv2d(4, 3), jnp.ones((2, 0, 5, 4)), ShapeError,
     (f"{IMAGE} with at least one element on each spatial axis, got shape (2, 0, 5, 4); look at "
     "what made it")),
    (lambda: nn.Conv1d(4, 3, layout="channels_first"), X, ShapeError,
     "expected an input of shape (batch, channels, length), got shape (2, 5, 5, 4); reshape it"),
    (lambda: nn.Conv2d(4, 6), X, ShapeError,
     ("expected a padded input no smaller than the kernel reaches, (6, 6), got (5, 5); use a "
     "smaller kernel, more padding or a larger input")),
    (lambda: nn.Conv2d(4, 3, dilation=3, padding=(0, 1)), X, ShapeError,
     "no smaller than the kernel reaches, (7, 7), got (5, 7); use a smaller"),
    (lambda: nn.Conv2d(6, 3, groups=3), X, ShapeError,
     "expected groups to divide the 4 channels of the input, got groups=3; choose a divisor of 4"),
    (lambda: nn.Conv2d(4, 3), [1.0], ArgumentError, "expected an array, got a list of length 1;"),
    (lambda: nn.Conv2d(4, 3), X.astype(int), DtypeError, "expected a floating input, got int32 of"),
    (lambda: nn.ConvTranspose2d(4, 3, padding=4), X, ShapeError,
     "expected padding that leaves an output, got one of size (-1, -1); use less padding or a"),
    (lambda: nn.DepthwiseConv2d(6), X, ShapeError, "expected a padded input no smaller than the"),
    (lambda: nn.MaxPool2d(6), X, ShapeError, "expected a padded input no smaller than the kernel"),
    (lambda: nn.MaxPool2d(3, padding=3), X, ArgumentError,
     ("expected padding below the window's size (3, 3), got ((3, 3), (3, 3)); use less padding or "
     "a larger window")),
    (lambda: nn.MaxPool2d(2), X.astype(complex), DtypeError,
     "expected an input of floats or integers, got complex64 of shape (2, 5, 5, 4); take its real"),
    (lambda: nn.AvgPool2d(2), X.astype(int), DtypeError, "expected a floating input, got int32 of"),
    (lambda: nn.AdaptiveAvgPool1d(2), X, ShapeError, "expected an input of shape (batch, length,"),
    (lambda: nn.GlobalMaxPool3d(), X, ShapeError, "(batch, depth, height, width, channels), got"),
    (lambda: nn.Pad2d(5, "reflect"), X, ShapeError,
     ("expected padding of at most (4, 4) for method 'reflect' on an input of (5, 5), got ((5, 5), "
     "(5, 5)); use less padding or a larger input")),
    (lambda: nn.Pad2d(6, "circular"), X, ShapeError, "expected padding of at most (5, 5) for"),
    (lambda: nn.Upsample(2), jnp.ones((2, 4)), ShapeError,
     "expected an input with a batch axis, one to three spatial axes and channels, got shape (2, "),
    (lambda: nn.Upsample((2, 2, 2)), X, ArgumentError, "expected scale to be a number above 0 or"),
    (lambda: nn.Upsample(size=(2,)), X, ArgumentError, "expected size to be an integer or a tuple"),
    (lambda: nn.Upsample(2, method="trilinear"), X, ShapeError,
     "expected an input with 3 spatial axes for method 'trilinear', got shape (2, 5, 5, 4); use"),
    (lambda: nn.Upsample(0.1), X, ShapeError,
     "expected a scale that leaves an output, got 0.1 for an input of size (5, 5); use a larger"),
    (lambda: nn.PixelShuffle(3), X, ShapeError,
     "expected a multiple of 9 channels, got 4; choose the filters of the layer before"),
    (lambda: nn.PixelUnshuffle(2), X, ShapeError,
     "expected height and width to be multiples of 2, got (5, 5); pad or crop the input"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "x", "error", "text"), INPUTS)
def test_a_bad_input_is_named_with_its_path(make, x, error, text):
    net = nn.Sequential({"first": make()})
    where = f"Sequential: first ({type(net.first).__name__}): "
    for hybridized in (False, True):
        with pytest.raises(error, match=re.escape(where) + ".*" + re.escape(text)):
            net.hybridize(hybridized)(x)
    assert not any(holder.ready for _, holder in net.named_holders())


@pytest.mark.parametrize("make", [lambda: nn.Conv2d(4, 3), lambda: nn.DepthwiseConv2d(3)])
def test_other_channels_later_are_an_error(make):
    net = nn.Sequential(make())
    net(X)
    text = (
        "expected an input with 4 features on axis -1, got shape (2, 5, 5, 3); give it that width"
    )
    with pytest.raises(ShapeError, match=re.escape(text)):
        net(X[..., :3])
    assert net(X).shape == (2, 3, 3, 4)


def test_bilinear_asks_for_two_inputs_that_fit():
    net = nn.Bilinear(3)
    net(jnp.ones((2, 4)), jnp.ones((2, 5)))
    text = (
        "Bilinear: expected two inputs that differ in the last axis only, got shapes (2, 4) and "
        "(3, 5); give both the same batch"
    )
    with pytest.raises(ShapeError, match=re.escape(text)):
        net(jnp.ones((2, 4)), jnp.ones((3, 5)))
    with pytest.raises(ShapeError, match=r"expected an input with 5 features on axis -1, got"):
        net(jnp.ones((2, 4)), jnp.ones((2, 4)))
    with pytest.raises(ShapeError, match=r"expected an input of at least 1 axis, got shape \(\)"):
        nn.Bilinear(3)(1.0, jnp.ones(2))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ops.conv(X, jnp.ones((3, 3, 3, 2))), ShapeError,
         "expected an input with 3 channels (1 groups of 3), got 4 in shape (2, 5, 5, 4); give it"),
        (lambda: ops.conv(X, jnp.ones((4, 2))), ShapeError,
         ("expected a weight of shape (*kernel, inputs / groups, outputs) with one to three kernel "
         "axes, got (4, 2); reshape it")),
        (lambda: ops.conv(X, jnp.ones((3, 3, 2, 3)), groups=2), ArgumentError,
         "expected groups to divide the 3 filters, got groups=2"),
        (lambda: ops.conv(X, jnp.ones((3, 3, 4, 3)), strides=0), ArgumentError,
         "expected strides to be an integer of at least 1, got 0"),
        (lambda: ops.conv(X, jnp.ones((3, 3, 4, 3)), layout="NHWC"), ArgumentError,
         "expected layout 'channels_last' or 'channels_first', got 'NHWC'"),
        (lambda: ops.conv_transpose(X, jnp.ones((3, 3, 4, 3)), padding="causal"), ArgumentError,
         "expected padding to be 'valid', 'same', an integer of at least 0"),
    ],
)  # fmt: skip
def test_a_function_says_what_it_expected(call, error, text):
    with pytest.raises(error, match=re.escape(f"outside any block: {text}")):
        call()
