"""What a command is, and what it gives back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kuai.cli.options import Option, place_or_truth, switch, text
from kuai.cli.settings import Settings

log = logging.getLogger("kuai.cli")


@dataclass(frozen=True)
class Result:
    """What a command found, once for people and once for programs.

    Args:
        text: for stdout.
        data: for stdout under --json: plain lists, dicts, numbers and text.
        renderable: what rich shows in a terminal in place of `text`.
    """

    text: str
    data: Any
    renderable: Any = None


@dataclass(frozen=True)
class Command:
    """A command of `kuai`.

    Args:
        name: the word behind `kuai`.
        help: one line.
        run: settings → result; progress goes to the log.
        options: what it can be told, beside what every command can.
        target: (metavar, help) of the positional argument; None: it has none.
        details: paragraphs below its help.
        destination: as `target`, of a second positional argument.
        compiles: whether it runs programs, which a cache keeps; otherwise it starts without JAX.
    """

    name: str
    help: str
    run: Callable[[Settings], Result]
    options: Sequence[Option] = field(default=())
    target: tuple[str, str] | None = None
    details: str = ""
    destination: tuple[str, str] | None = None
    compiles: bool = True


COMMON = (
    switch("quiet", "say nothing on stderr but warnings and errors"),
    switch("json", "write the result as JSON"),
    Option("cache", place_or_truth, "keep compiled programs in the user's cache folder", True),
    Option("config", text, "settings as TOML: name = value, or in a table [COMMAND]", None, "FILE"),
)
