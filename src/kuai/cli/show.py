"""`kuai show`: what a net is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from kuai.cli import nets
from kuai.cli.command import Command, Result, log
from kuai.cli.options import Option, UsageError, sizes
from kuai.cli.runs import RECORD
from kuai.cli.settings import Settings
from kuai.cli.targets import trained
from kuai.files import read_arrays
from kuai.show import summarize

_DETAILS = """\
TARGET is the folder of a run, a .safetensors file, mlp or another net that --net knows, or
module:factory of your own. The table
tells each block's path, output shape, parameters and FLOPs of one forward; a block or parameter
that stands in several places is counted once. A weights file without a run beside it is listed
array by array."""


def _run(settings: Settings) -> Result:
    path = Path(settings.target)
    if path.exists() or path.suffix == ".safetensors":
        lonely = not path.is_dir() and not (path.parent / RECORD).is_file()
        return _arrays(path) if lonely and "net" not in settings.given else _of_run(settings)
    if ":" not in settings.target and settings.target not in nets.KNOWN:
        raise UsageError(
            f"TARGET: expected the folder of a run, a .safetensors file, {', '.join(nets.KNOWN)} "
            f"or module:factory, got {settings.target!r}, which is none of them"
        )
    settings.net = settings.target
    recipe = nets.recipe(settings, settings.outputs or 10)
    sample = None if recipe.is_code else recipe.sample(settings.shape)
    if recipe.is_code and settings.shape:
        sample = np.zeros((1, *settings.shape), np.float32)
    return _summary(recipe.build(), sample)


def _of_run(settings: Settings) -> Result:
    found = trained(settings, settings.outputs)
    shape = settings.shape
    return _summary(found.net, np.zeros((1, *shape), np.float32) if shape else found.sample())


def _summary(net: Any, sample: np.ndarray | None) -> Result:
    if sample is None:
        log.info("output shapes and FLOPs need an input's shape without the batch: --shape 28,28,1")
    summary = summarize(net, () if sample is None else (sample,))
    return Result(str(summary), summary.to_dict(), summary)


def _arrays(path: Path) -> Result:
    arrays, metadata = read_arrays(path)
    rows = [
        {"name": name, "shape": list(a.shape), "dtype": str(a.dtype), "elements": a.size}
        for name, a in arrays.items()
    ]
    data: dict[str, Any] = {"arrays": rows, "elements": sum(a.size for a in arrays.values())}
    data["aliases"] = _aliases(metadata)
    return Result(_listing(data), data)


def _aliases(metadata: dict[str, str]) -> dict[str, str]:
    try:
        aliases = json.loads(metadata.get("kuai.aliases", "{}"))
    except (ValueError, RecursionError):
        return {}
    return aliases if isinstance(aliases, dict) else {}


def _listing(data: dict[str, Any]) -> str:
    """One line an array, in columns."""
    rows = [(r["name"], str(tuple(r["shape"])), r["dtype"], f"{r['elements']:,}")
            for r in data["arrays"]]  # fmt: skip
    head = ("array", "shape", "dtype", "elements")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        f"{a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  {d:>{widths[3]}}"
        for a, b, c, d in (head, *rows)
    ]
    lines += [f"{alias} is {first}" for alias, first in data["aliases"].items()]
    return "\n".join([*lines, f"{len(rows)} arrays, {data['elements']:,} elements"])


COMMAND = Command(
    "show",
    "tell what a net is made of: shapes, parameters, FLOPs",
    _run,
    (
        Option("shape", sizes, "of one input, without the batch axis", None, "SIZES"),
        nets.NET,
        *nets.SHAPE,
        nets.OUTPUTS,
    ),
    ("TARGET", "a run's folder, a .safetensors file, a net's name, or module:factory"),
    _DETAILS,
)
