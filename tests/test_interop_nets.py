"""The chapter's nets in five systems: one file, one output, one gradient; and back after training.

tests/goldens/nets has what each system wrote; with `KUAI_TORCH_PYTHON` and its like (see
`tests.real_systems`) the systems are asked themselves.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

import kuai
from kuai import interop
from tests.real_nets.kuai_nets import net_of
from tests.real_nets.shared import INPUTS, factors
from tests.real_systems import run_module

GOLDENS = Path(__file__).parent / "goldens" / "nets"
ENDINGS = {"torch": ".pt", "keras": ".weights.h5", "paddle": ".pdparams", "gluon": ".params"}
EPSILONS = {"keras": 1e-3}  # of its norms; the others have kuai's
CASES = [
    (system, name)
    for system in ENDINGS
    for name in INPUTS
    if (system, name) != ("gluon", "transformer")  # Gluon has no such layer
]
NEAR = 1e-5
# Where a class of one's own has other names than the equivalent one here.
NAMES: dict[tuple[str, str], dict[str, str]] = {
    (system, name): names
    for system in ("torch", "paddle")
    for name, names in {
        "my_sequential": {"steps.0": "0", "steps.1": "2"},
        "fixed_hidden": {"dense": "linear"},
        "chimera": {"0.dense": "0.linear", "2.dense": "2.linear"},
    }.items()
}
# The chapter's blocks are models of Keras, which kuai takes for layers where they are in others.
NAMES["keras", "chimera"] = {"layers.nest_mlp.net": "layers.nest_mlp.layers.sequential"}

cases = pytest.mark.parametrize(("system", "name"), CASES, ids=lambda item: item)


@dataclass
class Files:
    """What a system wrote.

    Args:
        system: which.
        folder: where.
        width: of hidden layers.
    """

    system: str
    folder: Path
    width: int

    def __post_init__(self) -> None:
        self.expected = np.load(self.folder / "expected.npz")

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{ENDINGS[self.system]}"

    def input(self, name: str) -> np.ndarray:
        return self.expected[f"{name}.input"]

    def net(self, name: str) -> Any:
        return net_of(name, self.width, EPSILONS.get(self.system, 1e-5))

    def loaded(self, name: str, file: str) -> Any:
        return self.net(name).load(self.path(file), sample=self.input(name))

    def names(self, name: str) -> Any:
        """What `save` is told of names."""
        if (self.system, name) == ("gluon", "my_sequential"):  # layers are numbered as made
            first, second = dict.fromkeys(n.split(".")[0] for n in interop.read(self.path(name)))
            return {"steps.0": first, "steps.1": second}
        return NAMES.get((self.system, name))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Files]:
    """System → the files that are committed."""
    root = tmp_path_factory.mktemp("nets")

    def files(system: str) -> Files:
        if not (root / system).exists():
            shutil.unpack_archive(GOLDENS / f"{system}.zip", root / system)
        return Files(system, root / system, 12)

    return files


def assert_near(found: Any, expected: Any, least: float = 0.0) -> None:
    """Equal within 1e-5 of the largest, or of `least` where that is larger."""
    found, expected = np.asarray(found), np.asarray(expected)
    scalar = found.shape == () and expected.shape == (1,)  # Gluon has no other scalars
    assert found.shape == expected.shape or scalar
    difference = np.abs(found - expected).max()
    scale = max(np.abs(expected).max(), least)
    assert difference <= NEAR * scale, f"{difference / scale:.1e}"


def assert_same_net(files: Files, name: str) -> None:
    """Outputs and gradients are those of the system."""
    net, x = files.loaded(name, name).eval(), files.input(name)
    y, backward = net.vjp(x)
    assert_near(y, files.expected[f"{name}.output"])
    of_parameters, of_x = backward(jax.numpy.asarray(factors(y.shape)))
    assert_near(of_x, files.expected[f"{name}.of_input"])
    expected = gradients(files, name)
    # A gradient that is 0 but for rounding, as that of a key's bias, is small beside the others.
    least = 0.1 * max(np.abs(array).max() for array in expected.values())
    assert of_parameters.keys() == expected.keys()
    for path, gradient in of_parameters.items():
        assert_near(gradient, expected[path], least)


def gradients(files: Files, name: str) -> dict[str, np.ndarray]:
    """Path → the system's gradient of a parameter, which the system saved as if it were one."""
    net = files.loaded(name, f"{name}.gradients")
    found = {path: np.asarray(parameter.array) for path, parameter in net.named_parameters()}
    if (files.system, name) == ("keras", "lstm"):  # one bias there, two here that are added
        biases = {path: path.replace("recurrent_bias", "bias") for path in found}
        found = {path: found[biases[path]] for path in found}
    return found


