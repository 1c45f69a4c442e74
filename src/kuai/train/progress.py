"""The progress bar: on a terminal a line with rate, time left and loss; elsewhere nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


class Quiet:
    """Progress that nobody sees."""

    def epoch(self, number: int, last: int, steps: int | None, done: int) -> None:
        """An epoch begins, of which some steps may be done already."""

    def advance(self, steps: int, values: Mapping[str, float]) -> None:
        """Steps have been taken."""

    def record(self, record: Mapping[str, Any]) -> None:
        """An epoch has ended."""

    def close(self) -> None:
        """The run is over."""


class Bar(Quiet):
    """A bar for each epoch on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[shown]}"),
            console=self._console,
            transient=True,
        )
        self._progress.start()
        self._task: Any = None

    def epoch(self, number: int, last: int, steps: int | None, done: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        text = f"epoch {number}/{last}"
        self._task = self._progress.add_task(text, total=steps, completed=done, rate="", shown="")

    def advance(self, steps: int, values: Mapping[str, float]) -> None:
        self._progress.advance(self._task, steps)
        speed = self._progress.tasks[0].speed
        rate = "" if speed is None else f"{speed:,.0f} steps/s"
        self._progress.update(self._task, rate=rate, shown=_shown(values))

    def record(self, record: Mapping[str, Any]) -> None:
        numbers = {n: v for n, v in record.items() if isinstance(v, float) and n != "seconds"}
        self._console.print(
            f"epoch {record['epoch']}  {_shown(numbers)}  {record['seconds']:.1f} s"
        )

    def close(self) -> None:
        self._progress.stop()


def _shown(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in values.items())


def progress_for(wanted: bool | None) -> Quiet:
    """A bar if it is wanted, or if nothing was said and stderr is a terminal."""
    shown = sys.stderr.isatty() if wanted is None else wanted
    return Bar() if shown else Quiet()
