"""`--resume`: the settings that a run was begun with, and what may differ from them."""

from __future__ import annotations

from typing import Any

from kuai.cli.options import Option, UsageError
from kuai.cli.runs import CHECKPOINT, RECORD, Run
from kuai.cli.settings import Settings
from kuai.errors import FileAccessError, FileFormatError

_FREE = {"out", "resume", "epochs"}


def adopt(run: Run, settings: Settings, options: tuple[Option, ...]) -> None:
    """Take over the settings of a run, so that it goes on as if it had not stopped.

    Args:
        run: begun before.
        settings: changed in place.
        options: those that shape a training.

    Raises:
        UsageError: somebody gave a setting that differs from the run's.
        FileAccessError: the run has no checkpoint.
        FileFormatError: the record lacks a setting.
    """
    if not run.path(CHECKPOINT).is_file():
        raise FileAccessError(
            f"{run.folder}: the run stopped before its first epoch was whole, so there is nothing "
            "to go on from; begin again with --force"
        )
    for option in options:
        if option.key in _FREE and (option.key != "epochs" or option.key in settings.given):
            continue
        value = stored(run, option)
        given = getattr(settings, option.key)
        if option.key in settings.given and given != value:
            raise UsageError(
                f"--{option.name} {given}: the run was begun with {value} and goes on as it began; "
                "leave the setting out, or begin again with --force"
            )
        setattr(settings, option.key, value)
    _check_epochs(run, settings, options)


def _check_epochs(run: Run, settings: Settings, options: tuple[Option, ...]) -> None:
    (epochs,) = (option for option in options if option.key == "epochs")
    planned = stored(run, epochs)
    if settings.schedule == "cosine" and settings.epochs != planned:
        raise UsageError(
            f"--epochs {settings.epochs}: the run's learning rate falls to 0 by epoch {planned}, "
            "so it ends there; a run begun with --schedule constant can be trained longer"
        )


def stored(run: Run, option: Option) -> Any:
    """A setting as run.json has it."""
    settings = run.record.get("settings")
    if not isinstance(settings, dict) or option.key not in settings:
        raise FileFormatError(f"{run.path(RECORD)}: does not say the setting {option.name!r}")
    value = settings[option.key]
    if value is None:
        return None
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    try:
        return option.read(text)
    except ValueError as error:
        raise FileFormatError(
            f"{run.path(RECORD)}: {option.name!r}: expected {error}, got {text!r}"
        ) from None
