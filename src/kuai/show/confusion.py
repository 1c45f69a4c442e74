"""A confusion matrix as an HTML table: true classes in rows, predicted ones in columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kuai.errors import ArgumentError
from kuai.show.markup import escape

_DARKEST = 0.45  # share of colour behind a number, so that black and white text stay readable


def check(matrix: Any, classes: Sequence[str] | None) -> None:
    """Hold a matrix and the names of its classes to each other.

    Raises:
        ArgumentError: the matrix is not square, or there are more or fewer names than classes.
    """
    shape = np.shape(matrix)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ArgumentError(
            "confusion: expected a square matrix of counts, true class by predicted class, "
            f"got shape {shape}"
        )
    if classes is not None and len(classes) != shape[0]:
        raise ArgumentError(
            f"classes: expected {shape[0]} names, as many as the confusion matrix has rows, "
            f"got {len(classes)}"
        )


def as_html(matrix: Any, classes: Sequence[str] | None = None) -> str:
    """The table; the darker a cell, the larger its share of the true class."""
    counts = np.asarray(matrix)
    names = [escape(str(name)) for name in (range(len(counts)) if classes is None else classes)]
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(_row(name, row) for name, row in zip(names, counts, strict=True))
    return (
        "<table><caption>Samples by true class (rows) and predicted class (columns)</caption>"
        f'<thead><tr><th scope="col">true</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _row(name: str, row: np.ndarray) -> str:
    total = max(float(row.sum()), 1.0)
    cells = "".join(
        f'<td style="background:rgba(9,105,218,{_DARKEST * float(count) / total:.2f})">{count}</td>'
        for count in row
    )
    return f'<tr><th scope="row">{name}</th>{cells}</tr>'
