"""Bad arguments and inputs of the layers in tests/catalogue_norms.py, by the text of each error."""

from __future__ import annotations

import re
from typing import Any

import jax.numpy as jnp
import jaxtyping
import pytest

import kuai
from kuai.errors import ArgumentError, DtypeError, ShapeError

nn: Any = kuai.nn  # so that mypy lets bad arguments pass


@pytest.fixture(autouse=True)
def annotations_not_enforced():
    """As for users, whose constructor arguments no type checker sees."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


CONSTRUCTORS = [
    (lambda: nn.GroupNorm(0), "GroupNorm: expected groups to be an integer of at least 1, got 0"),
    (lambda: nn.GroupNorm(2, axis=None), "GroupNorm: expected axis to be an integer, got None"),
    (lambda: nn.GroupNorm(2, epsilon=-1.0), "GroupNorm: expected epsilon to be a number from 0 up"),
    (lambda: nn.GroupNorm(2, dtype=int), "GroupNorm: expected a floating dtype, got <class 'int'>"),
    (lambda: nn.InstanceNorm(axis="1"), "InstanceNorm: expected axis to be an integer, got '1'"),
    (lambda: nn.InstanceNorm(dtype="i4"), "InstanceNorm: expected a floating dtype, got 'i4'"),
    (lambda: nn.RMSNorm(axes=0), "RMSNorm: expected axes to be an integer of at least 1, got 0"),
    (lambda: nn.RMSNorm(epsilon=-1.0), "RMSNorm: expected epsilon to be a number from 0 up"),
    (lambda: nn.LocalResponseNorm(0), "LocalResponseNorm: expected size to be an integer of at"),
    (lambda: nn.LocalResponseNorm(5, alpha=-1), "LocalResponseNorm: expected alpha to be a number"),
    (lambda: nn.LocalResponseNorm(5, k=-1), "LocalResponseNorm: expected k to be a number from 0"),
    (lambda: nn.SpatialDropout(1), "SpatialDropout: expected rate to be a number from 0 up to"),
    (
        lambda: nn.SpatialDropout(0.5, layout="NHWC"),
        "SpatialDropout: expected layout 'channels_last' or 'channels_first', got 'NHWC'; write",
    ),
    (lambda: nn.SpatialDropout(0.5, layout="NHWC"), "for example layout='channels_last'"),
    (lambda: nn.DropPath(-0.5), "DropPath: expected rate to be a number from 0 up to below 1, got"),
    (lambda: nn.AlphaDropout(1), "AlphaDropout: expected rate to be a number from 0 up to below 1"),
    (lambda: nn.AlphaDropout(0.5, shared_axes=("a",)), "AlphaDropout: expected shared_axes to be"),
    (lambda: nn.GaussianNoise(-1), "GaussianNoise: expected std to be a number from 0 up"),
    (lambda: nn.GaussianDropout(1), "GaussianDropout: expected rate to be a number from 0 up to"),
    (lambda: nn.PReLU(axis=0.5), "PReLU: expected axis to be an integer, got 0.5; write for"),
    (lambda: nn.PReLU(dtype="int8"), "PReLU: expected a floating dtype, got 'int8'"),
    (
        lambda: nn.RReLU(0.5, 0.25),
        "RReLU: expected low to be no more than high, got low=0.5 and high=0.25; write RReLU(0.25,",
    ),
    (lambda: nn.Maxout(0), "Maxout: expected pieces to be an integer of at least 1, got 0"),
    (lambda: nn.HardShrink(-1.0), "HardShrink: expected threshold to be a number from 0 up"),
    (lambda: nn.SoftShrink(-1.0), "SoftShrink: expected threshold to be a number from 0 up"),
    (lambda: nn.Softplus(0.0), "Softplus: expected beta above 0, got 0.0; write for example beta"),
    (
        lambda: nn.HardTanh(1.0, 1.0),
        "HardTanh: expected low below high, got low=1.0 and high=1.0; write for example HardTanh(",
    ),
    (lambda: nn.Softmin(axis=None), "Softmin: expected axis to be an integer, got None; write"),
    (lambda: nn.Sparsemax(axis=None), "Sparsemax: expected axis to be an integer, got None; write"),
]


@pytest.mark.parametrize(("make", "text"), CONSTRUCTORS)
def test_a_bad_argument_is_named(make, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        make()


SHAPES = [
    (
        lambda: nn.GroupNorm(2),
        (4,),
        "0 (GroupNorm): expected an input of at least 2 axes, got",
    ),
    (
        lambda: nn.GroupNorm(3),
        (2, 4),
        (
            "0 (GroupNorm): expected a number of features that 3 groups divide, got 4 on axis 1 of "
            "shape (2, 4); choose groups that divide 4"
        ),
    ),
    (
        lambda: nn.GroupNorm(1, axis=0),
        (2, 4),
        (
            "0 (GroupNorm): expected the features on another axis than the first, which is the "
            "batch's, got axis=0 for shape (2, 4); choose another axis, or add a batch axis"
        ),
    ),
    (lambda: nn.GroupNorm(1, axis=2), (2, 4), "expected an input with an axis 2, got shape (2, 4)"),
    (nn.InstanceNorm, (2, 4), "InstanceNorm): expected an input of at least 3 axes, got shape"),
    (
        nn.InstanceNorm,
        (2, 1, 1, 4),
        (
            "0 (InstanceNorm): expected at least two places for each feature of an example, got "
            "shape (2, 1, 1, 4); use GroupNorm, which joins features"
        ),
    ),
    (lambda: nn.RMSNorm(axes=2), (4,), "RMSNorm): expected an input of more than 2 axes, got"),
    (lambda: nn.RMSNorm(2), (3, 2), "0 (RMSNorm): expected an input of more than 2 axes, got"),
    (lambda: nn.RMSNorm(), (), "0 (RMSNorm): expected an input of at least 1 axis, got shape ()"),
    (
        lambda: nn.LayerNorm(2),
        (3, 2),
        (
            "0 (LayerNorm): expected an input of more than 2 axes, got shape (3, 2): the argument "
            "axes=2 counts the axes that are normalized together, from the last on, and the first "
            "one stays; features are inferred, so leave it out to normalize over the last axis"
        ),
    ),
    (lambda: nn.LayerNorm(64), (8, 64), "got shape (8, 64): the argument axes=64 counts the axes"),
    (lambda: nn.LayerNorm(2, use_scale=False, use_bias=False), (3, 2), "more than 2 axes, got"),
    (lambda: nn.LocalResponseNorm(3, axis=2), (2, 4), "expected an input with an axis 2, got"),
    (lambda: nn.SpatialDropout(0.5), (4,), "0 (SpatialDropout): expected an input of at least 2"),
    (lambda: nn.DropPath(0.5), (), "0 (DropPath): expected an input of at least 1 axis, got shape"),
    (lambda: nn.PReLU(axis=2), (2, 4), "0 (PReLU): expected an input with an axis 2, got shape"),
    (
        lambda: nn.Maxout(3),
        (2, 4),
        (
            "0 (Maxout): expected a size on axis -1 that 3 pieces divide, got shape (2, 4); make "
            "it a multiple of 3 in the layer before"
        ),
    ),
]


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize(("make", "shape", "text"), SHAPES)
def test_a_bad_shape_is_named_with_its_path(make, shape, text, hybridized):
    net = nn.Sequential(make()).hybridize(hybridized)
    with pytest.raises(ShapeError, match=re.escape(text)):
        net(jnp.ones(shape))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: nn.GroupNorm(2),
            "0 (GroupNorm): expected an input with 4 features on axis 2, got",
        ),
        (
            lambda: nn.InstanceNorm(use_bias=True),
            "0 (InstanceNorm): expected an input with 4 features on axis 2, got shape (2, 3, 6)",
        ),
        (nn.RMSNorm, "0 (RMSNorm): expected an input that ends in (4,), got shape (2, 3, 6); give"),
        (lambda: nn.PReLU(axis=-1), "0 (PReLU): expected an input with 4 features on axis 2, got"),
    ],
)
def test_another_width_later_is_an_error(make, text):
    net = nn.Sequential(make())
    net(jnp.ones((2, 3, 4)))
    with pytest.raises(ShapeError, match=re.escape(text)):
        net(jnp.ones((2, 3, 6)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.GroupNorm(2), nn.InstanceNorm, nn.RMSNorm, lambda: nn.LocalResponseNorm(3),
        lambda: nn.SpatialDropout(0.5), lambda: nn.DropPath(0.5), lambda: nn.AlphaDropout(0.5),
        lambda: nn.GaussianNoise(1.0), lambda: nn.GaussianDropout(0.5), nn.PReLU, nn.RReLU,
        lambda: nn.Maxout(2), lambda: nn.Threshold(0.0),
    ],
)  # fmt: skip
def test_integers_are_refused(make):
    with pytest.raises(DtypeError, match=r"expected a floating input, got int32 of shape \(2, 3,"):
        make()(jnp.ones((2, 3, 4), int))
