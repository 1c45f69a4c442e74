"""The training curve as SVG of our own, so that a report needs no plotting library."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kuai.show.markup import element, escape
from kuai.show.records import Panel

WIDTH, HEIGHT = 480.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 14.0, 30.0, 44.0
_MOST_MARKED = 40

STYLE = """
.kuai-chart text { font: 12px system-ui, sans-serif; fill: #1b1f24; }
.kuai-chart .grid { stroke: #d0d7de; stroke-width: 1; }
.kuai-chart .line { fill: none; stroke-width: 2; }
.kuai-chart .train { stroke: #0969da; }
.kuai-chart .validation { stroke: #cf222e; stroke-dasharray: 6 4; }
.kuai-chart circle.train { fill: #0969da; }
.kuai-chart circle.validation { fill: #cf222e; stroke-dasharray: none; }
@media screen and (prefers-color-scheme: dark) {
.kuai-chart text { fill: #e6edf3; }
.kuai-chart .grid { stroke: #3d444d; }
.kuai-chart .train { stroke: #58a6ff; }
.kuai-chart .validation { stroke: #ff7b72; }
.kuai-chart circle.train { fill: #58a6ff; }
.kuai-chart circle.validation { fill: #ff7b72; }
}
"""


class Scale:
    """From a range of values to a range of pixels, with round values to mark.

    Args:
        values: those to be shown.
        start, end: the pixels of the lowest and the highest value.
        whole: whether only whole numbers are marked.
    """

    def __init__(
        self, values: list[float], start: float, end: float, *, whole: bool = False
    ) -> None:
        low, high = min(values), max(values)
        if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value, to all that can be seen
            margin = max(0.5, abs(high) / 2)
            low, high = low - margin, high + margin
        self.ticks = ticks(low, high, whole=whole)
        self.low, self.high = min(low, self.ticks[0]), max(high, self.ticks[-1])
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About five round values: multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: the lower end of the range that they enclose.
        high: its upper end, above `low`.
        whole: whether only whole numbers count; these stay inside the range.

    Example:
        >>> ticks(0.0, 1.0)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    inner, outer = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    first, last = (inner, outer) if whole else (math.floor(low / step), math.ceil(high / step))
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)] or [low]


def chart(panel: Panel) -> str:
    """One quantity by epoch as an SVG element; `STYLE` must stand in the page once."""
    points = [point for line in panel.lines.values() for point in line]
    across = Scale([x for x, _ in points], LEFT, WIDTH - RIGHT, whole=True)
    upward = Scale([y for _, y in points], HEIGHT - BOTTOM, TOP)
    content = [element("title", escape(described(panel)))]
    content += _grid(across, upward)
    for number, (name, line) in enumerate(panel.lines.items()):
        content += _line(name, line, across, upward)
        content += _legend(name, number)
    content += _axis_names(panel)
    return element(
        "svg",
        "".join(content),
        xmlns="http://www.w3.org/2000/svg",
        class_="kuai-chart",
        role="img",
        aria_label=described(panel),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
    )


def described(panel: Panel) -> str:
    """The curve in words."""
    parts = [
        f"{name} from {line[0][1]:.4g} to {line[-1][1]:.4g}" for name, line in panel.lines.items()
    ]
    return f"{panel.label} by epoch: {', '.join(parts)}"


def _grid(across: Scale, upward: Scale) -> Iterator[str]:
    left, right, bottom = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in upward.ticks:
        y = upward(value)
        yield element("line", class_="grid", x1=left, x2=right, y1=y, y2=y)
        yield element("text", f"{value:.6g}", x=left - 6, y=y + 4, text_anchor="end")
    for value in across.ticks:
        x = across(value)
        yield element("line", class_="grid", x1=x, x2=x, y1=TOP, y2=bottom)
        yield element("text", f"{value:.6g}", x=x, y=bottom + 16, text_anchor="middle")


def _line(
    name: str, points: list[tuple[float, float]], across: Scale, upward: Scale
) -> Iterator[str]:
    pixels = [(across(x), upward(y)) for x, y in points]
    yield element("polyline", class_=f"line {name}", points=" ".join(f"{x},{y}" for x, y in pixels))
    if len(pixels) <= _MOST_MARKED:
        yield from (element("circle", class_=name, cx=x, cy=y, r=2.5) for x, y in pixels)


def _legend(name: str, number: int) -> Iterator[str]:
    x = LEFT + number * 110
    yield element("line", class_=f"line {name}", x1=x, x2=x + 28, y1=14, y2=14)
    yield element("text", escape(name), x=x + 34, y=18)


def _axis_names(panel: Panel) -> Iterator[str]:
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield element("text", "epoch", x=middle, y=HEIGHT - 8, text_anchor="middle")
    turned = f"rotate(-90 14 {HEIGHT / 2})"
    yield element(
        "text", escape(panel.label), x=14, y=HEIGHT / 2, text_anchor="middle", transform=turned
    )
