"""What the picture of a net shows: nested boxes, runs of equal siblings drawn once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kuai.show.summary import Row, Summary
from kuai.show.table import place
from kuai.show.wording import UNKNOWN, count_text, shapes_text

_LONGEST_PATTERN = 4  # of siblings that repeat together, such as (Dense, ReLU, Dropout)
_FEWEST_TIMES = 3  # two equal siblings are clearer as two boxes
_LONGEST_LINE = 44


@dataclass(eq=False)
class Box:
    """A place of the tree in the picture, or several equal ones.

    Attributes:
        title: the class; empty for a frame around siblings that repeat together.
        facts: lines of text that equal boxes have in common.
        paths: of every place that the box stands for.
        flow: how the children are run: "sequence", "parallel" or "".
        likeness: what equal boxes have in common beside what is drawn.
        shared: whether the block is drawn elsewhere.
        children: the boxes inside.
        times: how many equal siblings the box stands for.
        key: equal for boxes that look the same; set by `collapsed`.
    """

    title: str
    facts: tuple[str, ...]
    paths: list[str]
    flow: str = ""
    likeness: tuple[Any, ...] = ()
    shared: bool = False
    children: list[Box] = field(default_factory=list)
    times: int = 1
    key: tuple[Any, ...] = ()

    def lines(self) -> list[str]:
        """The lines of text, the title first."""
        title = f"{self.title} × {self.times}" if self.times > 1 else self.title
        parts = [title.strip()] if not self.paths else [title, self._where(), *self.facts]
        return [shortened(line) for line in parts if line]

    def _where(self) -> str:
        first, last = place(self.paths[0]), place(self.paths[-1])
        return first if len(self.paths) == 1 else f"{first} … {last}"


def shortened(line: str) -> str:
    """A line that fits into a box; the whole text is in the box's title."""
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def boxes_of(summary: Summary) -> Box:
    """The outermost box of a net."""
    stack: list[Box] = []
    made: list[Box] = []
    for row in summary.rows:
        box = Box(row.class_name, _facts(row), [row.path], row.flow, (row.code, row.arrays))
        box.shared = row.shared_with is not None
        del stack[row.depth :]
        if stack:
            stack[-1].children.append(box)
        stack.append(box)
        made.append(box)
    for box in reversed(made):  # children before their parents
        box.children = collapsed(box.children)
        box.key = _key(box)
    return made[0]


def _facts(row: Row) -> tuple[str, ...]:
    if row.shared_with is not None:
        return (f"= {place(row.shared_with)}, shared",)
    output = f"→ {shapes_text(row.outputs)}" if row.outputs else ""
    tied = [f"{a.name} = {a.shared_with}, shared" for a in row.arrays if a.shared_with is not None]
    return tuple(filter(None, [output, *_counts(row), *tied]))


def _counts(row: Row) -> Iterator[str]:
    for kind in ("parameter", "constant", "state"):
        own = [array for array in row.own() if array.kind == kind]
        if own:
            known = all(array.size is not None for array in own)
            number = count_text(row.elements(kind)) if known else UNKNOWN
            word = {"constant": " in constants", "state": " in states"}.get(kind, " parameters")
            frozen = {"no": ", frozen", "partly": ", partly frozen"}.get(row.trainable, "")
            yield f"{number}{word}{frozen if kind == 'parameter' else ''}"


def _key(box: Box) -> tuple[Any, ...]:
    inner = tuple(child.key for child in box.children)
    return (box.title, box.facts, box.flow, box.likeness, box.times, inner)


def collapsed(siblings: list[Box]) -> list[Box]:
    """The siblings, with each run of equal ones, or of equal patterns, as one box."""
    result: list[Box] = []
    start = 0
    while start < len(siblings):
        period, times = _run(siblings, start)
        run = siblings[start : start + period * times]
        result.append(_merged(run, period, times) if times > 1 else run[0])
        start += period * times
    return result


def _run(siblings: list[Box], start: int) -> tuple[int, int]:
    """(length of the pattern, how often it repeats) of the longest run from `start` on."""
    best = (1, 1)
    for period in range(1, _LONGEST_PATTERN + 1):
        end = start + period
        while end < len(siblings) and siblings[end].key == siblings[end - period].key:
            end += 1
        times = (end - start) // period
        if times >= _FEWEST_TIMES and period * times > best[0] * best[1]:
            best = (period, times)
    return best


def _merged(run: list[Box], period: int, times: int) -> Box:
    pattern = run[:period]
    for index, box in enumerate(run[period:]):
        _add_paths(pattern[index % period], box)
    if period == 1:
        box = pattern[0]
        box.times = times
    else:
        box = Box("", (), [], "sequence", children=pattern, times=times)
    box.key = _key(box)
    return box


def _add_paths(into: Box, other: Box) -> None:
    pairs = [(into, other)]
    while pairs:
        mine, its = pairs.pop()
        mine.paths += its.paths
        pairs.extend(zip(mine.children, its.children, strict=True))


def every(box: Box) -> Iterable[Box]:
    """The box and all boxes in it, a box before those inside it."""
    pending = [box]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(current.children))
