"""Bytes of a file that may be hostile, fetched when they are asked for.

The invariant: nothing is fetched whose place and length were not first checked against the file's
size. A file is opened anew for each array, because a mapping of names to arrays may live for days;
device, inode, size and time of change must then be those of the file whose header was checked.
"""

from __future__ import annotations

import contextlib
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from kuai.errors import FileFormatError, UnsafeFileError, UnsupportedFileError
from kuai.files.access import checked_path, opened

_COUNT_LIMIT = 2**63  # NumPy's, for a dimension and for the bytes of an array
_RANK_LIMIT = 32  # MXNet's and NumPy 1's; torch's is 64, which no weights reach
_FREE = 64 * 2**20  # what an array may take beyond what the file holds for it
_EXPANSION = 100  # deflate reaches 1032: only zeros do


@dataclass(frozen=True)
class Source:
    """A regular file whose header is being, or was, checked.

    Args:
        path: as the user gave it, for messages.
        format: what the file is held to be, for messages.
        mapped: whether arrays are memory maps of the file.
    """

    path: str
    format: str
    size: int
    mapped: bool = False
    _identity: tuple[int, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, path: Any, format: str = "weights", *, mapped: bool = False) -> Source:
        """Look at a file without reading it.

        Raises:
            FileAccessError: it is missing, unreadable, or no regular file.
        """
        with opened(checked_path(path)) as file:
            status = os.fstat(file.fileno())
        return cls(os.fspath(path), format, status.st_size, mapped, _identity_of(status))

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file, which must still be the one that was looked at."""
        with opened(self.path) as file:
            if _identity_of(os.fstat(file.fileno())) != self._identity:
                raise FileFormatError(
                    f"{self.path}: the file was changed after it was opened; read it again"
                )
            yield file

    def whole(self) -> Span:
        return Span(self, 0, self.size)

    def damaged(self, fault: str) -> FileFormatError:
        """The error for a file that breaks its format's rules."""
        return FileFormatError(
            f"{self.path}: not a valid {self.format} file: {fault}. It is damaged or was made to "
            f"mislead: get it again from where it came"
        )

    def unsafe(self, what: str) -> UnsafeFileError:
        """The error for a file that could only be read by running something out of it."""
        return UnsafeFileError(f"{self.path}: refused: {what}. Nothing of it was run")

    def unsupported(self, what: str, remedy: str) -> UnsupportedFileError:
        """The error for an honest file that holds something that kuai does not read."""
        return UnsupportedFileError(f"{self.path}: {what}, which kuai does not read; {remedy}")

    def count(self, what: str, shape: Any, itemsize: int) -> int:
        """How many elements an array has, its shape being checked.

        Raises:
            FileFormatError: the shape is no tuple of sizes, or larger than any memory.
        """
        sizes = isinstance(shape, (tuple, list)) and all(
            type(n) is int and 0 <= n < _COUNT_LIMIT for n in shape
        )
        if not sizes or len(shape) > _RANK_LIMIT:
            raise self.damaged(
                f"the shape {short(shape)} of {what} is not up to {_RANK_LIMIT} whole numbers "
                f"from 0"
            )
        if math.prod(filter(None, shape)) * itemsize >= _COUNT_LIMIT:
            raise self.damaged(f"{what} has the shape {short(shape)}, larger than any memory")
        return math.prod(shape)

    def check_expansion(self, what: str, nbytes: int, stored: int) -> None:
        """Refuse an array that would take far more memory than the file has bytes for it."""
        if nbytes > _FREE and nbytes > _EXPANSION * stored:
            raise self.damaged(
                f"{what} would take {nbytes:,} bytes of memory, the file has {stored:,} for it"
            )


