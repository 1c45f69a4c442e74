"""`kuai`: from an argument list to an exit code."""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import logging
import math
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

from kuai.cli.command import COMMON, Command, Result
from kuai.cli.options import Option, UsageError
from kuai.cli.settings import Settings, gather
from kuai.errors import KuaiError

# Each stands in the module of its name, which is imported when somebody asks for the command.
COMMANDS = ("train", "eval", "predict", "generate", "show", "inspect", "convert", "version")
OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130

_EPILOG = """\
A setting comes from its flag, else from KUAI_NAME (KUAI_BATCH_SIZE=64), else from --config, else
from its default. Results go to stdout, progress to stderr.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
KUAI_DEBUG=1 shows the traceback of an error; KUAI_CACHE=off keeps no compiled programs, and
KUAI_CACHE=FOLDER keeps them there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what stands behind `kuai`; default the process's own.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

    Example:
        >>> from kuai.cli import main
        >>> main(["show", "mlp", "--no-such-flag"])
        2
    """
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our stdout has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE


def _main(arguments: Sequence[str] | None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    names = words[:1] if words and words[0] in COMMANDS else COMMANDS
    try:
        found, unknown = _parser(map(command_of, names)).parse_known_args(words)
    except SystemExit as stop:  # argparse has said what was wrong, or shown the help
        return int(stop.code or 0)
    parsed = vars(found)
    command: Command = parsed.pop("command")
    try:
        if unknown:
            raise UsageError(_unrecognized(command, unknown))
        settings = _settings(command, parsed)
        _listen(settings.quiet)
        if command.compiles:
            from kuai.cli import cache
            from kuai.hybrid.memory import keep_memory

            cache.set_up(settings.cache)
            keep_memory()
        _write(command.run(settings), settings)
    except UsageError as error:
        _complain(f"{error}\nkuai {command.name} --help tells what it takes", error)
        return USAGE
    except KuaiError as error:
        _complain(_with_notes(error), error)
        return FAILURE
    return OK


def _unrecognized(command: Command, unknown: Sequence[str]) -> str:
    """What to say of words that argparse left over."""
    names = [f"--{option.name}" for option in (*command.options, *COMMON)]
    flags = [word.partition("=")[0] for word in unknown if word.startswith("-")]
    near = [name for flag in flags for name in difflib.get_close_matches(flag, names, n=1)]
    hint = f"; did you mean {' and '.join(near)}?" if near else ""
    return f"unrecognized arguments: {' '.join(unknown)}{hint}"


def command_of(name: str) -> Command:
    """The command of a name in `COMMANDS`."""
    command: Command = importlib.import_module(f"kuai.cli.{name}").COMMAND
    return command


def _settings(command: Command, parsed: dict[str, Any]) -> Settings:
    places = {name: parsed.pop(name, None) for name in ("target", "destination")}
    settings = gather((*command.options, *COMMON), parsed, command.name, _every_option)
    vars(settings).update(places)
    return settings


def _every_option() -> list[Option]:
    return [*(option for name in COMMANDS for option in command_of(name).options), *COMMON]


def _parser(known: Iterable[Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kuai",
        description="Train, test, use and look at neural networks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in known:
        _add(commands, command)
    return parser


def _add(commands: Any, command: Command) -> None:
    parser = commands.add_parser(
        command.name,
        help=command.help,
        description=f"{command.help[0].upper()}{command.help[1:]}.\n\n{command.details}".rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    for name in ("target", "destination"):
        told = getattr(command, name)
        if told:
            parser.add_argument(name, metavar=told[0], help=told[1])
    for option in (*command.options, *COMMON):
        _add_option(parser, option)


def _add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    text = (option.help + _default(option)).replace("%", "%%")
    if option.metavar is None:
        parser.add_argument(f"--{option.name}", action=argparse.BooleanOptionalAction, help=text)
    else:
        parser.add_argument(f"--{option.name}", metavar=option.metavar, help=text)


def _default(option: Option) -> str:
    value = option.default
    if value is None or isinstance(value, bool):
        return ""
    return f" (default {','.join(map(str, value)) if isinstance(value, tuple) else value})"


def _listen(quiet: bool) -> None:
    """Send kuai's log to stderr, as plain lines."""
    logger = logging.getLogger("kuai")
    for handler in [h for h in logger.handlers if isinstance(h, _ToStderr)]:
        logger.removeHandler(handler)
    logger.addHandler(_ToStderr())
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


class _ToStderr(logging.Handler):
    """Writes to what sys.stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        mark = "" if record.levelno < logging.WARNING else f"kuai: {record.levelname.lower()}: "
        sys.stderr.write(f"{mark}{record.getMessage()}\n")
        sys.stderr.flush()


def _write(result: Result, settings: Settings) -> None:
    if settings.json:
        sys.stdout.write(json.dumps(_finite(result.data), indent=2) + "\n")
    elif result.renderable is not None and sys.stdout.isatty():
        from rich.console import Console

        Console().print(result.renderable)
    elif result.text:
        sys.stdout.write(result.text.rstrip("\n") + "\n")
    sys.stdout.flush()  # so that a broken pipe shows here


def _finite(data: Any) -> Any:
    """The data with None for numbers that JSON does not have."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return list(map(_finite, data))
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _with_notes(error: BaseException) -> str:
    """The message and the notes that kuai added; JAX adds one about its own traceback."""
    notes = [note for note in getattr(error, "__notes__", []) if "JAX_TRACEBACK_FILTER" not in note]
    return "\n".join([str(error), *notes])


def _complain(message: str, error: Exception | None = None) -> None:
    if error is not None and os.environ.get("KUAI_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)
    sys.stderr.write(f"kuai: error: {message}\n")
