"""What an option is, and what its text may be.

One text form serves flags, environment variables and config files, so that a value means the same
wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class UsageError(Exception):
    """The command line, the environment or the config file asks for what makes no sense: exit 2."""


@dataclass(frozen=True)
class Option:
    """A setting that a flag, `KUAI_NAME` or a config file's `name` gives.

    Args:
        name: as in the flag, with dashes.
        read: text → value; raises ValueError saying what was expected.
        help: one line.
        default: where nobody gives it.
        metavar: stands for the value in the help; None: the option is a switch.
    """

    name: str
    read: Callable[[str], Any]
    help: str
    default: Any = None
    metavar: str | None = None

    @property
    def key(self) -> str:
        """The name as an identifier."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable that gives it."""
        return f"KUAI_{self.key.upper()}"


def switch(name: str, help: str, default: bool = False) -> Option:
    """An option that is on or off."""
    return Option(name, truth, help, default)


def text(value: str) -> str:
    """Any text but none."""
    if not value:
        raise ValueError("a value")
    return value


def truth(value: str) -> bool:
    """On or off, in the usual words."""
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False, "": False}
    if value.lower() not in words:
        raise ValueError("true or false")
    return words[value.lower()]


def place_or_truth(value: str) -> bool | str:
    """On, off, or the folder to use."""
    try:
        return truth(value)
    except ValueError:
        return value


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A whole number from `low` on, up to `high`."""

    def read(value: str) -> int:
        wanted = f"a whole number from {low}" + (f" to {high}" if high is not None else "")
        number = _number(int, value, wanted)
        if number < low or (high is not None and number > high):
            raise ValueError(wanted)
        return number

    return read


def share(value: str) -> float:
    """A part of a whole: from 0 up to below 1."""
    number = _number(float, value, wanted := "a number from 0 up to below 1")
    if not 0 <= number < 1:
        raise ValueError(wanted)
    return number


def probability(value: str) -> float:
    """A number above 0 and up to 1."""
    number = _number(float, value, wanted := "a number above 0 and up to 1")
    if not 0 < number <= 1:
        raise ValueError(wanted)
    return number


def positive(value: str) -> float:
    """A finite number above 0."""
    number = _number(float, value, wanted := "a number above 0")
    if not 0 < number < float("inf"):
        raise ValueError(wanted)
    return number


def nonnegative(value: str) -> float:
    """A finite number from 0 up."""
    number = _number(float, value, wanted := "a number from 0 up")
    if not 0 <= number < float("inf"):
        raise ValueError(wanted)
    return number


def sizes(value: str) -> tuple[int, ...]:
    """Whole numbers from 1 with commas between: "256,128"."""
    wanted = "whole numbers from 1 with commas between, such as 256,128"
    numbers = tuple(_number(int, part, wanted) for part in value.split(",") if part.strip())
    if any(number < 1 for number in numbers):
        raise ValueError(wanted)
    return numbers


def choice(*names: str) -> Callable[[str], str]:
    """One of some names."""

    def read(value: str) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return value

    return read


def _number(kind: type, value: str, wanted: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(wanted) from None
