"""Where a run stands: what is saved with the weights so that it can be taken up again."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import numpy as np


class Position(NamedTuple):
    """The point between two steps that a run has reached.

    Attributes:
        epoch: passes over the data that are finished.
        batch: steps taken in the pass that is under way.
        start: the epoch at which the run began: `epochs` of `fit` counts from there.
        steps: all steps of the trainer so far.
        loss_sum, examples: Σ loss · examples and Σ examples of this pass.
        sums: what the metrics have gathered in this pass; None before the first step of it.
        pending: losses that are still on the device, and the examples of each step.
    """

    epoch: int = 0
    batch: int = 0
    start: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    examples: int = 0
    sums: Any = None
    pending: tuple[jax.Array, int, int] | None = None

    def after(self, losses: jax.Array, steps: int, rows: int, sums: Any) -> Position:
        """After some more steps; of `losses` only the first `steps` count."""
        return self._replace(
            batch=self.batch + steps,
            steps=self.steps + steps,
            examples=self.examples + steps * rows,
            sums=sums,
            pending=(losses, steps, rows),
        )

    def settled(self) -> Position:
        """With the pending losses summed up, in double precision."""
        if self.pending is None:
            return self
        losses, steps, rows = self.pending
        loss_sum = self.loss_sum + math.fsum(np.asarray(losses, np.float64)[:steps]) * rows
        return self._replace(loss_sum=loss_sum, pending=None)

    def next_epoch(self) -> Position:
        """At the beginning of the next pass."""
        return Position(self.epoch + 1, 0, self.start, self.steps)

    def new_run(self) -> Position:
        """Where another run begins: an epoch that was left early is not finished."""
        epoch = self.epoch + (self.batch > 0)
        return Position(epoch, 0, epoch, self.steps)

    def numbers(self) -> dict[str, Any]:
        """All but the metrics' arrays, for a checkpoint."""
        return {
            name: value for name, value in self._asdict().items() if name not in ("sums", "pending")
        }
