"""Members of a zip archive, written so that the same content gives the same bytes."""

from __future__ import annotations

import struct
import zipfile
from typing import IO, BinaryIO

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell
_LARGE = 2**30  # from here on sizes are written with 64 bits; the format's limit is 2**32
_UNIX = 3
_HEADER, _FIELD, _FIELD64 = 30, 4, 20


def put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Write a small member whole."""
    with opened_member(archive, name, len(data)) as out:
        out.write(data)


def opened_member(archive: zipfile.ZipFile, name: str, nbytes: int) -> IO[bytes]:
    """A member of so many bytes, uncompressed, open for writing."""
    return _opened(archive, _described(name, nbytes))


def opened_aligned(
    archive: zipfile.ZipFile, file: BinaryIO, name: str, nbytes: int, alignment: int
) -> IO[bytes]:
    """The same, its bytes beginning at a multiple of `alignment` of the archive's file.

    The padding is an extra field marked FB, as PyTorch writes it.
    """
    info = _described(name, nbytes)
    start = file.tell() + _HEADER + len(name.encode()) + _FIELD
    start += _FIELD64 if nbytes >= _LARGE else 0
    padding = -start % alignment
    info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    return _opened(archive, info)


def _described(name: str, nbytes: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = _UNIX
    info.file_size = nbytes
    return info


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    return archive.open(info, "w", force_zip64=info.file_size >= _LARGE)
