"""The members of a zip archive that may be hostile.

Readers of zip files differ in which of the format's redundant fields they believe; files made to
mislead live off that. So every field that stands twice must say the same twice, members may not
overlap, and nothing may stand before, between the directory's parts, or behind.
"""

from __future__ import annotations

import stat
import struct
from typing import Any, BinaryIO, NamedTuple

from kuai.interop.readers.source import Packed, Source, Span

_END = struct.Struct("<4s4H2IH")
_END64_PLACE = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_LATER, _UTF8 = 0x8, 0x800
_ENCRYPTED = 0x2041  # any of the three bits that say so
_MEMBERS = 100_000


class _Entry(NamedTuple):
    name: bytes
    flags: int
    method: int
    checksum: int
    packed: int
    length: int
    offset: int
    attributes: int


def members(source: Source) -> dict[str, Span | Packed]:
    """The members of a zip archive, folders left out, in the order of its directory.

    Raises:
        FileFormatError: the archive is cut short, or two of its fields contradict each other.
        UnsupportedFileError: it is encrypted, or compressed by something other than deflate.
    """
    with source.open() as file:
        start, entries = _directory(source, file)
        found: dict[str, Span | Packed] = {}
        reached: list[tuple[int, int]] = []
        for entry in entries:
            name = _checked_name(source, entry)
            if name in found:
                raise source.damaged(f"the member {name!r} stands twice in the archive")
            member = _member(source, file, entry, start)
            span = member.span if isinstance(member, Packed) else member
            reached.append((entry.offset, span.start + span.length))
            if not name.endswith("/"):
                found[name] = member
    _check_overlaps(source, reached)
    return found


def _directory(source: Source, file: BinaryIO) -> tuple[int, list[_Entry]]:
    """Where the central directory begins, and its entries."""
    tail_start = max(0, source.size - _END.size - _FULL16)
    file.seek(tail_start)
    tail = file.read(source.size - tail_start)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + _END.size:
        raise source.damaged("the directory at its end is missing (it is cut short)")
    _, disk, _, _, count, size, offset, comment = _END.unpack_from(tail, at)
    end = tail_start + at
    if end + _END.size + comment != source.size or disk:
        raise source.damaged("something stands behind its directory, or it is split")
    if _has_directory64(file, end):
        end, count, size, offset = _directory64(source, file, end, (count, size, offset))
    if offset + size != end or count > _MEMBERS or count * _ENTRY.size > size:
        raise source.damaged(f"its directory of {count} members does not lie where it should")
    file.seek(offset)
    return offset, _entries(source, file.read(size), count)


def _has_directory64(file: BinaryIO, end: int) -> bool:
    if end < _END64_PLACE.size:
        return False
    file.seek(end - _END64_PLACE.size)
    return file.read(4) == b"PK\6\7"


def _directory64(
    source: Source, file: BinaryIO, end: int, stated: tuple[int, int, int]
) -> tuple[int, int, int, int]:
    """Where the 64-bit end begins, and the directory's count, size and place."""
    place = _unpack(source, file, _END64_PLACE, end - _END64_PLACE.size, b"PK\6\7")
    at = place[2]
    found = _unpack(source, file, _END64, at, b"PK\6\6")
    if at + 12 + found[1] + _END64_PLACE.size != end:
        raise source.damaged("its 64-bit directory does not lie where it should")
    limits = (_FULL16, _FULL32, _FULL32)
    count, size, offset = found[7:10]
    for own, other, limit in zip((count, size, offset), stated, limits, strict=True):
        if other not in (own, limit):
            raise source.damaged("its two directories do not say the same")
    return at, count, size, offset


def _unpack(
    source: Source, file: BinaryIO, fields: struct.Struct, at: int, mark: bytes
) -> tuple[Any, ...]:
    if 0 <= at <= source.size - fields.size:
        file.seek(at)
        found = fields.unpack(file.read(fields.size))
        if found[0] == mark:
            return found
    raise source.damaged("a header of the archive is not where its directory says")


def _entries(source: Source, raw: bytes, count: int) -> list[_Entry]:
    entries, at = [], 0
    for _ in range(count):
        if at + _ENTRY.size > len(raw):
            raise source.damaged("its directory ends in the middle of a member")
        (mark, _, _, flags, method, _, _, checksum, packed, length, name_length, extra_length,
         comment, _, _, attributes, offset) = _ENTRY.unpack_from(raw, at)  # fmt: skip
        at += _ENTRY.size
        name, extra = raw[at : at + name_length], raw[at + name_length :][:extra_length]
        at += name_length + extra_length + comment
        if mark != b"PK\1\2" or at > len(raw):
            raise source.damaged("its directory holds something other than members")
        length, packed, offset = _sizes64(source, extra, length, packed, offset)
        entries.append(_Entry(name, flags, method, checksum, packed, length, offset, attributes))
    if at != len(raw):
        raise source.damaged("its directory holds more than its members")
    return entries


def _sizes64(source: Source, extra: bytes, *sizes: int) -> tuple[int, int, int]:
    """The sizes, those that do not fit 32 bits taken from the extra field that has them."""
    values: list[int] = []
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            field = extra[4 : 4 + length]
            values = list(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
        extra = extra[4 + length :]
    if sizes.count(_FULL32) > len(values):
        raise source.damaged("a member has no 64-bit size where one is needed")
    first, second, third = (values.pop(0) if n == _FULL32 else n for n in sizes)
    return first, second, third


def _checked_name(source: Source, entry: _Entry) -> str:
    try:
        name = entry.name.decode("utf-8" if entry.flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise source.damaged("the name of a member is neither ASCII nor UTF-8") from None
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise source.damaged(f"the member {name[:60]!r} leads out of the archive")
    if stat.S_ISLNK(entry.attributes >> 16):
        raise source.damaged(f"the member {name[:60]!r} is a link")
    return name


def _member(source: Source, file: BinaryIO, entry: _Entry, end: int) -> Span | Packed:
    name = entry.name.decode("latin-1")[:60]
    if entry.flags & _ENCRYPTED:
        raise source.unsupported(f"the member {name!r} is encrypted", "decrypt the archive first")
    if entry.method not in (0, 8):
        raise source.unsupported(
            f"the member {name!r} is compressed by method {entry.method}",
            "pack it again with deflate, or not at all",
        )
    (_, _, flags, method, _, _, checksum, packed, length, name_length, extra_length) = _unpack(
        source, file, _LOCAL, entry.offset, b"PK\3\4"
    )
    start = entry.offset + _LOCAL.size + name_length + extra_length
    sizes_later = flags & _LATER
    stated = (checksum, packed, length)
    listed = (entry.checksum, entry.packed, entry.length)
    same_sizes = all(a in (b, _FULL32) for a, b in zip(stated, listed, strict=True))
    if (
        (flags, method, file.read(name_length)) != (entry.flags, entry.method, entry.name)
        or not (sizes_later or same_sizes)
        or start + entry.packed > end
    ):
        raise source.damaged(f"the member {name!r} is not what the archive's directory says")
    span = Span(source, start, entry.packed)
    if entry.method:
        return Packed(span, entry.length, entry.checksum)
    if entry.packed != entry.length:
        raise source.damaged(f"the member {name!r} is not compressed but has two lengths")
    return span


def _check_overlaps(source: Source, reached: list[tuple[int, int]]) -> None:
    last = 0
    for start, end in sorted(reached):
        if start < last:
            raise source.damaged("two members of the archive overlap")
        last = end
