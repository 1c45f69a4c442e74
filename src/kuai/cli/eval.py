"""`kuai eval`: how well a trained net does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kuai.cli import datasets, nets, training
from kuai.cli.command import Command, Result, log
from kuai.cli.options import Option, UsageError, choice, whole
from kuai.cli.settings import Settings
from kuai.cli.targets import TARGET, Trained, data_before, source_of, trained
from kuai.data import Dataset

_DETAILS = """\
On the data that the run was trained on, the part that was held out for the test is taken, which the
net has never seen; --part chooses another. On other data all examples are taken."""

_DATA = replace(datasets.DATA, help=f"{datasets.DATA.help} (default: the run's)", default=None)
_PART = Option("part", choice(*datasets.PARTS, "all"), "train, validation, test, all", None, "PART")


def _run(settings: Settings) -> Result:
    source = settings.data or source_of(settings)
    data = datasets.read_like(source, data_before(settings), settings.context)
    found = trained(settings, nets.outputs_for(data))
    if found.run is not None:
        data = datasets.relabel(data, found.classes)
        x = datasets.in_order(data.name, data.x, data.columns, found.columns)
        data = replace(data, x=x, columns=found.columns)
    part, chosen = _part(found, data, settings.part)
    log.info("%s: %s, %d examples", data.name, part, len(chosen))
    x = found.recipe.inputs(chosen.x)
    judge = training.judge(found.net, chosen)
    scores = judge.evaluate((x, chosen.y), batch_size=settings.batch_size)
    scores = {name: float(value) for name, value in scores.items()}
    about = {"data": source, "part": part, "examples": len(chosen)}
    return Result(_table(scores), {**about, **scores})


def _part(found: Trained, data: Dataset, wanted: str | None) -> tuple[str, Dataset]:
    """The name of a part, and its examples."""
    record = found.run.record if found.run is not None else {}
    known = record.get("data", {}).get("fingerprint") == datasets.fingerprint(data)
    if wanted in (None, "all") and not (known and wanted is None):
        return "all", data
    if not known:
        raise UsageError(
            f"--part {wanted}: {data.name} is not the data that the net was trained on, so it has "
            "no such part; leave --part out"
        )
    parts = datasets.part(data, **record["split"]).present()
    name = wanted or ("test" if "test" in parts else "all")
    if name == "all":
        return "all, also those trained on", data
    if name not in parts:
        raise UsageError(f"--part {name}: the run held out no such part; it has {', '.join(parts)}")
    return name, parts[name]


def _table(scores: dict[str, Any]) -> str:
    return "\n".join(f"{name:12} {value:.4f}" for name, value in scores.items())


COMMAND = Command(
    "eval",
    "tell how well a trained net does",
    _run,
    (
        _DATA,
        _PART,
        Option("batch-size", whole(1), "examples at a time", 256, "N"),
        nets.NET,
        *nets.SHAPE,
        nets.OUTPUTS,
    ),
    TARGET,
    _DETAILS,
)
