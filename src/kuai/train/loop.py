"""`Trainer.fit`: epochs, chunks of steps, records, callbacks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from kuai.callbacks import Callback
from kuai.errors import NonFiniteError
from kuai.train import measure
from kuai.train.diagnose import explain_loss
from kuai.train.evaluation import plain
from kuai.train.history import History
from kuai.train.pace import Pace
from kuai.train.program import Chunk
from kuai.train.progress import Quiet
from kuai.train.source import Source


class Loop:
    """A run over data.

    Args:
        trainer: whose net is trained; its position is kept up to date after every call.
        source: of chunks.
        validate: gives the values of a record that begin with `val_`.
        callbacks: told of every epoch.
        pace: steps a call.
        bar: progress.
    """

    def __init__(
        self,
        trainer: Any,
        source: Source,
        validate: Callable[[], dict[str, float]],
        callbacks: Iterable[Callback],
        pace: Pace,
        bar: Quiet,
    ) -> None:
        self._trainer = trainer
        self._source, self._validate = source, validate
        self._callbacks = list(callbacks)
        self._pace, self._bar = pace, bar

    def run(self, epochs: int) -> History:
        """Train up to `epochs` epochs after the start of the run."""
        trainer = self._trainer
        first = len(trainer.history)
        try:
            for callback in self._callbacks:
                callback.on_fit_start(trainer)
            while trainer.position.epoch < trainer.position.start + epochs and not trainer.stopped:
                self._epoch(trainer.position.start + epochs)
        finally:
            self._bar.close()
        history = History(trainer.history.records[first:])
        for callback in self._callbacks:
            callback.on_fit_end(trainer, history)
        return history

    def _epoch(self, last: int) -> None:
        trainer = self._trainer
        began = time.perf_counter()
        position = trainer.position
        self._bar.epoch(position.epoch + 1, last, self._source.steps, position.batch)
        for chunk in self._source.chunks(position.epoch, position.batch, self._pace.steps):
            self._train(chunk)
        record = self._record(began)
        trainer.position = trainer.position.next_epoch()
        trainer.history.append(record)
        self._bar.record(record)
        for callback in self._callbacks:
            callback.on_epoch_end(trainer, record)

    def _train(self, chunk: Chunk) -> None:
        """Take the steps of a chunk, in several calls where one program cannot take them all."""
        taken = 0
        if not self._trainer.engine.ready:
            self._trainer.engine.prepare(_first_batch(chunk))
        while taken < chunk.steps:
            most = min(self._trainer.engine.most(chunk), chunk.steps - taken)
            part = chunk._replace(first=chunk.first + taken * chunk.rows, steps=most)
            self._call(part)
            taken += most

    def _call(self, chunk: Chunk) -> None:
        trainer, before = self._trainer, self._trainer.position
        sums = before.sums if before.sums is not None else measure.fresh(trainer.metrics)
        ticket = trainer.engine.keys.take(0)
        began = time.perf_counter()

        def kept(result: Any) -> None:
            carry, losses = result[0], result[1]
            trainer.position = before.after(losses, chunk.steps, chunk.rows, carry.sums)

        losses, done = trainer.engine.many(chunk, sums, kept)
        taken = np.asarray(losses)[:done]
        if not math.isfinite(taken[-1]):
            trainer.position = before.after(
                losses, done - 1, chunk.rows, trainer.position.sums
            ).settled()
            self._not_finite(chunk, done - 1, ticket, float(taken[-1]))
        if not trainer.engine.fresh:
            self._pace.measured(chunk.steps, time.perf_counter() - began)
        trainer.position = trainer.position.settled()
        self._bar.advance(chunk.steps, self._mean())

    def _mean(self) -> dict[str, float]:
        position = self._trainer.position
        return {"loss": position.loss_sum / position.examples}

    def _record(self, began: float) -> dict[str, Any]:
        trainer, position = self._trainer, self._trainer.position
        values = measure.values(trainer.metrics, position.sums)
        return {
            "epoch": position.epoch + 1,
            "steps": position.steps,
            **self._mean(),
            **{name: plain(value) for name, value in values.items()},
            **self._validate(),
            "seconds": time.perf_counter() - began,
        }

    def _not_finite(self, chunk: Chunk, index: int, ticket: tuple[int, int], loss: float) -> None:
        trainer, position = self._trainer, self._trainer.position
        draws = trainer.engine.draws(chunk)
        trainer.engine.keys.take(-draws)  # as if the step had not been
        batch = chunk.treedef.unflatten(_rows(chunk, index))
        where = (
            f"step {position.steps + 1} (epoch {position.epoch + 1}, batch {position.batch + 1})"
        )
        first = (ticket[0], ticket[1] + index * draws)
        raise NonFiniteError(
            explain_loss(trainer.recipe, batch, first, trainer.engine.mode, where, loss)
        )


def _first_batch(chunk: Chunk) -> Any:
    return chunk.treedef.unflatten([leaf[: chunk.rows] for leaf in chunk.leaves])


def _rows(chunk: Chunk, index: int) -> list[jax.Array]:
    places = chunk.order[chunk.first + index * chunk.rows :][: chunk.rows]
    return [leaf[places] for leaf in chunk.leaves]
