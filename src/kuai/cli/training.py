"""From settings to a Trainer: optimizer, loss and metrics by name and by the kind of targets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kuai import losses
from kuai.cli.options import Option, choice, positive
from kuai.cli.settings import Settings
from kuai.core.block import Block
from kuai.data import Dataset
from kuai.train.trainer import Trainer

# Name → (in optax, learning rate where none is given, other arguments).
_OPTIMIZERS: dict[str, tuple[str, float, dict[str, Any]]] = {
    "adam": ("adam", 3e-3, {}),
    "adamw": ("adamw", 1e-3, {}),
    "nadam": ("nadam", 1e-3, {}),
    "lamb": ("lamb", 1e-3, {}),
    "lion": ("lion", 1e-4, {}),
    "rmsprop": ("rmsprop", 1e-3, {}),
    "adagrad": ("adagrad", 1e-2, {}),
    "sgd": ("sgd", 0.1, {}),
    "momentum": ("sgd", 0.01, {"momentum": 0.9}),
}
OPTIMIZER = Option("optimizer", choice(*_OPTIMIZERS), ", ".join(_OPTIMIZERS), "adam", "NAME")
SCHEDULE = Option(
    "schedule", choice("cosine", "constant"), "how it falls: cosine, constant", "cosine", "NAME"
)
RATE = Option("lr", positive, "learning rate (default: the optimizer's usual one)", None, "RATE")


def learning_rate(settings: Settings) -> float:
    """The rate that was given, or the optimizer's usual one."""
    return _OPTIMIZERS[settings.optimizer][1] if settings.lr is None else settings.lr


def optimizer(settings: Settings, rate: Any) -> Any:
    """The optax transformation that the settings name, with a learning rate or schedule."""
    import optax

    name, _, arguments = _OPTIMIZERS[settings.optimizer]
    return getattr(optax, name)(rate, **arguments)


def schedule(settings: Settings, examples: int) -> Any:
    """The learning rate by step: as it is, or falling to 0 along a half cosine until the end.

    Args:
        settings: of the training.
        examples: trained on in an epoch.
    """
    import optax

    rate = learning_rate(settings)
    if settings.schedule == "constant":
        return rate
    steps = math.ceil(examples / settings.batch_size)
    steps = min(steps, settings.overfit_batches or steps)
    return optax.cosine_decay_schedule(rate, steps * settings.epochs)


def trainer(net: Block, settings: Settings, data: Dataset) -> Trainer:
    """A trainer on a training part, for the kind of targets that it has."""
    chosen = optimizer(settings, schedule(settings, len(data)))
    return Trainer(net, chosen, _loss(data), _metrics(data), seed=settings.seed)


def judge(net: Block, data: Dataset) -> Trainer:
    """A trainer that only evaluates."""
    import optax

    return Trainer(net, optax.set_to_zero(), _loss(data), _metrics(data))


def _loss(data: Dataset) -> Callable[..., Any]:
    return losses.mse if data.classes is None else losses.softmax_cross_entropy


def _metrics(data: Dataset) -> tuple[str, ...]:
    return ("mae",) if data.classes is None else ("accuracy",)
