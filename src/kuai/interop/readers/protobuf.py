"""Protocol buffers by field number, as far as the files of TensorFlow and Paddle need them."""

from __future__ import annotations

from kuai.interop.readers.source import Source

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Fields = dict[int, list[int | memoryview]]


def varint(source: Source, data: bytes | memoryview, at: int) -> tuple[int, int]:
    """An unsigned number of seven bits a byte, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise source.damaged("a number in it does not end")


def fields(source: Source, data: bytes | memoryview) -> Fields:
    """The fields of one message; those that are messages themselves stay bytes.

    Raises:
        FileFormatError: it is cut short, or has a wire type that is none.
    """
    found: Fields = {}
    view, at = memoryview(data), 0
    while at < len(view):
        key, at = varint(source, view, at)
        value: int | memoryview
        if key & 7 == _VARINT:
            value, at = varint(source, view, at)
        else:
            length, at = _length(source, view, at, key & 7)
            if length > len(view) - at:
                raise source.damaged("a field in it is longer than what holds it")
            value, at = view[at : at + length], at + length
        found.setdefault(key >> 3, []).append(value)
    return found


def _length(source: Source, view: memoryview, at: int, kind: int) -> tuple[int, int]:
    if kind == _BYTES:
        return varint(source, view, at)
    if kind in (_FIXED64, _FIXED32):
        return (8 if kind == _FIXED64 else 4), at
    raise source.damaged(f"a field in it has the wire type {kind}")


def number(source: Source, message: Fields, field: int, default: int = 0) -> int:
    """The last value of a field that is a number."""
    value = message.get(field, [default])[-1]
    if not isinstance(value, int):
        raise source.damaged(f"its field {field} should be a number")
    return value


def messages(source: Source, message: Fields, field: int) -> list[memoryview]:
    """The values of a field that is a message, text or bytes."""
    values = message.get(field, [])
    found = [value for value in values if isinstance(value, memoryview)]
    if len(found) < len(values):
        raise source.damaged(f"its field {field} should be a message")
    return found


def text(source: Source, message: Fields, field: int) -> str:
    """The last value of a field that is text, "" where there is none."""
    found = messages(source, message, field)
    return utf8(source, found[-1]) if found else ""


def numbers(source: Source, message: Fields, field: int) -> list[int]:
    """The values of a repeated number, packed or not; signed, 64 bits."""
    found: list[int] = []
    for value in message.get(field, []):
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            packed, at = varint(source, value, at)
            found.append(packed)
    return [n - 2**64 if n >= 2**63 else n for n in found]


def utf8(source: Source, raw: bytes | memoryview) -> str:
    try:
        return bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise source.damaged("a name in it is not UTF-8") from None
