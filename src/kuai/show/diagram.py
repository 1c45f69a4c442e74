"""The picture of a net as SVG: a box in a box for a block in a block."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from kuai.core.block import Block
from kuai.files import write_text
from kuai.show.boxes import Box, boxes_of, every
from kuai.show.markup import element, escape
from kuai.show.summary import Summary, summarize
from kuai.show.table import place
from kuai.show.wording import count_text

LINE, PAD, GAP = 17.0, 10.0, 18.0
CHARACTER = 7.3  # of a 12 px monospace font
MOST_IN_A_COLUMN = 14

STYLE = """
.kuai-diagram text { font: 12px "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1b1f24; }
.kuai-diagram .name { font-weight: bold; }
.kuai-diagram .path { fill: #0550ae; }
.kuai-diagram rect { stroke: #6e7781; stroke-width: 1; fill: #ffffff; }
.kuai-diagram .odd { fill: #eef2f7; }
.kuai-diagram .shared { stroke-dasharray: 4 3; }
.kuai-diagram .page { stroke: none; fill: #ffffff; }
.kuai-diagram .flow { stroke: #57606a; stroke-width: 1.2; fill: none; }
@media screen and (prefers-color-scheme: dark) {
.kuai-diagram text { fill: #e6edf3; }
.kuai-diagram .path { fill: #79c0ff; }
.kuai-diagram rect { stroke: #8b949e; fill: #161b22; }
.kuai-diagram .odd { fill: #232b36; }
.kuai-diagram .page { stroke: none; fill: #0d1117; }
.kuai-diagram .flow { stroke: #9aa4af; }
}
"""


@dataclass(eq=False)
class Placed:
    """A box with its size and its place on the page, in pixels."""

    box: Box
    columns: list[list[Placed]] = field(default_factory=list)
    depth: int = 0
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0


def save_diagram(net: Block | Summary, path: str | os.PathLike[str], *sample: object) -> None:
    """Draw a net and write the picture durably.

    Args:
        net: a block, or a summary that was made of it.
        path: of the SVG file.
        sample: inputs for a block to infer shapes from, as for `Block.summary`.

    Raises:
        FileAccessError: the folder is missing or cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "net.svg"
        >>> kuai.show.save_diagram(nn.Dense(2), file, jnp.ones((1, 3)))
        >>> "8 parameters" in file.read_text()
        True
    """
    write_text(path, to_svg(net, *sample))


def to_svg(net: Block | Summary, *sample: object) -> str:
    """The picture of a net as SVG that can stand in a page or in a file of its own.

    Args:
        net: a block, or a summary that was made of it.
        sample: inputs for a block to infer shapes from, as for `Block.summary`.

    Example:
        >>> kuai.show.to_svg(nn.Dense(2)).startswith("<svg")
        True
    """
    summary = net if isinstance(net, Summary) else summarize(net, sample)
    root = _laid_out(boxes_of(summary))
    width, height = math.ceil(root.width + 2 * PAD), math.ceil(root.height + 2 * PAD)
    name = f"{summary.rows[0].class_name}, {count_text(summary.parameters)} parameters"
    content = "".join([
        element("title", escape(name)),
        element("style", STYLE),
        element("rect", class_="page", width=width, height=height),
        *_drawn(root),
    ])  # fmt: skip
    return element(
        "svg",
        content,
        xmlns="http://www.w3.org/2000/svg",
        class_="kuai-diagram",
        role="img",
        aria_label=f"Diagram of {name}",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
    )


def _laid_out(root: Box) -> Placed:
    placed = {id(box): Placed(box) for box in every(root)}
    order = list(placed.values())
    for item in reversed(order):  # the sizes from the inside out
        item.columns = _columns(item.box, placed)
        item.width, item.height = _size(item)
    order[0].x = order[0].y = PAD
    for item in order:  # the places from the outside in
        _place_children(item)
    return order[0]


def _columns(box: Box, placed: dict[int, Placed]) -> list[list[Placed]]:
    children = [placed[id(child)] for child in box.children]
    if not children:
        return []
    count = len(children) if box.flow == "parallel" else 1
    count = max(count, math.ceil(len(children) / MOST_IN_A_COLUMN))
    size = math.ceil(len(children) / count)
    return [children[start : start + size] for start in range(0, len(children), size)]


def _size(item: Placed) -> tuple[float, float]:
    lines = item.box.lines()
    widest = max((_columns_of_text(line) * CHARACTER for line in lines), default=0.0)
    inner = sum(_column_width(column) + GAP for column in item.columns) - GAP
    tallest = max((sum(c.height + GAP for c in column) for column in item.columns), default=0.0)
    return max(widest, inner) + 2 * PAD, _header(item) + (
        tallest - GAP + PAD if tallest else PAD / 2
    )


def _header(item: Placed) -> float:
    return len(item.box.lines()) * LINE + PAD


def _column_width(column: list[Placed]) -> float:
    return max(item.width for item in column)


def _columns_of_text(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def _place_children(item: Placed) -> None:
    """Columns share what room there is, and boxes are as wide as their column."""
    used = sum(map(_column_width, item.columns)) + GAP * (len(item.columns) - 1) + 2 * PAD
    spare = (item.width - used) / max(len(item.columns), 1)
    x = item.x + PAD
    for column in item.columns:
        width, y = _column_width(column) + spare, item.y + _header(item)
        for child in column:
            child.x, child.y, child.width, child.depth = x, y, width, item.depth + 1
            y += child.height + GAP
        x += width + GAP


def _drawn(root: Placed) -> Iterator[str]:
    pending = [root]
    while pending:
        item = pending.pop()
        inner = [child for column in item.columns for child in column]
        yield element("g", "".join(_parts(item)))
        pending.extend(reversed(inner))


def _parts(item: Placed) -> Iterator[str]:
    box = item.box
    if box.paths:
        yield element("title", escape(f"{box.title}: {', '.join(map(place, box.paths))}"))
    if box.times > 1:  # the edge of the others, behind
        yield _rectangle(item, 4.0)
    yield _rectangle(item, 0.0)
    for index, line in enumerate(box.lines()):
        kind = ("name", "path")[index] if index < 2 else "fact"
        y = item.y + PAD / 2 + LINE * (index + 0.75)
        yield element("text", escape(line), class_=kind, x=_short(item.x + PAD), y=_short(y))
    if box.flow == "sequence":
        yield from map(_arrow, [c for column in item.columns for c in column[:-1]])


def _rectangle(item: Placed, offset: float) -> str:
    kinds = ["odd"] if item.depth % 2 else []
    kinds += ["shared"] if item.box.shared or not item.box.title else []
    return element(
        "rect",
        class_=" ".join(kinds) or "even",
        x=_short(item.x + offset),
        y=_short(item.y + offset),
        width=_short(item.width),
        height=_short(item.height),
        rx=5,
    )


def _arrow(item: Placed) -> str:
    x, y = _short(item.x + item.width / 2), _short(item.y + item.height + 2)
    return element("path", class_="flow", d=f"M{x} {y} v{_short(GAP - 4)} m-4 -5 l4 5 l4 -5")


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
