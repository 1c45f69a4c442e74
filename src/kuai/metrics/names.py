"""A metric from what a user gives `Trainer`: a name, a metric, or any function."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from kuai.errors import ArgumentError
from kuai.metrics.metric import Metric, mean_loss
from kuai.metrics.numbers import mae, mse, r2
from kuai.metrics.scores import accuracy, confusion_matrix, f1, precision, recall, top_k_accuracy

_BY_NAME: dict[str, Callable[[], Metric]] = {
    "accuracy": accuracy,
    "confusion_matrix": confusion_matrix,
    "f1": f1,
    "mae": mae,
    "mse": mse,
    "precision": precision,
    "r2": r2,
    "recall": recall,
    "top_k_accuracy": top_k_accuracy,
}


def as_metric(metric: Any) -> Any:
    """A metric from what a user may give.

    Args:
        metric: a `Metric` or any object with its four attributes; a name such as "accuracy"; or a
            function of (output, target), whose mean is then taken.

    Raises:
        ArgumentError: it is none of these, or the name is unknown.

    Example:
        >>> [kuai.metrics.as_metric(m) for m in ("accuracy", kuai.losses.mse, kuai.metrics.f1(3))]
        [Metric('accuracy'), Metric('mse'), Metric('f1')]
    """
    if isinstance(metric, str):
        if metric not in _BY_NAME:
            raise ArgumentError(_unknown(metric))
        return _BY_NAME[metric]()
    if metric in _BY_NAME.values():  # kuai.metrics.accuracy, not called
        return metric()
    if not isinstance(metric, type):
        if all(hasattr(metric, name) for name in ("name", "init", "update", "compute")):
            return metric
        if callable(metric):
            return mean_loss(metric)
    raise ArgumentError(
        f"expected a metric: a name ({', '.join(_BY_NAME)}), one of kuai.metrics, or a function of "
        f"(output, target), got {metric!r}"
    )


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, _BY_NAME, n=2)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"no metric is called {name!r}: {hint}There are {', '.join(_BY_NAME)}"
