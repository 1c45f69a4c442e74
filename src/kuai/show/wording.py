"""How numbers, shapes and times read."""

from __future__ import annotations

from collections.abc import Iterable

UNKNOWN = "?"


def shape_text(shape: Iterable[int | None]) -> str:
    """A shape as Python writes it, "?" for a size that is not known: `(?, 10)`."""
    sizes = [UNKNOWN if size is None else str(size) for size in shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def shapes_text(shapes: Iterable[Iterable[int | None]] | None) -> str:
    """Several shapes, equal ones once; "?" where nothing is known."""
    if shapes is None:
        return UNKNOWN
    return ", ".join(dict.fromkeys(map(shape_text, shapes)))


def count_text(number: int | None) -> str:
    """A whole number with thousands parted, "?" for None: `1,234`."""
    return UNKNOWN if number is None else f"{number:,}"


def bytes_text(number: int | None) -> str:
    """Bytes in the binary unit that leaves one to four digits: `795.0 KiB`."""
    return _scaled(number, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def flops_text(number: int | None) -> str:
    """Floating-point operations in the unit that leaves one to three digits: `10.2 M`."""
    return _scaled(number, 1000, ("", "k", "M", "G", "T", "P", "E"))


def _scaled(number: int | None, step: int, units: tuple[str, ...]) -> str:
    if number is None:
        return UNKNOWN
    value, place = float(number), 0
    while round(value, 1) >= step and place < len(units) - 1:
        value, place = value / step, place + 1
    return f"{value:.1f} {units[place]}" if place else f"{number} {units[0]}".strip()
