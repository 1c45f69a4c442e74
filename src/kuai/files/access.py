"""Opening a file for reading, and saying plainly why it cannot be opened.

Only regular files are read: a FIFO would block for ever, and opening a device may have effects.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kuai.errors import ArgumentError, FileAccessError, MissingFileError

# O_NONBLOCK: a FIFO that takes the file's place opens at once, and is refused by its kind.
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO (named pipe)",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def checked_path(path: Any) -> Path:
    """The path of a file as a user gave it.

    Raises:
        ArgumentError: it is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        is_short = path is None or isinstance(path, (int, float))
        is_state = isinstance(path, Mapping)
        raise ArgumentError(
            "path: expected text or a pathlib.Path, got "
            f"{path if is_short else f'a value of type {type(path).__name__}'}; give the file's "
            "name, such as 'net.safetensors'"
            + "; arrays that stand in no file are saved first, as with torch.save"
            * is_state
        )
    return Path(path)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file for reading in binary.

    Raises:
        MissingFileError: there is no such file.
        FileAccessError: it is no regular file, or may not be read.
    """
    descriptor = _open(Path(path))
    with os.fdopen(descriptor, "rb") as file:
        _refuse_special(path, os.fstat(descriptor).st_mode)
        yield file


def _open(path: Path) -> int:
    try:
        _refuse_special(path, path.stat().st_mode)
        return os.open(path, _READ_FLAGS)
    except FileAccessError:
        raise
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file{_suggestion(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise FileAccessError(f"{path}: cannot be read ({reason(error)})") from error


def _refuse_special(path: str | os.PathLike[str], mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise FileAccessError(f"{os.fspath(path)}: expected a regular file, got {kind}")


def _suggestion(path: Path) -> str:
    """What the user may have meant, as the end of a sentence."""
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist"
    with contextlib.suppress(OSError):
        names = [other.name for other in path.parent.iterdir()]
        near = difflib.get_close_matches(path.name, names, n=3)
        return f"; did you mean {' or '.join(near)}?" if near else ""
    return ""


def reason(error: BaseException) -> str:
    """The operating system's own words for what went wrong."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
