"""The folder of a run: which files are there, whose they are, and what run.json says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kuai.cli.nets import Recipe
from kuai.cli.version import versions
from kuai.errors import FileAccessError, FileFormatError
from kuai.files import write_text

RECORD = "run.json"
WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"
CURVE = "curve.png"
PICTURE = "net.svg"
REPORT = "report.html"
_OWN = (RECORD, WEIGHTS, CHECKPOINT, METRICS, CURVE, PICTURE, REPORT)
_FORMAT = 1
_LARGEST_RECORD = 10_000_000  # bytes; a record of a run has a few thousand


class Run:
    """A run's folder and the record in it.

    Args:
        folder: where.
        record: what run.json holds or will hold.
    """

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.folder = folder
        self.record = record

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Read a run that is there.

        Raises:
            FileAccessError: there is none.
            FileFormatError: its record is damaged or of a later kuai.
        """
        return cls(folder, _read(folder / RECORD))

    @classmethod
    def begin(cls, folder: Path, *, force: bool) -> Run:
        """Take a folder for a new run; nothing in it changes before `clear`.

        Raises:
            FileAccessError: files of a run are in it already.
        """
        taken = [name for name in _OWN if (folder / name).exists()]
        if taken and not force:
            raise FileAccessError(_occupied(folder, taken))
        return cls(folder, {"format": _FORMAT, "versions": versions()})

    def clear(self) -> None:
        """Make the folder, without the files of a run that was there.

        Raises:
            FileAccessError: it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in _OWN:
                self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise FileAccessError(
                f"--out {self.folder}: the folder cannot be made ready ({error.strerror}); "
                "choose another"
            ) from error

    def path(self, name: str) -> Path:
        """Where one of its files stands."""
        return self.folder / name

    def write(self, **changes: Any) -> None:
        """Change the record and write it."""
        self.record |= changes
        write_text(self.path(RECORD), json.dumps(self.record, indent=2) + "\n")

    @property
    def status(self) -> str:
        """The word "running" (it may have been killed), "interrupted", "failed" or "finished"."""
        return str(self.record.get("status"))

    def recipe(self) -> Recipe:
        """How its net is built again.

        Raises:
            FileFormatError: the record does not say.
        """
        try:
            stored = self.record["net"]
            return Recipe(str(stored["net"]), int(stored["outputs"]), dict(stored["options"]))
        except (KeyError, TypeError, ValueError):
            raise FileFormatError(
                f"{self.path(RECORD)}: does not say which net it is; train again with --force"
            ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_RECORD:
            raise FileFormatError(f"{path}: too large for the record of a run")
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileAccessError(
            f"{path.parent}: expected the folder of a run, but there is no {RECORD} in it"
        ) from None
    except OSError as error:
        raise FileAccessError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: expected the record of a run, but {error}") from None
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise FileFormatError(
            f"{path}: expected the record of a run in format {_FORMAT}; another version of kuai "
            "may have written it"
        )
    return record


def _occupied(folder: Path, taken: list[str]) -> str:
    return (
        f"--out {folder}: {', '.join(taken)} {'is' if len(taken) == 1 else 'are'} there already; "
        "--resume goes on with that run, --force replaces it, or choose another folder"
    )