@dataclass(frozen=True)
class Span:
    """A stretch of a file, as its bytes stand there."""

    source: Source
    start: int
    length: int

    def __post_init__(self) -> None:
        end = self.start + self.length
        if self.start < 0 or self.length < 0 or end > self.source.size:
            raise self.source.damaged(
                f"{self.length:,} bytes from byte {self.start:,} on are asked for, the file has "
                f"{self.source.size:,} (it is cut short)"
            )

    @property
    def stored(self) -> int:
        """How many bytes of the file it takes."""
        return self.length

    def part(self, start: int, length: int) -> Span:
        """A stretch within this one."""
        if not 0 <= start <= start + length <= self.length:
            raise self.source.damaged(
                f"{length:,} bytes from byte {start:,} on are asked for where there are "
                f"{self.length:,}"
            )
        return Span(self.source, self.start + start, length)

    def head(self, length: int) -> bytes:
        """The first bytes, fewer where there are no more."""
        return self.part(0, min(length, self.length)).read()

    def read(self) -> bytes:
        return self.elements(np.dtype(np.uint8)).tobytes()

    def elements(self, dtype: np.dtype[Any]) -> np.ndarray:
        """The bytes as a row of elements, read-only: of our own memory, or mapped."""
        if self.source.mapped and self.length:
            return self._mapped(dtype)
        row = empty(self.source, self.length)
        with self.source.open() as file:
            file.seek(self.start)
            if file.readinto(row) < self.length:  # type: ignore[attr-defined]
                raise FileFormatError(
                    f"{self.source.path}: the file was cut short while it was read; read it again"
                )
        return typed(self.source, row, dtype)

    def _mapped(self, dtype: np.dtype[Any]) -> np.ndarray:
        with self.source.open() as file:
            row = np.memmap(file, np.uint8, "r", self.start, (self.length,))
        return typed(self.source, row, dtype)


@dataclass(frozen=True)
class Packed:
    """A stretch of a file that is compressed by deflate.

    Args:
        span: where it stands.
        length: how many bytes it gives, less those skipped.
        checksum: the CRC-32 of all that it holds.
        skipped: how many bytes at its beginning are left out.
    """

    span: Span
    length: int
    checksum: int
    skipped: int = 0

    @property
    def source(self) -> Source:
        return self.span.source

    @property
    def stored(self) -> int:
        return self.span.length

    def head(self, length: int) -> bytes:
        packed = self.span.head(length + 4096)
        return self._inflate(packed, self.skipped + min(length, self.length))[self.skipped :]

    def behind(self, start: int) -> Packed:
        """The same without its first bytes."""
        return Packed(self.span, self.length - start, self.checksum, self.skipped + start)

    def read(self) -> bytes:
        whole = self.skipped + self.length
        data = self._inflate(self.span.read(), whole)
        if len(data) != whole or zlib.crc32(data) != self.checksum:
            raise self.source.damaged("a compressed member does not match its length or checksum")
        return data[self.skipped :]

    def elements(self, dtype: np.dtype[Any]) -> np.ndarray:
        return typed(self.source, np.frombuffer(self.read(), np.uint8), dtype)

    def _inflate(self, packed: bytes, length: int) -> bytes:
        self.source.check_expansion("a compressed member", length, self.stored)
        if not length:  # which zlib takes for "all there is"
            return b""
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, length)
        except zlib.error as error:
            raise self.source.damaged(f"a compressed member cannot be unpacked ({error})") from None


def empty(source: Source, nbytes: int) -> np.ndarray:
    """Memory for bytes that the file has."""
    try:
        return np.empty(nbytes, np.uint8)
    except MemoryError:
        raise FileFormatError(f"{source.path}: no memory for {nbytes:,} bytes") from None


def typed(source: Source, row: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Bytes as elements that nobody may write."""
    if len(row) % dtype.itemsize:
        raise source.damaged(f"{len(row):,} bytes are no whole number of {dtype} elements")
    if dtype == np.bool_ and row.size and row.max() > 1:
        raise source.damaged("an array is boolean but holds bytes above 1")
    elements = row.view(dtype)
    elements.flags.writeable = False
    return elements


def short(value: Any) -> str:
    """A value for a message; no repr is made of what may be nested deep."""
    if isinstance(value, (tuple, list)):
        inner = ", ".join(short(item) for item in value[:8] if not isinstance(item, (tuple, list)))
        return f"({inner}{', ...' if len(value) > 8 else ''})"
    if isinstance(value, (str, bytes)):
        return repr(value[:60]) + ("..." if len(value) > 60 else "")
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    return repr(value) if isinstance(value, (int, float)) else f"a {type(value).__name__}"


def _identity_of(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