@cases
def test_a_file_gives_the_outputs_and_gradients_of_its_system(golden, system, name):
    assert_same_net(golden(system), name)


@cases
def test_a_net_is_saved_as_its_own_file_has_it(golden, system, name, tmp_path):
    files = golden(system)
    again = tmp_path / files.path(name).name
    files.loaded(name, name).save(again, like=files.path(name), sample=files.input(name))
    before, after = interop.read(files.path(name)), interop.read(again)
    assert (after.dtypes, after.aliases) == (before.dtypes, before.aliases)
    for array in before:
        np.testing.assert_array_equal(after[array], before[array])


@cases
def test_what_is_saved_for_a_system_is_what_the_system_saves(golden, tmp_path, system, name):
    files = golden(system)
    path = tmp_path / files.path(name).name
    net = files.loaded(name, name)
    net.save(path, system=system, mapping=files.names(name), sample=files.input(name))
    saved, theirs = interop.read(path), interop.read(files.path(name))
    places = "paths" if system == "keras" else None
    assert named(saved, places).keys() == named(theirs, places).keys()
    for place, array in named(saved, places).items():
        np.testing.assert_array_equal(array, named(theirs, places)[place])


def named(weights: Any, places: str | None) -> dict[str, np.ndarray]:
    """Name in the file → array; Keras's names are places."""
    paths = weights.metadata[places] if places else {}
    return {paths.get(name, name): np.asarray(weights[name]) for name in weights}


def trained(files: Files, name: str) -> Any:
    """A net after some steps away from what the system gave."""
    net, x = files.loaded(name, name), files.input(name)
    trainer = kuai.Trainer(net, optax.adam(1e-2), lambda y, _: (y**2).mean())
    trainer.fit((x, np.zeros(len(x), np.float32)), 3, batch_size=len(x), progress=False)
    return net


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Files]:
    """System → files that it has just written, with the widths of the chapter."""
    made: dict[str, Files] = {}

    def files(system: str) -> Files:
        if system not in made:
            folder = tmp_path_factory.mktemp(system)
            run_module(system, f"tests.real_nets.{system}_nets", "make", folder, 1, 256)
            made[system] = Files(system, folder, 256)
        return made[system]

    return files


@pytest.mark.slow
@cases
def test_a_system_asked_now_gives_the_same(live, system, name):
    assert_same_net(live(system), name)


@pytest.mark.slow
@pytest.mark.parametrize("system", ENDINGS)
def test_a_system_loads_what_was_trained_here(live, tmp_path, system):
    files = live(system)
    names = [name for of, name in CASES if of == system]
    outputs = {}
    for name in names:
        net, x = trained(files, name), files.input(name)
        path = tmp_path / files.path(name).name
        net.save(path, system=system, mapping=files.names(name), sample=x)
        outputs[name] = np.asarray(net(x))
        assert not np.allclose(outputs[name], files.expected[f"{name}.output"])
    np.savez(tmp_path / "inputs.npz", **{name: files.input(name) for name in names})
    run_module(system, f"tests.real_nets.{system}_nets", "answer", tmp_path, files.width)
    answers = np.load(tmp_path / "answers.npz")
    for name in names:
        assert_near(outputs[name], answers[name])
