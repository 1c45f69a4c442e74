"""What the scripts of the four systems share: sizes, numbers, and the order of work.

Each script is run, from the root of this repository, by an interpreter that has its system:

    python -m tests.real_nets.torch_nets make FOLDER SEED WIDTH
    python -m tests.real_nets.torch_nets pack FILE.zip SEED WIDTH
    python -m tests.real_nets.torch_nets answer FOLDER WIDTH

Keras wants KERAS_BACKEND=jax in the environment.

`make` gives each net even random weights (as tests/goldens/make_interop.py does) and writes, with
the system's own saver, NAME.ENDING with the weights and NAME.gradients.ENDING with the gradient of
a fixed function of the outputs in the place of each parameter. expected.npz has each net's input,
output, and the gradient of the input; feature maps stand there with their channels last.

`answer` loads NAME.ENDING, strictly, and writes what each net makes of the input in inputs.npz to
answers.npz.

The committed files are made again by `pack tests/goldens/nets/SYSTEM.zip 0 12`, with the versions
that tests/goldens/make_interop.py names.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

FEATURES, CLASSES = 20, 10
INPUTS = {
    "net": (2, FEATURES),
    "mlp": (2, FEATURES),
    "my_sequential": (2, FEATURES),
    "fixed_hidden": (2, FEATURES),
    "chimera": (2, FEATURES),
    "convolution": (2, 4, 5, 3),  # no two axes alike
    "lstm": (2, 4, 3),  # batch, time, features
    "gru": (2, 4, 3),
    "transformer": (2, 4, 8),
}


class Numbers:
    """Multiples of 1/64 below 1: different in every place, and exact in every float format."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.RandomState(seed)

    def values(self, shape: Any, low: int = -63) -> np.ndarray:
        return (self.generator.randint(low, 64, size=tuple(shape)) / 64).astype(np.float32)

    def of(self, name: str, shape: Any) -> np.ndarray:
        """Values for an array of a name: variances are positive."""
        return self.values(shape, 16 if "var" in name else -63)


def factors(shape: Any) -> np.ndarray:
    """What each output is multiplied by in the function whose gradients are taken: their sum."""
    count = int(np.prod(shape))
    return ((np.arange(count) * 5 % 7 - 3) / 4).reshape(shape).astype(np.float32)


def channels_first(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x


def channels_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def make(system: Any, folder: Path, seed: int, width: int) -> None:
    numbers = Numbers(seed)
    expected = {}
    for name, net in system.nets(width).items():
        x = numbers.values(INPUTS[name])
        system.fill(net, x, numbers)
        system.save(net, str(folder / (name + system.ENDING)))
        y, of_x = system.become_gradients(net, x)
        system.save(net, str(folder / f"{name}.gradients{system.ENDING}"))
        expected.update({f"{name}.input": x, f"{name}.output": y, f"{name}.of_input": of_x})
    np.savez_compressed(folder / "expected.npz", **expected)


def pack(system: Any, file: Path, seed: int, width: int) -> None:
    """`make`, as one small file."""
    with tempfile.TemporaryDirectory() as folder:
        make(system, Path(folder), seed, width)
        shutil.make_archive(str(file.with_suffix("")), "zip", folder)


def answer(system: Any, folder: Path, width: int) -> None:
    inputs = np.load(folder / "inputs.npz")
    answers = {}
    for name, net in system.nets(width).items():
        system.load(net, str(folder / (name + system.ENDING)), inputs[name])
        answers[name] = system.output(net, inputs[name])
    np.savez_compressed(folder / "answers.npz", **answers)


TASKS: dict[str, Any] = {"make": make, "pack": pack, "answer": answer}


def main(system: str) -> None:
    """Do what the command line of a script says."""
    task, place, *counts = sys.argv[1:]
    TASKS[task](sys.modules[system], Path(place), *map(int, counts))
