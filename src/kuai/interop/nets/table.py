"""Where each array of a file goes in a net, or comes from: what `dry_run=True` shows."""

from __future__ import annotations

from dataclasses import dataclass, field

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Move:
    """Arrays that go together, from a file into a net or the other way.

    Args:
        theirs: names in the other system's file.
        their_shapes: of these.
        ours: paths in the net.
        our_shapes: of these; empty where they are not known yet.
        how: what is done on the way, such as "transposed"; "" where nothing.
    """

    theirs: tuple[str, ...]
    their_shapes: Shapes
    ours: tuple[str, ...]
    our_shapes: Shapes
    how: str


@dataclass
class Moves:
    """Every array of a file and its place in a net; `str` makes a table of it.

    Args:
        path: of the file.
        system: that wrote it.
        net: the class of the net.
        rows: the moves.
        passed_over: names in the file that go nowhere.
        missing: paths of the net that nothing goes to.
    """

    path: str
    system: str
    net: str
    rows: list[Move] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        cells = [
            (_told(row.theirs, row.their_shapes), _told(row.ours, row.our_shapes), row.how)
            for row in self.rows
        ]
        cells += [(name, "passed over", "") for name in self.passed_over]
        cells += [("nothing", path, "stays as it is") for path in self.missing]
        widths = [max((len(cell[n]) for cell in cells), default=0) for n in (0, 1)]
        lines = [f"  {a:{widths[0]}}  →  {b:{widths[1]}}  {c}".rstrip() for a, b, c in cells]
        return "\n".join([f"{self.path} ({self.system}) → {self.net}", *lines])

    __repr__ = __str__


def _told(names: tuple[str, ...], shapes: Shapes) -> str:
    pairs = zip(names, shapes or ((),) * len(names), strict=True)
    return ", ".join(f"{name} {shape}" if shapes else name for name, shape in pairs)
