"""From what `eval`, `predict` and `show` are given to a net: a run's folder, or a weights file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kuai.cli import nets
from kuai.cli.nets import Recipe
from kuai.cli.options import UsageError
from kuai.cli.runs import RECORD, WEIGHTS, Run
from kuai.cli.settings import Settings
from kuai.core.block import Block
from kuai.errors import FileAccessError, MissingFileError

TARGET = ("RUN_OR_WEIGHTS", "the folder of a run, or a .safetensors file")


@dataclass(frozen=True)
class Trained:
    """A net with its weights, and what is known of how it came about.

    Args:
        name: the target as the user wrote it.
        net: loaded.
        recipe: how it was built.
        run: None for a weights file that stands alone.
    """

    name: str
    net: Block
    recipe: Recipe
    run: Run | None

    @property
    def classes(self) -> list[str] | None:
        """The names of its outputs, if it was trained on classes."""
        return self._names("classes")

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of its inputs, if it was trained on a table that has them."""
        names = self._names("columns")
        return None if names is None else tuple(names)

    @property
    def vocabulary(self) -> list[str] | None:
        """What its tokens stand for, if it was trained on text."""
        return self._names("vocabulary")

    def _names(self, key: str) -> list[str] | None:
        data = self.run.record.get("data", {}) if self.run else {}
        names = data.get(key) if isinstance(data, dict) else None
        return list(map(str, names)) if isinstance(names, list) else None

    def sample(self) -> np.ndarray | None:
        """One input of the shape that it was trained on."""
        data = self.run.record.get("data", {}) if self.run else {}
        if not isinstance(data, dict) or "shape" not in data:
            return None
        return self.recipe.inputs(np.zeros((1, *data["shape"]), data.get("dtype", "float32")))


def existing(target: str) -> Path:
    """The path of a run's folder or a weights file.

    Raises:
        MissingFileError: nothing stands there.
    """
    path = Path(target)
    if not path.exists():
        raise MissingFileError(
            f"{target}: no such file or folder; expected the folder of a run, as kuai train --out "
            "makes it, or a .safetensors file"
        )
    return path


def trained(settings: Settings, outputs: int | None) -> Trained:
    """Build the net that the target names and load its weights.

    Args:
        settings: their `target`, and what says which net it is where no run does.
        outputs: how many the net has, where no run says; None: not known.

    Raises:
        UsageError: it takes more to know which net it is.
        FileAccessError: nothing stands there, or no run.
    """
    path = existing(settings.target)
    folder = path if path.is_dir() else path.parent
    alone = not path.is_dir() and not (folder / RECORD).is_file()
    run = None if alone else Run.open(folder)
    weights = path / WEIGHTS if path.is_dir() else path
    if run is not None and path.is_dir() and not weights.is_file():
        raise FileAccessError(
            f"{folder}: the run is {run.status} and has no {WEIGHTS} yet; "
            f"kuai train --resume --out {folder} goes on with it"
        )
    recipe = _without_run(settings, outputs) if run is None else trusted(run, settings)
    return Trained(settings.target, recipe.build().load(weights), recipe, run)


def data_before(settings: Settings) -> dict[str, Any]:
    """What the target's run keeps of the data that it was trained on; empty where no run says."""
    path = existing(settings.target)
    folder = path if path.is_dir() else path.parent
    if not path.is_dir() and not (folder / RECORD).is_file():
        return {}
    data = Run.open(folder).record.get("data")
    return data if isinstance(data, dict) else {}


def source_of(settings: Settings) -> str:
    """The data that the target's run was trained on, as it was named then.

    Raises:
        UsageError: no run says.
    """
    source = data_before(settings).get("source")
    if isinstance(source, str):
        return source
    raise UsageError(f"{settings.target}: no run says what it was trained on; give --data")


def trusted(run: Run, settings: Settings) -> Recipe:
    """The recipe of a run, unless it would import code that the user did not name.

    Raises:
        UsageError: it would, or the user named another net.
    """
    recipe = run.recipe()
    named = settings.net if "net" in settings.given else None
    if named is not None and named != recipe.net:
        raise UsageError(f"--net {named}: the run's net is {recipe.net!r}; leave --net out")
    if recipe.is_code and named is None:
        raise UsageError(
            f"{run.folder}: its net is {recipe.net}, code of yours or of somebody else; "
            f"--net {recipe.net} says that you want it to run"
        )
    return nets.checked(recipe)


def _without_run(settings: Settings, outputs: int | None) -> Recipe:
    if "net" not in settings.given:
        raise UsageError(
            f"{settings.target}: there is no {RECORD} beside it, so say which net it belongs to: "
            "--net mlp (with its --hidden and --dropout), or --net module:factory"
        )
    outputs = settings.outputs or outputs
    if outputs is None and ":" not in settings.net:
        raise UsageError(f"{settings.target}: say how many outputs the net has: --outputs 10")
    return nets.recipe(settings, outputs or 1)
