"""`kuai convert`: weights from one system's file to another's."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kuai.cli import nets
from kuai.cli.command import Command, Result
from kuai.cli.options import Option, UsageError, choice, sizes, switch, text
from kuai.cli.settings import Settings
from kuai.core.block import Block
from kuai.core.weights import ENDS
from kuai.errors import KuaiError
from kuai.interop import Moves

_SYSTEMS = ("kuai", "torch", "keras", "paddle", "gluon")
_BY_END = {".safetensors": "kuai", **ENDS}
_HERE = {  # what messages say to those who write Python → what it is on the command line
    "sample:": "--shape gives the shape of one: --shape 28,28,1",
    "system=": "--source gives the system of SOURCE: --source torch",
    "mapping=": "--map gives the mapping: --map encoder=net.0,old_head=",
}
_DETAILS = """\
SOURCE is a weights file that kuai reads (kuai inspect lists it), TARGET the file to write. The net
between them says what kind of layer each array belongs to, and so how it is laid out on both sides.
TARGET's end tells the system: .safetensors kuai, .pt torch, .weights.h5 or .keras keras, .pdparams
paddle, .params gluon; --to tells it otherwise. Neither system need be installed."""


def _pairs(value: str) -> dict[str, str | None]:
    """Names and where they go: "encoder=net.0,old_head="."""
    found = {}
    for pair in value.split(","):
        theirs, sign, ours = pair.partition("=")
        if not sign or not theirs:
            raise ValueError("their=ours with commas between, such as encoder=net.0,old_head=")
        found[theirs] = ours or None
    return found


def _run(settings: Settings) -> Result:
    if "net" not in settings.given:
        raise UsageError("--net: expected the net that the weights are of; give module:factory")
    if _are_one(settings.target, settings.destination):
        raise UsageError(
            f"TARGET: {settings.destination!r} is SOURCE itself, which would be lost; give the "
            "file to write another name"
        )
    system = settings.to or _by_end(settings.destination)
    recipe = nets.recipe(settings, settings.outputs or 10)
    try:
        moves = _converted(recipe.build(), settings, system, _sample(settings, recipe))
    except KuaiError as error:
        for said, here in _HERE.items():
            if said in str(error):
                error.add_note(f"here, {here}")
        raise
    told = f"{moves}"
    if not settings.dry_run:
        told += f"\n{settings.destination} ({system}) is written"
    data = {"from": moves.system, "to": system, "moves": [asdict(row) for row in moves.rows],
            "passed_over": moves.passed_over, "written": not settings.dry_run}  # fmt: skip
    return Result(told, data)


def _converted(net: Block, settings: Settings, system: str, sample: Any) -> Moves:
    """Convert, unless it is a dry run, and tell what goes where."""
    from kuai.interop.nets.loading import Request, load

    request = Request(
        system=settings.source, mapping=settings.map, key=settings.key, sample=sample,
        dry_run=settings.dry_run,
    )  # fmt: skip
    moves = load(net, settings.target, request)
    if not settings.dry_run:
        foreign = {} if system == "kuai" else {"system": system, "sample": sample}
        net.save(settings.destination, **foreign)
    return moves


def _are_one(source: str, destination: str) -> bool:
    ours, theirs = Path(source), Path(destination)
    return ours.exists() and theirs.exists() and ours.samefile(theirs)


def _by_end(destination: str) -> str:
    for end, system in _BY_END.items():
        if destination.endswith(end):
            return system
    raise UsageError(
        f"TARGET: expected a name that ends in one of {', '.join(_BY_END)}, got {destination!r}; "
        "--to tells the system too"
    )


def _sample(settings: Settings, recipe: nets.Recipe) -> np.ndarray | None:
    """Only where it is asked for: most nets need none."""
    if not settings.shape:
        return None
    zeros = np.zeros((1, *settings.shape), np.float32)
    return zeros if recipe.is_code else recipe.sample(settings.shape)


COMMAND = Command(
    "convert",
    "write one system's weights as another's",
    _run,
    (
        nets.NET,
        *nets.SHAPE,
        nets.OUTPUTS,
        Option("source", choice(*_SYSTEMS), "whose layers SOURCE holds, where it does not say",
               None, "SYSTEM"),
        Option("to", choice(*_SYSTEMS), "whose file to write; default by TARGET's end",
               None, "SYSTEM"),
        Option("shape", sizes, "of one input without the batch axis, for nets that flatten",
               None, "SIZES"),
        Option("map", _pairs, "THEIR=OUR,...: what goes where; nothing behind = passes over",
               None, "PAIRS"),
        Option("key", text, "the part of a nested checkpoint, such as state_dict", None, "KEY"),
        switch("dry-run", "show what would go where, and write nothing"),
    ),
    ("SOURCE", "a weights file of any system"),
    _DETAILS,
    ("TARGET", "the file to write"),
)  # fmt: skip
