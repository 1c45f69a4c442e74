"""Reading a model's config.json: every value is checked where it is read.

A value that is null, or is not there, is the default; a default of `REQUIRED` says that it must be
there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from kuai.errors import ArgumentError
from kuai.nn._check import whole_number

REQUIRED: Any = object()


class Config:
    """The values of a config by key.

    Args:
        values: as JSON gives them.
        where: the part of the config that they stand in, for messages.
    """

    def __init__(self, values: Mapping[str, Any], where: str = "config.json") -> None:
        self._values = values
        self._where = where

    def get(self, key: str, default: Any = None) -> Any:
        """A value as it stands there."""
        value = self._values.get(key)
        return default if value is None else value

    def has_null(self, key: str) -> bool:
        """Whether the config says that there is none."""
        return key in self._values and self._values[key] is None

    def count(self, key: str, default: Any = REQUIRED, *, at_least: int = 1) -> Any:
        """A whole number."""
        value = self.get(key, default)
        number = whole_number(value)
        if value is not default and (number is None or number < at_least):
            self._refuse(key, f"an integer of at least {at_least}")
        return self._found(key, value)

    def counts(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of whole numbers from 1 up."""
        value = self.get(key, default)
        numbers = value if isinstance(value, (list, tuple)) else (None,)
        if not numbers or any((whole_number(number) or 0) < 1 for number in numbers):
            self._refuse(key, "a list of integers of at least 1")
        return tuple(value)

    def number(self, key: str, default: Any = REQUIRED) -> Any:
        """A number from 0 up."""
        value = self.get(key, default)
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not default and not (real and 0 <= value < math.inf):
            self._refuse(key, "a number from 0 up")
        return self._found(key, value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            self._refuse(key, "true or false")
        return bool(value)

    def choice(self, key: str, default: str, among: Iterable[str]) -> str:
        """A name, one of some."""
        value = self.get(key, default)
        if not isinstance(value, str) or value not in among:
            self._refuse(key, f"one of {', '.join(among)}")
        return str(value)

    def part(self, key: str) -> Config | None:
        """The config inside this one, None where there is none."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self._refuse(key, "an object of keys and values")
        return Config(value, f"{key} of {self._where}")

    def only(self, key: str, wanted: Any) -> None:
        """Refuse what the net here cannot do, rather than give other numbers.

        Raises:
            ArgumentError: the config has another value.
        """
        if self.get(key, wanted) != wanted:
            self._refuse(key, repr(wanted), "the net here has no such option")

    def _found(self, key: str, value: Any) -> Any:
        if value is REQUIRED:
            raise ArgumentError(
                f"from_pretrained: {self._where}: expected a value for {key}, got none; download "
                "the config again"
            )
        return value

    def _refuse(self, key: str, expected: str, remedy: str = "look at the config") -> None:
        raise ArgumentError(
            f"from_pretrained: {self._where}: expected {key} to be {expected}, got "
            f"{self._values[key]!r}; {remedy}"
        )
