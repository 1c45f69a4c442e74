"""A LevelDB table, the format of a TensorFlow checkpoint's index: sorted keys, uncompressed."""

from __future__ import annotations

from collections.abc import Iterator

from kuai.interop.readers.protobuf import varint
from kuai.interop.readers.source import Source

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
_TRAILER = 5  # a byte for the compression, four for a checksum
_KEYS_PER_BYTE = 16  # keys share prefixes, which unfold; so many times the file at most
_FREE = 2**20


def entries(source: Source, raw: bytes) -> list[tuple[bytes, bytes]]:
    """The keys and values of a table, in its order.

    Args:
        source: for messages.
        raw: the whole file.

    Raises:
        FileFormatError: a rule of the format is broken.
        UnsupportedFileError: a block is compressed.
    """
    if len(raw) < FOOTER or not raw.endswith(MAGIC):
        raise source.damaged("its footer is missing (it is cut short)")
    footer = raw[-FOOTER:]
    _, at = _handle(source, footer, 0)
    index, _ = _handle(source, footer, at)
    budget = _KEYS_PER_BYTE * len(raw) + _FREE
    found: list[tuple[bytes, bytes]] = []
    reached = 0
    for _, handle in _block(source, raw, *index):
        (start, length), _ = _handle(source, handle, 0)
        if start < reached:
            raise source.damaged("its blocks overlap")
        reached = start + length
        for key, value in _block(source, raw, start, length):
            budget -= len(key)
            if budget < 0:
                raise source.damaged("its names unfold to far more than the file holds")
            found.append((key, value))
    return found


def _handle(source: Source, data: bytes, at: int) -> tuple[tuple[int, int], int]:
    start, at = varint(source, data, at)
    length, at = varint(source, data, at)
    return (start, length), at


def _block(source: Source, raw: bytes, start: int, length: int) -> Iterator[tuple[bytes, bytes]]:
    if length < 4 or start + length + _TRAILER > len(raw) - FOOTER:
        raise source.damaged("a block of it lies outside of the file")
    if raw[start + length] != 0:
        raise source.unsupported(
            "a block of it is compressed", "write the checkpoint again with TensorFlow 2"
        )
    block = raw[start : start + length]
    end = length - 4 - 4 * int.from_bytes(block[-4:], "little")
    if end < 0:
        raise source.damaged("a block of it has more restarts than bytes")
    at, key = 0, b""
    while at < end:
        shared, at = varint(source, block, at)
        own, at = varint(source, block, at)
        size, at = varint(source, block, at)
        if shared > len(key) or at + own + size > end:
            raise source.damaged("an entry of it is longer than its block")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + size]
        at += own + size
