"""What the models refuse, and in which words: every size, and inputs that are no images."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from kuai import models
from kuai.errors import ArgumentError, DtypeError, KuaiError, ShapeError

# A size that is wrong → what the error says. The model is named, never a layer inside.
WRONG: Any = {"a number": 3, "a float": 8.0, "text": "two", "none": None, "floats": (1, 2.5)}
SIZES = [
    (lambda: models.ResNet((0, -2)), "ResNet: expected units to be integers of at least 1 in a"),
    (
        lambda: models.ResNet(WRONG["a number"]),
        r"ResNet: expected units .* got 3; write for example units=\(1, 2",
    ),
    (lambda: models.ResNet(()), r"ResNet: expected units .* got \(\)"),
    (lambda: models.ResNet(WRONG["floats"]), r"ResNet: expected units .* got \(1, 2.5\)"),
    (lambda: models.ResNet((1,), widths=(2,)), "ResNet: expected widths to be .* at least 4"),
    (lambda: models.ResNet((1,), widths=(8, 8)), "ResNet: expected widths to have one number"),
    (lambda: models.ResNet((1,), stem=0), "ResNet: expected stem to be an integer .* got 0"),
    (lambda: models.resnet18(-1), "ResNet: expected classes to be .* got -1"),
    (lambda: models.vgg((0, -1), widths=(4, 8)), r"vgg: expected stacks .* got \(0, -1\)"),
    (lambda: models.vgg((1, 1), widths=(4, 0)), r"vgg: expected widths .* got \(4, 0\)"),
    (lambda: models.vgg((1, 1), widths=(4,)), "vgg: expected widths to have one number for each"),
    (lambda: models.vgg16(hidden=0), "vgg: expected hidden to be .* got 0"),
    (lambda: models.ConvNeXt((0,), (8,)), r"ConvNeXt: expected units .* got \(0,\)"),
    (lambda: models.ConvNeXt((1,), (-8,)), r"ConvNeXt: expected widths .* got \(-8,\)"),
    (lambda: models.ConvNeXt((1,), (8, 8)), "ConvNeXt: expected widths to have one number"),
    (lambda: models.ConvNeXt(patch=0), "ConvNeXt: expected patch to be .* got 0"),
    (lambda: models.ConvNeXt(drop_path=1.5), "ConvNeXt: expected drop_path to be a number"),
    (lambda: models.UNet(depth=-1), "UNet: expected depth to be an integer of at least 0, got -1"),
    (lambda: models.UNet(width=0), "UNet: expected width to be .* got 0"),
    (lambda: models.UNet(WRONG["text"]), "UNet: expected classes to be .* got 'two'"),
    (lambda: models.lenet(0), "lenet: expected classes to be .* got 0"),
    (lambda: models.ViT(image=0), "ViT: expected image to be an integer of at least 1, got 0"),
    (lambda: models.ViT(image=-8), "ViT: expected image to be .* got -8"),
    (lambda: models.ViT(image=WRONG["a float"]), "ViT: expected image to be .* got 8.0"),
    (lambda: models.ViT(image=10, patch=4), "ViT: expected a patch that divides the image of 10"),
    (lambda: models.ViT(patch=0), "ViT: expected patch to be .* got 0"),
    (lambda: models.ViT(width=WRONG["none"]), "ViT: expected width to be .* got None"),
    (lambda: models.ViT(hidden=0), "ViT: expected hidden to be .* got 0"),
    (lambda: models.BERT(hidden=0), "BERT: expected hidden to be .* got 0"),
    (lambda: models.BERT(classes=0), "BERT: expected classes to be .* got 0"),
    (lambda: models.BERT(segments=0), "BERT: expected segments to be .* got 0"),
    (lambda: models.GPT2(hidden=0), "GPT2: expected hidden to be .* got 0"),
    (lambda: models.GPT2(width=-8), "GPT2: expected width to be .* got -8"),
    (lambda: models.GPT2(layers=0), "GPT2: expected layers to be .* got 0"),
    (lambda: models.GPT2(positions=0), "GPT2: expected positions to be .* got 0"),
    (
        lambda: models.GPT2(width=32, heads=5),
        (
            "GPT2: expected heads that divide the width, got width=32 and heads=5; write for "
            "example width=30 or 35"
        ),
    ),
    (lambda: models.ViT(width=2, heads=3), "ViT: expected .* heads=3; write for example width=3$"),
    (lambda: models.BERT(width=8, heads=3), "BERT: expected heads that divide the width"),
    (lambda: models.Llama(width=8, heads=3), "Llama: expected heads that divide the width"),
    (lambda: models.Llama(heads=True), "Llama: expected heads to be .* got True"),
    (lambda: models.Llama(hidden=0), "Llama: expected hidden to be .* got 0"),
    (lambda: models.LSTMLanguageModel(5, layers=0), "LSTMLanguageModel: expected layers .* got 0"),
]


@pytest.mark.parametrize(("make", "message"), SIZES)
def test_a_size_out_of_range_is_told_by_the_model(make, message):
    with pytest.raises(ArgumentError, match=f"^{message}"):
        make()


def test_sizes_may_be_numpys():
    four = np.int64(4)
    net = models.ViT(3, image=2 * four, patch=four, width=four, layers=1, heads=2, hidden=four)
    assert net(jnp.ones((1, 8, 8, 1))).shape == (1, 3)


IMAGES = {
    "ViT": lambda: models.ViT(3, image=8, patch=4, width=8, layers=1, heads=2),
    "UNet": lambda: models.UNet(3, width=2, depth=2),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1.0]], ArgumentError, r"expected an array, got a list of length 1; wrap it in jnp"),
        (None, ArgumentError, "expected an array, got None"),
        (jnp.ones((1, 8, 8, 1), int), DtypeError, "expected a floating input, got int32"),
        (jnp.ones((8, 8, 1)), ShapeError, r"expected images \(batch, .* got shape \(8, 8, 1\)"),
        (
            jnp.ones((1, 9, 8, 1)),
            ShapeError,
            r"expected images .* shape \(1, 9, 8, 1\); .*resize them",
        ),
    ],
)
def test_what_is_no_image_is_told_by_the_net(name, x, error, message):
    with pytest.raises(error, match=f"^{name}: {message}"):
        IMAGES[name]()(x)


@pytest.mark.parametrize(
    ("net", "x"),
    [
        (lambda: models.vgg((1, 1), 3, widths=(4, 8), hidden=16), jnp.ones((1, 3, 3, 1))),
        (lambda: models.lenet(3), jnp.ones((1, 6, 6, 1))),
        (lambda: models.ConvNeXt((1, 1), (4, 8), 3), jnp.ones((1, 4, 4, 1))),
    ],
)
def test_an_image_that_is_too_small_is_told(net, x):
    with pytest.raises(KuaiError, match=r"\(\w+\): expected .* got"):
        net()(x)


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_vit_gives_no_rows_for_no_images(hybridized):
    net = IMAGES["ViT"]().hybridize(hybridized)
    assert net(jnp.ones((0, 8, 8, 1))).shape == (0, 3)
    assert net(jnp.ones((2, 8, 8, 1))).shape == (2, 3)
