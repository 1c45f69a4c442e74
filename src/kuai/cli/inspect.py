"""`kuai inspect`: what is in a weights file of any system."""

from __future__ import annotations

import math
from typing import Any

from kuai.cli.command import Command, Result
from kuai.cli.options import Option, text
from kuai.cli.settings import Settings
from kuai.interop.readers.reading import read
from kuai.interop.readers.weights import Weights

_DETAILS = """\
FILE is a weights file of PyTorch, safetensors, Keras, TensorFlow, Paddle, Gluon or NumPy, an
index.json of several, or a folder of these; its content tells which, and nothing in it is run. The
list has each array's name, shape and dtype; only headers are read."""


def _run(settings: Settings) -> Result:
    weights = read(settings.target, key=settings.key, program=settings.program)
    data = _told(weights)
    return Result(_listing(data), data)


def _told(weights: Weights) -> dict[str, Any]:
    dtypes = weights.dtypes
    rows = [
        {"name": name, "shape": list(shape), "dtype": str(dtypes[name]),
         "elements": math.prod(shape)}
        for name, shape in weights.shapes.items()
    ]  # fmt: skip
    return {
        "file": weights.path,
        "system": weights.system,
        "format": weights.format,
        "arrays": rows,
        "elements": sum(row["elements"] for row in rows if row["name"] not in weights.aliases),
        "bytes": weights.nbytes,
        "aliases": weights.aliases,
    }


def _listing(data: dict[str, Any]) -> str:
    """One line an array, in columns; a tied one says whose it is."""
    rows = [
        (_printable(row["name"]), str(tuple(row["shape"])), row["dtype"], f"{row['elements']:,}",
         _printable(data["aliases"].get(row["name"], "")))
        for row in data["arrays"]
    ]  # fmt: skip
    head = ("array", "shape", "dtype", "elements", "")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        f"{a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  {d:>{widths[3]}}"
        + (f"  is {e}" if e else "")
        for a, b, c, d, e in (head, *rows)
    ]
    size = f"{data['elements']:,} elements, {data['bytes']:,} bytes"
    return "\n".join([f"{data['system']}: {data['format']}", *lines, f"{len(rows)} arrays, {size}"])


def _printable(name: str) -> str:
    """A name out of a stranger's file, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)


COMMAND = Command(
    "inspect",
    "tell what is in a weights file of any system: names, shapes, dtypes",
    _run,
    (
        Option("key", text, "the part of a nested checkpoint, such as state_dict", None, "KEY"),
        Option("program", text, "what names an exported net's arrays: -symbol.json, .pdmodel …",
               None, "FILE"),
    ),
    ("FILE", "a weights file, an index.json, or a folder"),
    _DETAILS,
    compiles=False,
)  # fmt: skip
