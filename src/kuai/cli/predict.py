"""`kuai predict`: what a trained net says about examples."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kuai.cli import datasets, nets
from kuai.cli.command import Command, Result, log
from kuai.cli.inputs import read_inputs
from kuai.cli.options import Option, UsageError, text, whole
from kuai.cli.settings import Settings
from kuai.cli.targets import TARGET, Trained, trained
from kuai.data.csv_table import Columns
from kuai.errors import FileFormatError
from kuai.files import write_bytes

_DETAILS = """\
A net that was trained on classes gives each example's label and its probability, one that was
trained on numbers gives the numbers. Without --out the table goes to stdout as CSV, or as JSON
under --json; with --out it goes to a .csv, .json or .npz file, the latter with the probabilities of
all classes."""


def _run(settings: Settings) -> Result:
    out = _destination(settings)
    name, x, columns, outputs = _inputs(settings)
    found = trained(settings, outputs)
    if found.vocabulary is not None:
        raise UsageError(f"{settings.target}: a net for text; kuai generate lets it write")
    x = datasets.in_order(name, x, columns, found.columns)
    table = _columns(found, _outputs(found, x, settings.batch_size))
    if out is None:
        return Result(_as_csv(table), _as_rows(table))
    write_bytes(out, _WRITERS[out.suffix](table))
    log.info("%s: %d examples", out, len(x))
    return Result("", {"out": str(out), "examples": len(x)})


def _destination(settings: Settings) -> Path | None:
    if settings.out is None:
        return None
    out = Path(settings.out)
    if out.suffix not in _WRITERS:
        raise UsageError(f"--out: expected a file that ends in {', '.join(_WRITERS)}, got {out}")
    return out


def _inputs(settings: Settings) -> tuple[str, np.ndarray, Columns, int | None]:
    """Name, inputs, their columns' names, and how many outputs the targets ask for, if any."""
    if (settings.input is None) == (settings.data is None):
        raise UsageError("expected either --input (inputs alone) or --data (inputs and targets)")
    if settings.input is not None:
        return (settings.input, *read_inputs(Path(settings.input)), None)
    data = datasets.read(settings.data)
    return data.name, data.x, data.columns, nets.outputs_for(data)


def _outputs(found: Trained, x: np.ndarray, batch_size: int) -> np.ndarray:
    net, x = found.net.hybridize(), found.recipe.inputs(x)
    batches = [x[start : start + batch_size] for start in range(0, len(x), batch_size)]
    return np.concatenate([np.asarray(net(batch)) for batch in batches])


def _columns(found: Trained, outputs: np.ndarray) -> dict[str, np.ndarray]:
    """Name → one value an example, and for classes the probabilities of all."""
    index = np.arange(len(outputs))
    if found.classes is not None and outputs.shape[1:] != (len(found.classes),):
        raise FileFormatError(
            f"{found.name}: its record names {len(found.classes)} classes, the net has outputs of "
            f"shape {outputs.shape[1:]}; train again with --force"
        )
    if found.classes is None:
        return {"index": index, "output": outputs.reshape(len(outputs), -1)}
    probabilities = np.asarray(jax.nn.softmax(outputs, axis=-1))
    best = probabilities.argmax(-1)
    names = np.array(found.classes)
    return {
        "index": index,
        "label": names[best],
        "probability": probabilities[index, best],
        "probabilities": probabilities,
    }


def _as_rows(table: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    columns = {name: values.tolist() for name, values in _flat(table).items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _flat(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns of one value an example: several outputs become columns, probabilities go."""
    flat = {}
    for name, values in table.items():
        if values.ndim == 1:
            flat[name] = values
        elif name == "output":
            single = values.shape[1] == 1
            flat |= {name if single else f"{name}_{i}": v for i, v in enumerate(values.T)}
    return flat


def _as_csv(table: dict[str, np.ndarray]) -> str:
    file = io.StringIO()
    columns = _flat(table)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([f"{cell:.6g}" if isinstance(cell, np.floating) else cell for cell in row])
    return file.getvalue()


def _as_npz(table: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **table)
    return file.getvalue()


_WRITERS = {
    ".csv": lambda table: _as_csv(table).encode(),
    ".json": lambda table: (json.dumps(_as_rows(table), indent=2) + "\n").encode(),
    ".npz": _as_npz,
}


COMMAND = Command(
    "predict",
    "tell what a trained net says about examples",
    _run,
    (
        Option("input", text, "inputs alone: .npz (x), .npy or .csv", None, "FILE"),
        Option("data", text, 'inputs with targets: "digits", .npz or .csv', None, "DATA"),
        Option("out", text, "write to a .csv, .json or .npz file", None, "FILE"),
        Option("batch-size", whole(1), "examples at a time", 256, "N"),
        nets.NET,
        *nets.SHAPE,
        nets.OUTPUTS,
    ),
    TARGET,
    _DETAILS,
)
