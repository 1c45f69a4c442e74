"""What happens beside training: early stopping, best weights, checkpoints, a log.

A callback is told of the start, of every epoch with its record, and of the end. What it remembers
is saved with the trainer (`state`, `restore`), so that a run that is taken up again stops where
the uninterrupted one would have.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kuai.core.parameter import State
from kuai.core.tree import walk
from kuai.errors import ArgumentError, FileAccessError

if TYPE_CHECKING:
    from kuai.train.history import History

__all__ = ["BestWeights", "Callback", "Checkpoint", "EarlyStopping", "JsonLines"]


class Callback:
    """Base of all callbacks: every method does nothing.

    Example:
        >>> class Report(kuai.callbacks.Callback):
        ...     def on_epoch_end(self, trainer, record):
        ...         print(record["epoch"], sorted(record))
    """

    def on_fit_start(self, trainer: Any) -> None:
        """`fit` begins."""

    def on_epoch_end(self, trainer: Any, record: dict[str, Any]) -> None:
        """An epoch has ended; `trainer.stop()` makes it the last."""

    def on_fit_end(self, trainer: Any, history: History) -> None:
        """`fit` has ended without an error."""

    def state(self) -> dict[str, Any]:
        """What to save: numbers, text, and NumPy arrays by name."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""


