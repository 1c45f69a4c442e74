"""Text with arrays in it, and `print`, which prints when the program runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from kuai.hybrid.leaves import is_traced
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
        return [_taken(part, arrays) for part in value.parts]
    if isinstance(value, Formatted):
        return Formatted(_taken(value.array, arrays), value.conversion, value.spec)
    if isinstance(value, (tuple, list)) and any(map(is_traced, value)):
        return type(value)(_taken(part, arrays) for part in value)
    return value


def _told(value: Any, arrays: Any) -> Any:
    if value is _SLOT:
        return next(arrays)
    if isinstance(value, Formatted):
        return formatted(_told(value.array, arrays), value.conversion, value.spec)
    if isinstance(value, list):
        return "".join(str(_told(part, arrays)) for part in value)
    return value
