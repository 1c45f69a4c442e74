"""What a run writes after each epoch: a line of metrics, a checkpoint, and a line for the user."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from kuai.cli.command import log
from kuai.cli.runs import CHECKPOINT, METRICS, Run
from kuai.errors import FileFormatError
from kuai.files import write_text
from kuai.train.callbacks import Callback
from kuai.train.trainer import Trainer


class EveryEpoch(Callback):
    """Keeps the folder of a run at the end of the last whole epoch.

    The checkpoint is written first: a metrics file that lacks the last line is mended when the run
    is resumed, a checkpoint that lags behind it would repeat a line.

    Args:
        run: whose folder.
        epochs: how many there will be, for the user.
    """

    def __init__(self, run: Run, epochs: int) -> None:
        self.run = run
        self.epochs = epochs
        self.records = read_metrics(run.path(METRICS))

    def on_epoch_end(self, trainer: Trainer, record: Any) -> None:
        """Write all three."""
        plain = {name: _plain(value) for name, value in dict(record).items()}
        self.records = [old for old in self.records if old["epoch"] < plain["epoch"]] + [plain]
        trainer.save(self.run.path(CHECKPOINT))
        write_text(self.run.path(METRICS), "".join(json.dumps(r) + "\n" for r in self.records))
        if not sys.stderr.isatty():  # in a terminal the bar tells it
            log.info("epoch %s/%s  %s", plain["epoch"], self.epochs, _told(plain))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics file, none if it is not there.

    Raises:
        FileFormatError: a line is no record.
    """
    if not path.exists():
        return []
    try:
        return [_record(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise FileFormatError(f"{path}: expected a line of JSON an epoch, but {error}") from None


def _record(line: str) -> dict[str, Any]:
    record = json.loads(line)
    if not isinstance(record, dict) or not isinstance(record.get("epoch"), int):
        raise ValueError("a line has no epoch")
    return record


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, str, type(None))) else float(value)


def _told(record: dict[str, Any]) -> str:
    numbers = {name: value for name, value in record.items() if isinstance(value, float)}
    return "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
