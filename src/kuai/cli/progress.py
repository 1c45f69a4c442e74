"""What a run writes after each epoch: a line of metrics, a checkpoint, and a line for the user."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from kuai.callbacks import Callback
from kuai.cli.command import log
from kuai.cli.runs import CHECKPOINT, METRICS, Run
from kuai.files import write_text
from kuai.train.trainer import Trainer


class EveryEpoch(Callback):
    """Keeps the folder of a run at the end of the last whole epoch.

    Args:
        run: whose folder.
        epochs: how many there will be, for the user.
    """

    def __init__(self, run: Run, epochs: int) -> None:
        self.run = run
        self.epochs = epochs

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """Write all three."""
        trainer.save(self.run.path(CHECKPOINT))
        lines = [json.dumps(plain(old), allow_nan=False) + "\n" for old in trainer.history]
        write_text(self.run.path(METRICS), "".join(lines))
        if not sys.stderr.isatty():  # in a terminal the bar tells it
            log.info("epoch %s/%s  %s", record["epoch"], self.epochs, _told(record))


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record of an epoch as JSON can hold it: numbers that are not finite become None."""
    return {name: _plain(value) for name, value in record.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, (int, str, type(None))):
        return value
    return float(value) if math.isfinite(value) else None


def _told(record: dict[str, Any]) -> str:
    numbers = {name: value for name, value in record.items() if not isinstance(value, int)}
    return "  ".join(f"{name} {float(value):.4g}" for name, value in numbers.items())
