"""Writing a file so that a reader finds the old one or the new one, never a mixture.

The order is the invariant: write a temporary file in the same folder, fsync it, rename it over the
old one, fsync the folder. A rename before the first fsync could, after a power cut, leave the new
name above data that never reached the disk; without the second the rename itself may be lost.
Until the rename nothing has touched the old file, so a failure only has to remove the temporary.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from kuai.errors import FileAccessError
from kuai.files.access import checked_path, reason

_WRITE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a whole file durably.

    Args:
        path: the file; an existing one is replaced only when all of `data` is on the disk. A link
            stays a link: the file it points to is replaced.
        data: what the file shall hold.

    Raises:
        FileAccessError: the folder is missing or not writable, the disk is full, or `path` is a
            folder or device. The old file is whole, and no temporary file is left.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> kuai.files.write_bytes(folder / "a.bin", b"123")
        >>> (folder / "a.bin").read_bytes()
        b'123'
    """
    write_chunks(path, [data])


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a whole text file durably, as UTF-8 with the line ends it has.

    Args:
        path: the file, as for `write_bytes`.
        text: what the file shall hold.

    Raises:
        FileAccessError: as for `write_bytes`.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> kuai.files.write_text(folder / "report.json", '{"accuracy": 0.98}')
        >>> (folder / "report.json").read_text()
        '{"accuracy": 0.98}'
    """
    write_chunks(path, [text.encode("utf-8")])


def write_chunks(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview]) -> None:
    """Write the chunks, one after the other, as one durable file."""

    def fill(descriptor: int) -> None:
        for chunk in chunks:
            _write_all(descriptor, memoryview(chunk))

    _write(path, fill)


def write_with(path: str | os.PathLike[str], write: Callable[[BinaryIO], None]) -> None:
    """Write a durable file with a function that is given it open, to write, seek and read back.

    Raises:
        FileAccessError: as for `write_bytes`. Whatever else the function raises comes through, and
            the old file is whole then too.
    """

    def fill(descriptor: int) -> None:
        with os.fdopen(descriptor, "w+b", closefd=False) as file:
            write(file)

    _write(path, fill)


def _write(path: str | os.PathLike[str], fill: Callable[[int], None]) -> None:
    target = Path(os.path.realpath(checked_path(path)))
    mode = _mode_of_old(target)
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.tmp")
    try:
        try:
            _write_new(temporary, fill, mode)
            temporary.replace(target)
        except BaseException:  # Ctrl-C too must leave no temporary file
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except FileAccessError:  # of a file that is read meanwhile
        raise
    except OSError as error:
        raise FileAccessError(_explain(target, error)) from error
    _flush_folder(target.parent)


def _mode_of_old(target: Path) -> int | None:
    """The permissions that the new file takes over, None where there is no old file."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return None
    if not stat.S_ISREG(mode):
        raise FileAccessError(f"{target}: expected a file to write, got a folder or device")
    return stat.S_IMODE(mode)


def _write_new(temporary: Path, fill: Callable[[int], None], mode: int | None) -> None:
    descriptor = os.open(temporary, _WRITE_FLAGS, 0o666)
    try:
        fill(descriptor)
        if mode is not None:
            temporary.chmod(mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, chunk: memoryview) -> None:
    """The system may write less than it was given, and says how much."""
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder; NTFS journals its names
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise FileAccessError(
            f"{folder}: the file was written, but the folder could not be flushed to the disk "
            f"({reason(error)}): a power cut may bring the old file back. Write it again"
        ) from error


def _explain(target: Path, error: OSError) -> str:
    if not target.parent.is_dir():
        return f"{target}: the folder {target.parent} does not exist; make it first"
    return (
        f"{target}: could not be written ({reason(error)}); what stood there before is whole. "
        f"Check that the folder is writable and that the disk has room"
    )
