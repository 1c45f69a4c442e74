"""Every model of kuai.models: its size as published, and a small one to run.

Numbers of parameters are those of the papers or of torchvision's documentation (the table of
weights, https://docs.pytorch.org/vision/stable/models.html, "Params", in full on each weight's
page); where it is another's, a comment says whose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from kuai import models


class Size(NamedTuple):
    """A model as it was published.

    Attributes:
        make: it.
        parameters: their number.
        sample: shape of an input, of integers if it has two axes.
    """

    make: Callable[[], Any]
    parameters: int
    sample: tuple[int, ...] = (1, 224, 224, 3)


class Small(NamedTuple):
    """A model small enough to run in a test.

    Attributes:
        make: it.
        shape: of an input, with a batch of 2.
        output: shape of what it gives.
        tokens: number of different tokens, where it takes them.
    """

    make: Callable[[], Any]
    shape: tuple[int, ...]
    output: tuple[int, ...]
    tokens: int = 0

    def inputs(self, batch: int = 2, dtype: str = "float32") -> Any:
        """An input."""
        numbers = np.random.default_rng(0)
        shape = (batch, *self.shape[1:])
        if self.tokens:
            # Token 0 is padding for BERT, and so without a gradient.
            return jnp.asarray(numbers.integers(1, self.tokens, shape), "int32")
        return jnp.asarray(numbers.normal(size=shape), dtype)


SIZES = {
    # As in Dive into Deep Learning: 156 + 2416 + 48120 + 10164 + 850.
    "LeNet-5": Size(lambda: models.lenet(), 61_706, (1, 28, 28, 1)),
    "ResNet-18": Size(lambda: models.resnet18(), 11_689_512),
    "ResNet-34": Size(lambda: models.resnet34(), 21_797_672),
    "ResNet-50": Size(lambda: models.resnet50(), 25_557_032),
    "ResNet-101": Size(lambda: models.resnet101(), 44_549_160),
    "ResNet-152": Size(lambda: models.resnet152(), 60_192_808),
    "VGG-11": Size(lambda: models.vgg11(), 132_863_336),
    "VGG-13": Size(lambda: models.vgg13(), 133_047_848),
    "VGG-16": Size(lambda: models.vgg16(), 138_357_544),
    "VGG-19": Size(lambda: models.vgg19(), 143_667_240),
    "VGG-11 with batch norm": Size(lambda: models.vgg11(batch_norm=True), 132_868_840),
    "VGG-16 with batch norm": Size(lambda: models.vgg16(batch_norm=True), 138_365_992),
    "ConvNeXt-T": Size(lambda: models.ConvNeXt(), 28_589_128),
    "ConvNeXt-S": Size(lambda: models.ConvNeXt((3, 3, 27, 3)), 50_223_688),
    "ConvNeXt-B": Size(lambda: models.ConvNeXt((3, 3, 27, 3), (128, 256, 512, 1024)), 88_591_464),
    "ViT-B/16": Size(lambda: models.ViT(), 86_567_656),
    "ViT-B/32": Size(lambda: models.ViT(patch=32), 88_224_232),
    "ViT-L/16": Size(lambda: models.ViT(width=1024, layers=24, heads=16), 304_326_632),
    # The paper's layers with a bias each, added up by hand: 18,842,048 on the way down and at the
    # bottom, 2,786,240 to double the size, 9,402,240 on the way up, 130 for two classes.
    "U-Net": Size(lambda: models.UNet(batch_norm=False), 31_030_658, (1, 32, 32, 1)),
    # GPT-2 "small": 124M in OpenAI's table, in full in the model card of Hugging Face.
    "GPT-2": Size(lambda: models.GPT2(), 124_439_808, (1, 4)),
    # bert-base-uncased for masked tokens: 110M in the paper, in full the model card's 109,514,298.
    "BERT base": Size(lambda: models.BERT(), 109_514_298, (1, 4)),
    # LLaMA 7B: 6.7B in the paper's table 2; in full the model card's 6,738,415,616.
    "Llama 7B": Size(lambda: models.Llama(), 6_738_415_616, (1, 4)),
}
QUICK_SIZES = ("LeNet-5", "ResNet-18", "VGG-16", "ConvNeXt-T", "ViT-B/16", "U-Net")

SMALL = {
    "lenet": Small(lambda: models.lenet(3, activation="tanh"), (2, 12, 12, 1), (2, 3)),
    "vgg": Small(
        lambda: models.vgg((1, 2), 3, widths=(4, 6), hidden=8), (2, 28, 28, 1), (2, 3)
    ),
    "vgg with batch norm": Small(
        lambda: models.vgg((1,), 3, widths=(4,), hidden=8, batch_norm=True), (2, 14, 14, 1), (2, 3)
    ),
    "resnet, basic": Small(
        lambda: models.ResNet((2, 1), 3, bottleneck=False, widths=(4, 6), stem=4),
        (2, 16, 16, 2),
        (2, 3),
    ),
    "resnet, bottlenecks": Small(
        lambda: models.ResNet((1, 3), 3, widths=(8, 12), stem=4, small_images=True),
        (2, 8, 8, 2),
        (2, 3),
    ),
    "convnext": Small(
        lambda: models.ConvNeXt((1, 2), (4, 6), 3, patch=2), (2, 8, 8, 2), (2, 3)
    ),
    "unet": Small(lambda: models.UNet(3, width=2, depth=2), (2, 8, 4, 1), (2, 8, 4, 3)),
    "unet without batch norm": Small(
        lambda: models.UNet(3, width=2, depth=1, batch_norm=False), (2, 4, 4, 1), (2, 4, 4, 3)
    ),
    "vit": Small(
        lambda: models.ViT(3, image=8, patch=4, width=8, layers=2, heads=2), (2, 8, 8, 1), (2, 3)
    ),
    "bert": Small(
        lambda: models.BERT(9, width=8, layers=2, heads=2, positions=6), (2, 5), (2, 5, 9), 9
    ),
    "bert for classes": Small(
        lambda: models.BERT(9, 3, width=8, layers=2, heads=2, positions=6), (2, 5), (2, 3), 9
    ),
    "gpt2": Small(
        lambda: models.GPT2(9, width=8, layers=2, heads=2, positions=6), (2, 5), (2, 5, 9), 9
    ),
    "llama": Small(
        lambda: models.Llama(9, width=8, layers=2, heads=4, key_heads=2, hidden=12),
        (2, 5),
        (2, 5, 9),
        9,
    ),
    "lstm": Small(lambda: models.LSTMLanguageModel(9, width=8), (2, 5), (2, 5, 9), 9),
}  # fmt: skip
QUICK = ("lenet", "resnet, basic", "unet without batch norm", "vit")
