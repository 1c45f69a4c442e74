"""Train and eval mode, and plain Python execution, as context managers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from kuai.core.context import context, entered

Mode = Literal["auto", "train", "eval"]


def is_training() -> bool:
    """Whether train mode is on here, in this thread.

    Layers that behave differently in training (Dropout, BatchNorm) ask this.

    Returns:
        True inside `kuai.grad`, `kuai.value_and_grad`, `Block.vjp`, `Trainer.step`, `train_mode()`
        and blocks pinned by `Block.train()`; False elsewhere.

    Example:
        >>> kuai.is_training()
        False
        >>> with kuai.train_mode():
        ...     kuai.is_training()
        True
    """
    return context.training


def train_mode() -> AbstractContextManager[None]:
    """Turn train mode on, whatever the transforms inside would choose.

    Example:
        >>> drop = nn.Dropout(0.5)
        >>> with kuai.train_mode():
        ...     y = drop(jnp.ones((4, 4)))
        >>> sorted({float(v) for v in y.ravel()})
        [0.0, 2.0]
    """
    return entered(training=True, forced=True)


def eval_mode() -> AbstractContextManager[None]:
    """Turn train mode off, also inside `kuai.grad` and the like.

    Example:
        >>> with kuai.eval_mode():
        ...     nn.Dropout(0.5)(jnp.ones((2,)))
        Array([1., 1.], dtype=float32)
    """
    return entered(training=False, forced=True)


def eager() -> AbstractContextManager[None]:
    """Run hybridized blocks as plain Python here: for the debugger and for comparing.

    Example:
        >>> net = nn.Dense(2)
        >>> net.hybridize()
        Dense(2)
        >>> with kuai.eager():
        ...     net(jnp.ones((1, 3))).shape
        (1, 2)
    """
    return entered(inline=True)


@contextmanager
def transform_mode() -> Iterator[None]:
    """Train mode as the differentiating transforms set it: an explicit choice outside wins."""
    with entered(training=context.training if context.forced else True):
        yield


def pinned_mode(mode: Mode) -> AbstractContextManager[None]:
    """The mode that a block pinned to "train" or "eval" runs in."""
    return entered(training=mode == "train", forced=True)
