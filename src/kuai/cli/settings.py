"""Where a setting comes from: a flag, the environment, the config file, or its default."""

from __future__ import annotations

import argparse
import difflib
import os
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kuai.cli.options import Option, UsageError
from kuai.errors import FileAccessError


class Settings(argparse.Namespace):
    """The value of each option by its key, and the keys of those that somebody gave."""

    given: frozenset[str]


def gather(
    options: Sequence[Option],
    flags: dict[str, Any],
    command: str,
    known: Callable[[], Sequence[Option]],
) -> Settings:
    """Read every option from the first place that gives it.

    Args:
        options: those of the command.
        flags: key → text (True and False for switches), as the parser found them.
        command: its table in the config file counts over the file's top level.
        known: gives the options of every command, which may all stand in one config file.

    Raises:
        UsageError: a value cannot be read, or the config file has an unknown name.
        FileAccessError: the config file cannot be read.
    """
    config = flags.get("config") or os.environ.get("KUAI_CONFIG")
    table = _table(config, command, known()) if config else {}
    settings = Settings(**{option.key: option.default for option in options})
    given = set()
    for option in options:
        for place, value in _places(option, flags, table, config):
            setattr(settings, option.key, _read(option, place, value))
            given.add(option.key)
            break
    settings.given = frozenset(given)
    return settings


def _places(
    option: Option, flags: dict[str, Any], table: dict[str, Any], config: str | None
) -> Iterator[tuple[str, Any]]:
    if option.key in flags:
        yield f"--{option.name}", flags[option.key]
    if os.environ.get(option.variable):  # an empty one counts as none
        yield option.variable, os.environ[option.variable]
    if option.key in table:
        yield f"{config}: {option.name}", table[option.key]


def _read(option: Option, place: str, value: Any) -> Any:
    text = _as_text(value)
    try:
        return option.read(text)
    except ValueError as error:
        raise UsageError(f"{place}: expected {error}, got {text!r}") from None


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_as_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(path: str, command: str, known: Sequence[Option]) -> dict[str, Any]:
    """The values that a config file has for a command, by key."""
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FileAccessError(f"--config {path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: expected a TOML file, but {error}") from None
    top = {key: value for key, value in content.items() if not isinstance(value, dict)}
    own = content.get(command, {})
    _check_names(path, [*top, *(own if isinstance(own, dict) else [])], known)
    return {key.replace("-", "_"): value for key, value in {**top, **own}.items()}


def _check_names(path: str, names: list[str], known: Sequence[Option]) -> None:
    by_key = {option.key: option.name for option in known}
    for name in names:
        if name.replace("-", "_") not in by_key:
            near = difflib.get_close_matches(name, by_key.values(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{path}: unknown setting {name!r}{hint}")
