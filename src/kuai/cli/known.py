"""The nets that `--net` knows by name: how they are made, their options, and what they take."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kuai import models
from kuai.cli.options import Option, share, sizes, text, whole
from kuai.core.block import Block
from kuai.errors import DataError

HIDDEN = Option("hidden", sizes, "units of the mlp's hidden layers", (256, 128), "UNITS")
ACTIVATION = Option("activation", text, "of the mlp's hidden layers", "relu", "NAME")
DROPOUT = Option("dropout", share, "share of hidden outputs dropped in training", 0.3, "SHARE")
LAYERS = Option("layers", whole(1), "of the nets for text", 4, "N")
WIDTH = Option("width", whole(1), "of the nets for text", 128, "N")
HEADS = Option("heads", whole(1), "attention heads of gpt-mini", 4, "N")
CONTEXT = Option(
    "context", whole(1), "characters in an example of text:FILE, and positions of gpt-mini", 64, "N"
)
OWN = (HIDDEN, ACTIVATION, DROPOUT, LAYERS, WIDTH, HEADS)  # of nets alone, not of their data
SHAPE = (*OWN, CONTEXT)


@dataclass(frozen=True)
class Known:
    """A net that has a name.

    Args:
        make: (outputs, **options) → the net.
        inputs: the data's inputs → as the net takes them.
        options: those of `SHAPE` that it has.
        shape: of an input as it may be shown with, without the batch axis.
        dtype: of that input.
    """

    make: Callable[..., Block]
    inputs: Callable[[np.ndarray], np.ndarray]
    options: tuple[Option, ...] = ()
    shape: tuple[int, ...] = (64,)  # the digits
    dtype: str = "float32"

    @property
    def takes(self) -> str:
        """What its inputs are, in a word."""
        if self.inputs is as_tokens:
            return "text"
        return "images" if self.inputs is as_images else "numbers"


def as_floats(x: np.ndarray) -> np.ndarray:
    """Whole numbers as the numbers that they are."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def as_images(x: np.ndarray) -> np.ndarray:
    """Images with a last axis of channels; rows of pixels are taken for square images.

    Raises:
        DataError: they are no images.
    """
    side = math.isqrt(x.shape[-1]) if x.ndim == 2 else 0
    if side and side * side == x.shape[-1]:
        x = x.reshape(-1, side, side)
    if x.ndim not in (3, 4):
        raise DataError(
            "expected images (examples, height, width, channels), or as many pixels as a square "
            f"has, got inputs of shape {x.shape}; choose another net, such as --net mlp"
        )
    return as_floats(x if x.ndim == 4 else x[..., None])


def as_tokens(x: np.ndarray) -> np.ndarray:
    """Whole numbers, those of tokens.

    Raises:
        DataError: they are none.
    """
    if x.dtype.kind not in "iu" or x.ndim != 2:
        raise DataError(
            f"expected tokens (examples, length), got {x.dtype} inputs of shape {x.shape}; give "
            "--data text:FILE, or choose another net"
        )
    return x.astype(np.int32)


def _mlp(outputs: int, hidden: Any, activation: str, dropout: float) -> Block:
    return models.mlp(tuple(hidden), outputs, activation=activation, dropout=dropout)


def _gpt(outputs: int, layers: int, width: int, heads: int, dropout: float, context: int) -> Block:
    """Every position is trained: there are as many as characters in an example."""
    return models.GPT2(
        outputs, layers=layers, width=width, heads=heads, positions=context, dropout=dropout
    )


def _lstm(outputs: int, layers: int, width: int, dropout: float) -> Block:
    return models.LSTMLanguageModel(outputs, layers=layers, width=width, dropout=dropout)


def _small(make: Callable[..., Block]) -> Callable[..., Block]:
    return lambda outputs: make(outputs, small_images=True)


KNOWN: dict[str, Known] = {
    "mlp": Known(_mlp, as_floats, (HIDDEN, ACTIVATION, DROPOUT)),
    "lenet": Known(
        lambda outputs: models.lenet(outputs, activation="relu"), as_images, shape=(28, 28)
    ),
    "resnet18": Known(_small(models.resnet18), as_images),
    "resnet34": Known(_small(models.resnet34), as_images),
    "resnet50": Known(_small(models.resnet50), as_images),
    "gpt-mini": Known(_gpt, as_tokens, (LAYERS, WIDTH, HEADS, DROPOUT, CONTEXT), dtype="int32"),
    "lstm": Known(_lstm, as_tokens, (LAYERS, WIDTH, DROPOUT), dtype="int32"),
}
