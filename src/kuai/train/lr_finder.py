"""A learning rate from one short run in which it grows from too small to too large."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kuai import random
from kuai.data.batches import Batches
from kuai.errors import ArgumentError, MissingExtraError
from kuai.train.source import training_batches
from kuai.train.trainer import Trainer

_SMOOTHING = 0.9
_DIVERGED = 4.0  # times the best loss


@dataclass(frozen=True)
class RateSearch:
    """The curve of a search.

    Attributes:
        rates: learning rates tried, ascending.
        losses: the smoothed loss at each.
        suggestion: the rate at which the loss fell fastest; None where it never fell.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float | None

    def plot(self, path: Any = None) -> Any:
        """Draw the loss against the rate.

        Args:
            path: a picture file to write; default none.

        Returns:
            The matplotlib figure.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingExtraError('plots need matplotlib: pip install "kuai-nn[plot]"') from error
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot(
            xscale="log", xlabel="learning rate", ylabel="training loss (smoothed)"
        )
        axes.plot(self.rates, self.losses)
        if self.suggestion is not None:
            axes.axvline(self.suggestion, linestyle="--", label=f"suggestion {self.suggestion:.2g}")
            axes.legend()
        if path is not None:
            figure.savefig(path)
        return figure


def find_learning_rate(
    trainer: Trainer,
    data: Any,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    optimizer: Callable[[Any], Any] | None = None,
    batch_size: int | None = None,
) -> RateSearch:
    """Train a copy of the net while the learning rate grows exponentially, and look at the loss.

    The net, the trainer and the random numbers of the process are left as they were.

    Args:
        trainer: whose net and loss are used.
        data: as for `fit`; it is gone over as often as needed.
        low: the first rate; default 1e-6.
        high: the last rate; default 1.
        steps: at most so many, fewer where the loss explodes; default 100.
        optimizer: makes the optimizer from a learning rate; default `optax.adam`.
        batch_size: for arrays; default 32.

    Returns:
        Rates, losses, and the suggestion.

    Raises:
        ArgumentError: the range is empty, or there are fewer than 10 steps.

    Example:
        >>> import optax
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
        >>> trainer = kuai.Trainer(nn.Dense(1), optax.adam(1e-3), kuai.losses.mse)
        >>> found = kuai.find_learning_rate(trainer, (x, 3 * x))
        >>> 1e-6 < found.suggestion < 1
        True

    Reference:
        L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017.
    """
    import optax

    if not 0 < low < high or steps < 10:
        raise ArgumentError(
            f"find_learning_rate: expected 0 < low < high and at least 10 steps, got low={low}, "
            f"high={high}, steps={steps}"
        )
    state = random.get_state()
    try:
        schedule = optax.exponential_decay(low, steps - 1, high / low)
        make = optax.adam if optimizer is None else optimizer
        trial = Trainer(
            trainer.net.copy(), make(schedule), trainer.recipe.loss, compile=trainer.engine.compiled
        )
        batches = training_batches(data, batch_size, shuffle=True, seed=0, drop_last=False)
        losses = _run(trial, batches, steps)
    finally:
        random.set_state(state)
    rates = low * (high / low) ** (np.arange(len(losses)) / (steps - 1))
    return RateSearch(rates, losses, _steepest(rates, losses))


def _run(trial: Trainer, batches: Batches, steps: int) -> np.ndarray:
    """Smoothed losses until they explode."""
    mean, best = 0.0, math.inf
    losses: list[float] = []
    for number, batch in zip(range(1, steps + 1), _endless(batches), strict=False):
        loss = float(trial.step(batch).loss)
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        smooth = mean / (1 - _SMOOTHING**number)
        if not math.isfinite(smooth) or smooth > _DIVERGED * best:
            break
        best = min(best, smooth)
        losses.append(smooth)
    return np.array(losses)


def _endless(batches: Batches) -> Iterator[Any]:
    while True:
        yield from batches


def _steepest(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """Where the loss falls fastest along the logarithm of the rate, on its way to the minimum.

    The slope is taken over a tenth of the curve, and its first tenth is left out: there the loss
    moves with the batches, not with the rate.
    """
    width = max(1, len(losses) // 20)
    last = int(np.argmin(losses)) if len(losses) else 0
    places = np.arange(max(width, len(losses) // 10), min(last + 1, len(losses) - width))
    if not len(places):
        return None
    slopes = losses[places + width] - losses[places - width]
    best = int(np.argmin(slopes))
    return float(rates[places[best]]) if slopes[best] < 0 else None
