"""What the messages in an HDF5 object header say: shapes, dtypes, attributes."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kuai.interop.readers.source import Source

_FIXED, _FLOAT, _TEXT, _OPAQUE, _ENUM, _VARIABLE = 0, 1, 3, 5, 8, 9
_FLOATS = {(2, 5, 10): "f2", (4, 8, 23): "f4", (8, 11, 52): "f8"}  # bytes, exponent, mantissa bits
OPAQUE_HALF = np.dtype("V2")

# Address and index of an element of variable length → its bytes.
Fetch = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Type:
    """A datatype, as far as weights need it.

    Args:
        dtype: of numbers, of text of one length, or raw bytes; None: text of any length.
        size: of one element in the file.
    """

    dtype: np.dtype[Any] | None
    size: int


def unpack(source: Source, layout: str, raw: bytes, at: int = 0) -> tuple[Any, ...]:
    """Little-endian fields, which must be there."""
    if not 0 <= at <= len(raw) - struct.calcsize("<" + layout):
        raise source.damaged("a message of it ends too early")
    return struct.unpack_from("<" + layout, raw, at)


def shape(source: Source, raw: bytes) -> tuple[int, ...]:
    """A dataspace message."""
    version, rank, _, kind = unpack(source, "4B", raw)
    if version not in (1, 2) or (version == 2 and kind == 2):
        raise source.damaged(f"it has a dataspace of version {version}, or an empty one")
    if rank > 32:
        raise source.damaged(f"an array in it has {rank} dimensions")
    return unpack(source, f"{rank}Q", raw, 8 if version == 1 else 4)


def datatype(source: Source, raw: bytes) -> Type:
    """A datatype message.

    Raises:
        UnsupportedFileError: it is a kind that weights are not made of.
    """
    kind, bits, _, _, size = unpack(source, "4BI", raw)
    kind &= 0x0F
    if not 0 < size < 2**31:
        raise source.damaged(f"it has elements of {size:,} bytes")
    order = ">" if bits & 1 else "<"
    if kind == _FIXED and size in (1, 2, 4, 8):
        return Type(np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}"), size)
    if kind == _FLOAT:
        _, _, _, exponent, _, mantissa = unpack(source, "2H4B", raw, 8)
        return _float(source, order, size, exponent, mantissa)
    if kind == _TEXT:
        return Type(np.dtype(f"S{size}"), size)
    if kind == _VARIABLE and bits & 0x0F == 1 and size == 16:
        return Type(None, size)
    if kind == _OPAQUE and size == OPAQUE_HALF.itemsize:
        return Type(OPAQUE_HALF, size)
    if kind == _ENUM and size == 1:  # how h5py writes booleans
        return Type(np.dtype(np.bool_), size)
    raise source.unsupported(
        f"it has elements of HDF5's class {kind} and {size:,} bytes", "save arrays of numbers"
    )


def _float(source: Source, order: str, size: int, exponent: int, mantissa: int) -> Type:
    code = _FLOATS.get((size, exponent, mantissa))
    if code is None:
        raise source.unsupported(
            f"it has floats of {size} bytes with {exponent} bits of exponent", "save as float32"
        )
    return Type(np.dtype(order + code), size)


def attribute(source: Source, raw: bytes, wanted: re.Pattern[str], fetch: Fetch) -> tuple[str, Any]:
    """An attribute message: its name, and its text or texts; None where it is not wanted."""
    version, _, name_size, type_size, space_size = unpack(source, "2B3H", raw)
    if version not in (1, 2, 3):
        raise source.damaged(f"it has an attribute of version {version}")
    at, step = (9 if version == 3 else 8), (8 if version == 1 else 1)
    parts = []
    for size in (name_size, type_size, space_size):
        parts.append(raw[at : at + size])
        at += -(-size // step) * step
    name = parts[0].rstrip(b"\0").decode("utf-8", "replace")
    if not wanted.fullmatch(name):
        return name, None
    return name, _texts(
        source, datatype(source, parts[1]), shape(source, parts[2]), raw[at:], fetch
    )


def _texts(
    source: Source, kind: Type, sizes: tuple[int, ...], data: bytes, fetch: Fetch
) -> str | list[str] | None:
    count = source.count("an attribute", sizes, kind.size)
    if count * kind.size > len(data):
        raise source.damaged("an attribute is longer than its message")
    items = [data[at : at + kind.size] for at in range(0, count * kind.size, kind.size)]
    if kind.dtype is None:
        # Length, address, index; the length is told again where the text stands.
        items = [fetch(*unpack(source, "4xQI", item)) for item in items]
    elif kind.dtype.kind != "S":
        return None
    texts = [item.rstrip(b"\0").decode("utf-8", "replace") for item in items]
    return texts if sizes else texts[0]
