"""NumPy's .npy and .npz files, which never hold anything but arrays of numbers or text here."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from kuai.interop.readers.source import Packed, Source, Span
from kuai.interop.readers.weights import Stored, Weights, contiguous, named_once

MAGIC = b"\x93NUMPY"
_HEADER_LIMIT = 10_000  # NumPy's own
# NumPy evaluates this as Python; the pattern admits what NumPy writes for plain arrays, no more.
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'(?P<dtype>[^']{1,20})',\s*'fortran_order':\s*(?P<order>True|False),"
    rb"\s*'shape':\s*\((?P<shape>[0-9, ]*)\),?\s*\}\s*"
)
_DTYPE = re.compile(r"[<>|=][biufcSU][0-9]{1,9}")


def read_npy(source: Source) -> Weights:
    """Read one array; its name is "array".

    Raises:
        FileFormatError: the file is damaged.
        UnsafeFileError: it holds pickled objects.
        UnsupportedFileError: it holds records, dates or raw bytes.
    """
    array = {"array": _array(source.whole(), "array")}
    return Weights(source.path, "numpy", source.format, array, is_flat=False)


def read_npz(source: Source, members: dict[str, Span | Packed]) -> Weights:
    """Read an archive of arrays.

    Args:
        source: the file.
        members: the archive's; each ends in .npy.

    Raises:
        As `read_npy`.
    """
    names = [name.removesuffix(".npy") for name in members]
    named_once(source, names)
    arrays = {n: _array(where, n) for n, where in zip(names, members.values(), strict=True)}
    return Weights(source.path, "numpy", source.format, arrays, is_flat=False)


def _array(where: Span | Packed, name: str) -> Stored:
    source = where.source
    head = where.head(12)
    version, width = head[6:7], 2 if head[6:7] == b"\1" else 4
    if len(head) < 12 or not head.startswith(MAGIC) or version not in (b"\1", b"\2", b"\3"):
        raise source.damaged(f"the array {name[:60]!r} does not begin as NumPy's do")
    start = 8 + width
    length = int.from_bytes(head[8:start], "little")
    if length > _HEADER_LIMIT:
        raise source.damaged(f"the array {name[:60]!r} has a header of {length:,} bytes")
    header = where.head(start + length)[start:]
    match = _HEADER.fullmatch(header)
    if match is None or len(header) < length:
        raise _refusal(source, name, header)
    dtype = _dtype(source, name, match["dtype"].decode("latin-1"))
    shape = _shape(source, name, match["shape"])
    order = "F" if match["order"] == b"True" else "C"
    return contiguous(_behind(where, start + length), dtype, shape, f"the array {name[:60]!r}",
                      order=order)  # fmt: skip


def _refusal(source: Source, name: str, header: bytes) -> Exception:
    if re.search(rb"'descr':\s*\[", header):
        return source.unsupported(f"the array {name[:60]!r} holds records", "save its fields")
    return source.damaged(f"the array {name[:60]!r} has a header that is not NumPy's")


def _dtype(source: Source, name: str, text: str) -> np.dtype[Any]:
    if "O" in text:
        raise source.unsafe(f"the array {name[:60]!r} holds pickled Python objects")
    if re.fullmatch(r"[<>|]?V[0-9]+", text):
        raise source.unsupported(
            f"the array {name[:60]!r} holds raw bytes (NumPy's files forget what bfloat16 is)",
            "save it as float32, or as safetensors",
        )
    try:
        dtype = np.dtype(text) if _DTYPE.fullmatch(text) else None
    except TypeError:
        dtype = None
    if dtype is None or not dtype.itemsize:
        raise source.unsupported(f"the array {name[:60]!r} has the dtype {text!r}", "convert it")
    return dtype


def _shape(source: Source, name: str, text: bytes) -> tuple[int, ...]:
    sizes = [size.strip() for size in text.split(b",")]
    if sizes[-1] == b"":
        sizes.pop()
    if not all(size.isdigit() and len(size) < 20 for size in sizes):
        raise source.damaged(f"the array {name[:60]!r} has a shape that is none")
    return tuple(map(int, sizes))


def _behind(where: Span | Packed, start: int) -> Span | Packed:
    if isinstance(where, Span):
        return where.part(start, where.length - start)
    return where.behind(start)