class _Best(Callback):
    """Remembers the best value of a record's entry."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in ("min", "max", "auto"):
            raise ArgumentError(
                f"{type(self).__name__}: expected mode 'min', 'max' or 'auto', got {mode!r}"
            )
        if min_delta < 0:
            raise ArgumentError(
                f"{type(self).__name__}: expected min_delta from 0 up, got {min_delta!r}"
            )
        self.monitor, self.min_delta = monitor, min_delta
        self.mode = ("min" if _is_loss(monitor) else "max") if mode == "auto" else mode
        self.best: float | None = None
        self.best_epoch = 0

    def _improves(self, record: dict[str, Any]) -> bool:
        if self.monitor not in record:
            raise ArgumentError(
                f"{type(self).__name__}: expected monitor to be one of {', '.join(record)}, got "
                f"{self.monitor!r}{_without_validation(self.monitor)}"
            )
        value = float(record[self.monitor])
        sign = -1 if self.mode == "max" else 1
        better = self.best is None or sign * value < sign * self.best - self.min_delta
        if better and not math.isnan(value):
            self.best, self.best_epoch = value, record["epoch"]
            return True
        return False

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch}

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]


class BestWeights(_Best):
    """Keeps the weights of the best epoch, and at the end gives them back to the net.

    Args:
        monitor: the entry of the record to go by; default "val_loss".
        path: a safetensors file to write them to each time; None (the default): memory.
        mode: "min", "max", or "auto" (the default): "min" for losses and errors, else "max".
        min_delta: by how much a value must be better, in its own units; default 0.
        restore: whether the net gets them back when `fit` ends; default True.

    Raises:
        ArgumentError: an argument makes no sense; at the first epoch: no record has the entry.

    Example:
        >>> import optax
        >>> best = kuai.callbacks.BestWeights("loss")
        >>> net = nn.Dense(1)
        >>> trainer = kuai.Trainer(net, optax.sgd(0.1), kuai.losses.mse)
        >>> history = trainer.fit((np.ones((4, 2)), np.ones((4, 1))), epochs=3, callbacks=[best])
        >>> best.best == min(history.loss)
        True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        path: str | os.PathLike[str] | None = None,
        mode: str = "auto",
        min_delta: float = 0.0,
        restore: bool = True,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.path = path
        self._gives_back = restore
        self._weights: dict[str, np.ndarray] = {}

    def on_epoch_end(self, trainer: Any, record: dict[str, Any]) -> None:
        if self._improves(record):
            self._weights = _weights(trainer.net)
            if self.path is not None:
                trainer.net.save(self.path)

    def on_fit_end(self, trainer: Any, history: History) -> None:  # noqa: ARG002
        if self._gives_back:
            self.give_back(trainer.net)

    def give_back(self, net: Any) -> None:
        """Set the net to the weights that were kept.

        Example:
            >>> kuai.callbacks.BestWeights().give_back(nn.Dense(1))  # nothing was kept yet
        """
        holders = walk(net).holders
        for path, value in self._weights.items():
            holders[path].write(value)

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            **{f"weights.{path}": value for path, value in self._weights.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self._weights = {
            name.removeprefix("weights."): value
            for name, value in state.items()
            if name.startswith("weights.")
        }


class EarlyStopping(BestWeights):
    """Ends training when a value has not improved for some epochs.

    Args:
        monitor: the entry of the record to go by; default "val_loss".
        patience: epochs without improvement that are borne; default 5.
        mode: "min", "max", or "auto" (the default): "min" for losses and errors, else "max".
        min_delta: by how much a value must be better, in its own units; default 0.
        restore_best: whether the net gets the weights of the best epoch back; default False.

    Raises:
        ArgumentError: an argument makes no sense; at the first epoch: no record has the entry.

    Example:
        >>> import optax
        >>> stop = kuai.callbacks.EarlyStopping("loss", patience=2, min_delta=1e9)
        >>> trainer = kuai.Trainer(nn.Dense(1), optax.sgd(0.1), kuai.losses.mse)
        >>> data = np.ones((4, 2)), np.ones((4, 1))
        >>> len(trainer.fit(data, epochs=50, callbacks=[stop]))
        3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        mode: str = "auto",
        min_delta: float = 0.0,
        restore_best: bool = False,
    ) -> None:
        super().__init__(monitor, None, mode, min_delta, restore_best)
        if patience < 1:
            raise ArgumentError(
                f"EarlyStopping: expected a patience of at least 1, got {patience!r}"
            )
        self.patience = patience

    def on_epoch_end(self, trainer: Any, record: dict[str, Any]) -> None:
        if self._improves(record):
            self._weights = _weights(trainer.net) if self._gives_back else {}
        elif record["epoch"] - self.best_epoch >= self.patience:
            trainer.stop()


class Checkpoint(Callback):
    """Saves the trainer after epochs, so that an interrupted run can be taken up again.

    Put it last: it saves what the callbacks before it remember.

    Args:
        path: a safetensors file, replaced whole each time.
        every: epochs between two saves; default 1.

    Example:
        >>> kuai.callbacks.Checkpoint("run/trainer.safetensors").every
        1
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        if every < 1:
            raise ArgumentError(f"Checkpoint: expected every to be at least 1, got {every!r}")
        self.path, self.every = path, every

    def on_epoch_end(self, trainer: Any, record: dict[str, Any]) -> None:
        if record["epoch"] % self.every == 0:
            trainer.save(self.path)


class JsonLines(Callback):
    """Appends the record of every epoch to a file, one JSON object a line.

    Args:
        path: of the file; a new one is made, an old one is appended to.

    Raises:
        FileAccessError: at the first epoch: the file cannot be written.

    Example:
        >>> import optax
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "metrics.jsonl"
        >>> trainer = kuai.Trainer(nn.Dense(1), optax.sgd(0.1), kuai.losses.mse)
        >>> log = kuai.callbacks.JsonLines(path)
        >>> history = trainer.fit((np.ones((4, 2)), np.ones((4, 1))), epochs=2, callbacks=[log])
        >>> len(path.read_text().splitlines())
        2
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_epoch_end(self, trainer: Any, record: dict[str, Any]) -> None:  # noqa: ARG002
        line = json.dumps(
            {name: _jsonable(value) for name, value in record.items()}, allow_nan=False
        )
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise FileAccessError(
                f"{self.path}: the log could not be written ({error.strerror}); check its folder"
            ) from error


def _jsonable(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, np.ndarray):
        return [_jsonable(item) for item in value.tolist()]
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _weights(net: Any) -> dict[str, np.ndarray]:
    """A copy of everything that `net.save` would write."""
    return {
        path: np.array(holder.peek())
        for path, holder in walk(net).holders.items()
        if holder.ready and not (isinstance(holder, State) and not holder.persistent)
    }


def _is_loss(name: str) -> bool:
    return any(word in name for word in ("loss", "error", "perplexity", "mae", "mse"))


def _without_validation(monitor: str) -> str:
    return "; give fit validation=..." if monitor.startswith("val_") else ""
