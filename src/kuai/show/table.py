"""A summary as text, as a rich table and as HTML."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, Any

from kuai.show.markup import escape
from kuai.show.wording import UNKNOWN, bytes_text, count_text, flops_text, shapes_text

if TYPE_CHECKING:
    from kuai.show.summary import Row, Summary

HEADINGS = ("path", "block", "output", "parameters", "trainable", "bytes", "FLOPs", "note")
_NUMBERS = frozenset({"parameters", "bytes", "FLOPs"})
_UNKNOWN_WIDTH = 80  # columns, where no terminal tells its own
_DISPENSABLE = ("note", "bytes", "trainable", "FLOPs")  # left out in this order where it is narrow


def cells(row: Row) -> tuple[str, ...]:
    """The texts of a row, in the order of `HEADINGS`."""
    block = "  " * row.depth + row.class_name
    if row.shared_with is not None:
        return (row.path, block, "", "", "", "", "", f"shared with {place(row.shared_with)}")
    return (
        place(row.path),
        block,
        shapes_text(row.outputs),
        count_text(row.parameters) if row.complete else UNKNOWN,
        row.trainable,
        bytes_text(row.bytes) if row.complete else UNKNOWN,
        "" if row.flops is None else flops_text(row.flops),
        notes(row),
    )


def place(path: str) -> str:
    """A path; the net itself, whose path is empty, reads "(net)"."""
    return path or "(net)"


def notes(row: Row) -> str:
    """What else a row says: tied arrays, and several calls."""
    tied = [
        f"{a.name} shared with {a.shared_with}" for a in row.arrays if a.shared_with is not None
    ]
    ran = f"{row.calls} calls" if row.calls > 1 else "did not run" if row.outputs == () else ""
    return "; ".join([*tied, *([ran] if ran else [])])


def totals(summary: Summary) -> list[tuple[str, str]]:
    """(name, text) of the sums below the table."""
    least = "" if summary.complete else "at least "
    lines = [
        ("parameters", f"{least}{count_text(summary.parameters)}"),
        ("trainable", f"{least}{count_text(summary.trainable)}"),
        ("frozen", count_text(summary.frozen)),
        ("constants", count_text(summary.constants)),
        ("states", count_text(summary.states)),
        ("bytes", f"{least}{bytes_text(summary.bytes)}"),
    ]
    if summary.flops is not None:
        exact = "" if summary.exact else " in the layers alone"
        lines.append(("FLOPs", f"{flops_text(summary.flops)}{exact}"))
    return lines


def remark(summary: Summary) -> str:
    """What to do about what is unknown, or nothing."""
    unseen = any(row.outputs is None for row in summary.rows)
    return "? is not known: give a sample, net.summary(x)" if unseen else ""


def as_rich(summary: Summary, width: int) -> Any:
    """The table for a rich console.

    Args:
        summary: to show.
        width: of the console, in characters.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns = _fitting(list(zip(HEADINGS, *map(cells, summary.rows), strict=True)), width)
    table = Table()
    for heading, *_ in columns:
        table.add_column(
            heading, justify="right" if heading in _NUMBERS else "left", overflow="fold"
        )
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*map(Text, row))
    lines = [" · ".join(f"{name} {text}" for name, text in totals(summary)), remark(summary)]
    return Group(table, *(Text(line) for line in lines if line))


def _fitting(columns: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """The columns, a heading first in each, without those that a narrow table can spare.

    A note is spared only where there is none. What is still too wide, rich folds.
    """
    for spared in _DISPENSABLE:
        if _width(columns) <= width:
            break
        columns = [c for c in columns if c[0] != spared or (spared == "note" and any(c[1:]))]
    return columns


def _width(columns: list[tuple[str, ...]]) -> int:
    from rich.cells import cell_len

    return 1 + sum(3 + max(map(cell_len, column)) for column in columns)


def as_text(summary: Summary) -> str:
    """The table as plain text, as wide as the terminal at most."""
    from rich.console import Console

    file = io.StringIO()
    width = shutil.get_terminal_size((_UNKNOWN_WIDTH, 0)).columns
    console = Console(file=file, width=width, color_system=None, force_terminal=False)
    console.print(as_rich(summary, width))
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())


def as_html(summary: Summary) -> str:
    """The table as HTML that can stand in any page."""
    heads = "".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
    rows = "".join(_html_row(row) for row in summary.rows)
    sums = " · ".join(f"{name} <strong>{escape(text)}</strong>" for name, text in totals(summary))
    return (
        f'<table class="kuai-summary"><caption>{escape(summary.rows[0].class_name)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f"<p>{sums}</p>" + (f"<p>{escape(remark(summary))}</p>" if remark(summary) else "")
    )


def _html_row(row: Row) -> str:
    parts = []
    for heading, text in zip(HEADINGS, cells(row), strict=True):
        inner = escape(text.strip())
        style = ' style="text-align:right"' if heading in _NUMBERS else ' style="text-align:left"'
        if heading == "block":
            style = f' style="text-align:left;padding-left:{0.5 + row.depth:g}em"'
        parts.append(f"<td{style}>{inner}</td>")
    return f"<tr>{''.join(parts)}</tr>"
