"""A training as it stands before its first step: data, net, trainer and folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kuai.random
from kuai.cli import datasets, nets, resume, training
from kuai.cli.datasets import Parts
from kuai.cli.nets import Recipe
from kuai.cli.options import Option
from kuai.cli.runs import CHECKPOINT, Run
from kuai.cli.settings import Settings
from kuai.cli.targets import trusted
from kuai.core.block import Block
from kuai.data import Dataset
from kuai.data.sources import TEXT
from kuai.errors import DataError
from kuai.train.trainer import Trainer


@dataclass(frozen=True)
class Session:
    """What a training works on.

    Args:
        settings: of the command; of the run where it is resumed.
        run: the folder.
        data: all of it.
        parts: of the data.
        recipe: of the net.
        net: initialized.
        trainer: of the net, at the checkpoint where the run is resumed.
    """

    settings: Settings
    run: Run
    data: Dataset
    parts: Parts
    recipe: Recipe
    net: Block
    trainer: Trainer

    def arrays(self, part: str, limit: int | None = None) -> tuple[Any, Any] | None:
        """Inputs and targets of a part as the net takes them, None without that part."""
        found = self.parts.get(part)
        if found is None:
            return None
        return self.recipe.inputs(found.x[:limit]), found.y[:limit]


def begin(settings: Settings, options: tuple[Option, ...]) -> Session:
    """Make all ready. The folder changes last, when nothing else can be wrong.

    Args:
        settings: changed in place where a run is resumed.
        options: those that shape the training.
    """
    out = Path(settings.out or default_out(settings))
    recipe = None
    if settings.resume:
        run = Run.open(out)
        recipe = trusted(run, settings)
        resume.adopt(run, settings, options)
    else:
        run = Run.begin(out, force=settings.force)
    session = prepare(settings, run, recipe)
    _take_folder(session, options)
    return session


def prepare(settings: Settings, run: Run, recipe: Recipe | None = None) -> Session:
    """Data, net and trainer; the folder is left alone.

    Args:
        settings: of the training.
        run: where it will be kept.
        recipe: of the net; default what the settings say.
    """
    data = datasets.read(settings.data, settings.context)
    recipe = recipe or nets.recipe(settings, nets.outputs_for(data))
    nets.check_takes(recipe.net, data)
    parts = datasets.part(data, **_split(settings))
    net = _initialized(recipe, parts, settings.seed)
    trainer = training.trainer(net, settings, parts.train)
    return Session(settings, run, data, parts, recipe, net, trainer)


def _split(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("test", "validation", "seed")}


def default_out(settings: Settings) -> str:
    """runs/ and the name of the data."""
    return f"runs/{Path(settings.data.removeprefix(TEXT)).stem}"


def _initialized(recipe: Recipe, parts: Parts, seed: int) -> Block:
    kuai.random.seed(seed)
    net = recipe.build()
    return net.initialize(sample=recipe.inputs(parts.train.x[:1]))


def _take_folder(session: Session, options: tuple[Option, ...]) -> None:
    settings, run = session.settings, session.run
    facts = datasets.facts(settings.data, session.data)
    if settings.resume:
        _check_data(run, facts)
        session.trainer.load(run.path(CHECKPOINT))
    else:
        run.clear()
    run.write(
        status="running",
        settings={option.key: getattr(settings, option.key) for option in options},
        net=session.recipe.to_dict(),
        data=facts,
        split=_split(settings),
    )


def _check_data(run: Run, facts: dict[str, Any]) -> None:
    before = run.record.get("data", {})
    if before.get("fingerprint") != facts["fingerprint"]:
        raise DataError(
            f"{facts['source']}: the data has changed since the run in {run.folder} was begun "
            f"({before.get('examples')} examples then, {facts['examples']} now); "
            "begin again with --force"
        )
