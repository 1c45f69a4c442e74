"""Text with arrays in it, and `print`, which prints when the program runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from kuai.core.signature import children
from kuai.hybrid.leaves import NUMBERS, is_traced
from kuai.hybrid.trace import current


class Text(str):
    """A string that shows arrays whose values are not known yet.

    Attributes:
        parts: strings, and functions that format an array.
    """

    __slots__ = ("parts",)

    parts: Sequence[Any]

    @classmethod
    def of(cls, parts: Sequence[Any]) -> Text:
        text = cls("".join(str(part) for part in parts))
        text.parts = parts
        return text


class Formatted:
    """An array with how an f-string shows it."""

    __slots__ = ("array", "conversion", "spec")

    def __init__(self, array: Any, conversion: int, spec: str) -> None:
        self.array, self.conversion, self.spec = array, conversion, spec

    def __str__(self) -> str:
        if is_traced(self.array):
            return str(self.array)
        return formatted(self.array, self.conversion, self.spec)


def formatted(value: Any, conversion: int, spec: str) -> str:
    converts: dict[int, Callable[[Any], str]] = {ord("r"): repr, ord("s"): str, ord("a"): ascii}
    convert = converts.get(conversion)
    return format(convert(value) if convert else value, spec)


def joined_text(*parts: Any) -> str:
    """An f-string: strings, and (value, conversion, format) for what it shows."""
    pieces = [part if isinstance(part, str) else Formatted(*part) for part in parts]
    arrays = any(
        isinstance(p, Formatted) and (is_traced(p.array) or isinstance(p.array, Text))
        for p in pieces
    )
    return Text.of(pieces) if arrays else "".join(map(str, pieces))


def print_(*values: Any, **options: Any) -> None:
    """`print`, at each run of the program."""
    trace = current()
    if trace is None:
        print(*values, **options)  # noqa: T201  # the user's
        return
    arrays: list[Any] = []
    shown = [_taken(value, arrays) for value in values]
    trace.prints = True

    def show(*arrays: Any) -> None:
        given = iter(arrays)
        print(*(_told(value, given) for value in shown), **options)  # noqa: T201  # the user's

    jax.debug.callback(show, *arrays)


class _Slot:
    """Where an array belongs."""


_SLOT = _Slot()


def _taken(value: Any, arrays: list[Any]) -> Any:
    """A value with its arrays taken out, appended to `arrays`."""
    if is_traced(value):
        arrays.append(value)
        return _SLOT
    if isinstance(value, Text):
        return _Joined([_taken(part, arrays) for part in value.parts])
    if isinstance(value, Formatted):
        return Formatted(_taken(value.array, arrays), value.conversion, value.spec)
    parts = None if isinstance(value, (str, *NUMBERS)) or value is None else children(value)
    if parts is None or not any(map(is_traced, jax.tree.leaves(value))):
        return value
    return _Built(parts[1], [_taken(part, arrays) for part in parts[2]])


class _Joined:
    """A text in parts."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts


class _Built(_Joined):
    """A container in parts."""

    def __init__(self, rebuild: Callable[[list[Any]], Any], parts: list[Any]) -> None:
        super().__init__(parts)
        self.rebuild = rebuild


def _told(value: Any, arrays: Iterator[Any]) -> Any:
    if value is _SLOT:
        return next(arrays)
    if isinstance(value, Formatted):
        return formatted(_told(value.array, arrays), value.conversion, value.spec)
    if not isinstance(value, _Joined):
        return value
    parts = [_told(part, arrays) for part in value.parts]
    return value.rebuild(parts) if isinstance(value, _Built) else "".join(map(str, parts))
