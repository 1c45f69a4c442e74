"""The training curve as a PNG, drawn by matplotlib (the `plot` extra)."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from typing import Any

from kuai.errors import MissingExtraError
from kuai.files import write_bytes
from kuai.show.records import TRAIN, VALIDATION, Panel, panels

_STYLES = {TRAIN: {"color": "#0969da"}, VALIDATION: {"color": "#cf222e", "linestyle": "--"}}
_MOST_MARKED = 40  # points; more of them would hide the line


def save_curve(
    records: Iterable[Mapping[str, Any]],
    path: str | os.PathLike[str],
    *,
    units: Mapping[str, str] | None = None,
) -> None:
    """Draw losses and metrics by epoch, train and validation, and write the PNG durably.

    Args:
        records: one dict an epoch, such as `{"epoch": 1, "loss": 0.7, "validation_loss": 0.8}`;
            a quantity has "validation_" or "val_" before its name for the validation data.
        path: of the PNG file.
        units: name of a quantity → unit, for the axis.

    Raises:
        DataError: there is nothing to draw.
        FileAccessError: the folder is missing or cannot be written.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "curve.png"
        >>> kuai.show.save_curve([{"loss": 2.0}, {"loss": 1.0}], file)
        >>> file.read_bytes()[1:4]
        b'PNG'
    """
    write_bytes(path, _png(panels(records, units)))


def _png(drawn: list[Panel]) -> bytes:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            'the training curve needs matplotlib: pip install "kuai-nn[plot]"'
        ) from error
    # No pyplot: it keeps figures and a backend for the whole process.
    figure = Figure(figsize=(6 * len(drawn), 4), layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axes, panel in zip(all_axes, drawn, strict=True):
        _draw(axes, panel)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120, metadata={"Software": None})
    return file.getvalue()


def _draw(axes: Any, panel: Panel) -> None:
    from matplotlib.ticker import MaxNLocator

    for name, points in panel.lines.items():
        marker = "o" if len(points) <= _MOST_MARKED else ""
        axes.plot(
            *zip(*points, strict=True), label=name, marker=marker, markersize=3, **_STYLES[name]
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel(panel.label)
    axes.set_title(panel.name.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
