"""The options of `hybridize` and `kuai.hybrid`, checked."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from kuai.errors import ArgumentError
from kuai.hybrid.trace import Options

_VERIFY = ("auto", "first", "always", "never")
_FALLBACK = ("error", "eager")


def checked_options(where: str, options: dict[str, Any]) -> Options:
    """Options from keywords.

    Raises:
        ArgumentError: there is no such option, or it has no such value.
    """
    known = [field.name for field in fields(Options)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ArgumentError(f"{where}: expected options among {known}, got {unknown}")
    checked = Options(**options)
    _check_choice(where, "verify", checked.verify, _VERIFY)
    _check_choice(where, "fallback", checked.fallback, _FALLBACK)
    _check_count(where, "loop_memory", checked.loop_memory)
    if checked.max_trips is not None:
        _check_count(where, "max_trips", checked.max_trips)
    return checked


def _check_choice(where: str, name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ArgumentError(f"{where}: expected {name} among {choices}, got {value!r}")


def _check_count(where: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{where}: expected {name} to be a positive integer, got {value!r}")
