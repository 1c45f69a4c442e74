"""Pickles written opcode by opcode.

Python's pickler can name only what it can import, so neither torch's classes without torch nor
NumPy's constructors by the names that NumPy 1 knows; and it holds every value until it is done.
Each function here gives the bytes that leave one value on the unpickler's stack.
"""

from __future__ import annotations

import struct

PROTOCOL_2 = b"\x80\2"
PROTOCOL_4 = b"\x80\4"
NONE, TRUE, FALSE = b"N", b"\x88", b"\x89"
BY_ID = b"Q"  # behind a value: what it is the id of, outside of the pickle
STOP = b"."


def text(value: str) -> bytes:
    """A string."""
    encoded = value.encode("utf-8")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    """A whole number below 2**63."""
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)


def byte_string_of(length: int) -> bytes:
    """The beginning of a byte string; so many bytes must follow it. Needs protocol 4."""
    return b"\x8e" + struct.pack("<Q", length)


def tuple_of(*parts: bytes) -> bytes:
    """A tuple of values."""
    return b"(" + b"".join(parts) + b"t"


def numbers(values: tuple[int, ...]) -> bytes:
    """A tuple of whole numbers."""
    return tuple_of(*map(number, values))


def named(module: str, name: str) -> bytes:
    """A class or function, by the place it is imported from."""
    return f"c{module}\n{name}\n".encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    """What a class or function makes of values."""
    return function + tuple_of(*arguments) + b"R"


def kept(index: int) -> bytes:
    """Behind a value: remember it under a number."""
    return b"r" + struct.pack("<I", index)


def recalled(index: int) -> bytes:
    """The value remembered under a number."""
    return b"j" + struct.pack("<I", index)
