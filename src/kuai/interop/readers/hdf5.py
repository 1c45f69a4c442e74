"""The arrays of an HDF5 file, as far as Keras writes them, read without the HDF5 library.

The library cannot be given a file that may be hostile: a few damaged bytes can hold it in a call of
C that nothing but killing the process ends. What Keras writes is the oldest and simplest
form of the format: groups as trees of symbols, object headers of version 1, arrays in one piece.
That form is read here. Links out of the file, elements in other files and newer or compressed forms
are refused by name.

What keeps a file from leading in circles: every header, tree node and table of symbols is visited
once, and every block of messages is paid for out of a budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

from kuai.interop.readers.hdf5_messages import OPAQUE_HALF, attribute, datatype, shape, unpack
from kuai.interop.readers.source import Span
from kuai.interop.readers.weights import Stored, contiguous

MAGIC = b"\x89HDF\r\n\x1a\n"
_NONE = 2**64 - 1
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _EXTERNAL, _LAYOUT = 1, 2, 3, 6, 7, 8
_ATTRIBUTE, _CONTINUATION, _SYMBOLS = 12, 16, 17
_COMPACT, _CONTIGUOUS = 0, 1
_CACHED_LINK = 2
_BUDGET = 64 * 2**20  # bytes of headers and names
_OBJECTS = 100_000
_DEPTH = 32
_RESAVE = "in Keras, load the model and save it again: model.save_weights('net.weights.h5')"
_WANTED = re.compile(r"name|dtype|model_config|(layer|weight)_names\d*")


class Tree:
    """The arrays of an HDF5 file, and the few attributes that tell their names.

    Args:
        span: where the file stands: a file of its own, or a member of an archive.

    Raises:
        FileFormatError: the file is damaged.
        UnsafeFileError: it points out of itself.
        UnsupportedFileError: it has forms that Keras does not write.
    """

    def __init__(self, span: Span) -> None:
        self.source, self._span = span.source, span
        self.arrays: dict[str, Stored] = {}
        self.attributes: dict[tuple[str, str], Any] = {}
        self._seen: set[int] = set()
        self._budget = _BUDGET
        self._heaps: dict[int, dict[int, bytes]] = {}
        with self.source.open() as self._file:
            self._visit(self._root(), "", 0)

    def lists(self, path: str, name: str) -> list[str] | None:
        """An attribute that lists names, which Keras spreads over name0, name1 … if it is long."""
        whole = self.attributes.get((path, name))
        if isinstance(whole, list):
            return whole
        parts: list[str] = []
        number = 0
        while isinstance(part := self.attributes.get((path, f"{name}{number}")), list):
            parts += part
            number += 1
        return parts if number else None

    # --- bytes ---

    def _bytes(self, start: int, length: int) -> bytes:
        self._budget -= length
        if self._budget < 0:
            raise self.source.damaged("its headers take far more than those of weights")
        where = self._span.part(start, length)
        self._file.seek(where.start)
        return self._file.read(length)

    def _fields(self, layout: str, start: int, length: int) -> tuple[Any, ...]:
        return unpack(self.source, layout, self._bytes(start, length))

    def _once(self, address: int) -> None:
        if address in self._seen or len(self._seen) > _OBJECTS:
            raise self.source.damaged("a part of it stands at two places, or there are too many")
        self._seen.add(address)

    # --- structure ---

    def _root(self) -> int:
        """The address of the root group's header."""
        version = self._bytes(8, 1)[0]
        if version != 0:
            raise self.source.unsupported(f"it has a superblock of version {version}", _RESAVE)
        sizes = self._fields("5x2B", 8, 8)
        base, _, end, _, _, header = self._fields("6Q", 24, 48)
        if sizes != (8, 8) or base:
            raise self.source.unsupported("its addresses are not of 8 bytes from 0 on", _RESAVE)
        if end > self._span.length:
            raise self.source.damaged(
                f"it should have {end:,} bytes, the file has {self._span.length:,} "
                f"(it is cut short)"
            )
        return int(header)

    def _visit(self, header: int, path: str, depth: int) -> None:
        """A group or an array, and all below it."""
        self._once(header)
        if depth > _DEPTH:
            raise self.source.damaged("its groups are nested too deep")
        messages: dict[int, bytes] = {}
        for kind, raw in self._messages(header):
            if kind == _ATTRIBUTE:
                self._keep_attribute(path, raw)
            messages[kind] = raw
        if _EXTERNAL in messages:
            raise self.source.unsafe(f"{path[-80:]!r} keeps its elements in other files")
        if _SYMBOLS in messages:
            tree, heap = unpack(self.source, "2Q", messages[_SYMBOLS])
            names = self._names(heap)
            for offset, inner in self._entries(tree):
                name = self._name(names, offset)
                self._visit(inner, f"{path}/{name}" if path else name, depth + 1)
        elif _LAYOUT in messages:
            self.arrays[path] = self._stored(path, messages)
        else:
            self._refuse_newer(path, messages)

    def _refuse_newer(self, path: str, messages: dict[int, bytes]) -> None:
        if _LINK in messages or _LINK_INFO in messages:
            raise self.source.unsupported("its groups are of HDF5's newer form", _RESAVE)
        raise self.source.damaged(f"{path[-80:]!r} is neither a group nor an array")

    def _messages(self, header: int) -> Iterator[tuple[int, bytes]]:
        version, _, count, _, size = self._fields("2BHII", header, 16)
        if version != 1:
            raise self.source.unsupported("it has object headers of a newer form", _RESAVE)
        blocks = [(header + 16, size)]
        while blocks and count:
            start, length = blocks.pop()
            raw, at = self._bytes(start, length), 0
            while at + 8 <= len(raw) and count:
                kind, size, flags = unpack(self.source, "2HB", raw, at)
                data = raw[at + 8 : at + 8 + size]
                at, count = at + 8 + size, count - 1
                if flags & 2:
                    raise self.source.unsupported("it shares messages between objects", _RESAVE)
                if kind == _CONTINUATION:
                    blocks.append(unpack(self.source, "2Q", data))
                else:
                    yield kind, data

    def _entries(self, node: int, level: int | None = None) -> Iterator[tuple[int, int]]:
        """Offset of the name and address of the header, of each member of a group."""
        self._once(node)
        mark, kind, height, used = self._fields("4s2BH", node, 8)
        if mark != b"TREE" or kind or (level is not None and height != level):
            raise self.source.damaged("a group's tree of members is broken")
        children = self._fields(f"{2 * used + 1}Q", node + 24, 8 * (2 * used + 1))[1::2]
        for child in children:
            yield from self._symbols(child) if height == 0 else self._entries(child, height - 1)

    def _symbols(self, node: int) -> Iterator[tuple[int, int]]:
        self._once(node)
        mark, _, count = self._fields("4s2H", node, 8)
        if mark != b"SNOD":
            raise self.source.damaged("a group's table of members is broken")
        raw = self._bytes(node + 8, 40 * count)
        for index in range(count):
            offset, header, cached = unpack(self.source, "2QI", raw, 40 * index)
            if cached == _CACHED_LINK or header == _NONE:
                raise self.source.unsafe("a member of a group is a link to somewhere else")
            yield offset, header

    def _names(self, heap: int) -> bytes:
        mark, _, length, _, start = self._fields("4s4s3Q", heap, 32)
        if mark != b"HEAP":
            raise self.source.damaged("a group's names are broken")
        return self._bytes(start, length)

    def _name(self, names: bytes, offset: int) -> str:
        end = names.find(b"\0", offset)
        if not 0 <= offset < end:
            raise self.source.damaged("the name of a member is missing")
        try:
            return names[offset:end].decode("utf-8")
        except UnicodeDecodeError:
            raise self.source.damaged("the name of a member is not UTF-8") from None

    # --- attributes ---

    def _keep_attribute(self, path: str, raw: bytes) -> None:
        name, value = attribute(self.source, raw, _WANTED, self._variable)
        if value is not None:
            self.attributes[path, name] = value

    def _variable(self, collection: int, index: int) -> bytes:
        """Text of any length, which stands in a heap of its own."""
        if collection not in self._heaps:
            self._heaps[collection] = self._heap(collection)
        if index not in self._heaps[collection]:
            raise self.source.damaged("the text of an attribute is missing")
        return self._heaps[collection][index]

    def _heap(self, start: int) -> dict[int, bytes]:
        mark, _, size = self._fields("4s4sQ", start, 16)
        if mark != b"GCOL" or size < 16:
            raise self.source.damaged("a heap of texts is broken")
        raw, at = self._bytes(start, size), 16
        found: dict[int, bytes] = {}
        while at + 16 <= len(raw):
            index, _, length = unpack(self.source, "H6sQ", raw, at)
            if index == 0:  # what is left is free
                break
            found[index] = raw[at + 16 : at + 16 + length]
            at += 16 + -(-length // 8) * 8
        return found

    # --- arrays ---

    def _stored(self, path: str, messages: dict[int, bytes]) -> Stored:
        what = f"the array {path[-80:]!r}"
        if _DATATYPE not in messages or _DATASPACE not in messages:
            raise self.source.damaged(f"{what} has no shape or no dtype")
        kind = datatype(self.source, messages[_DATATYPE])
        sizes = shape(self.source, messages[_DATASPACE])
        dtype = kind.dtype
        if dtype == OPAQUE_HALF and self.attributes.get((path, "dtype")) == "bfloat16":
            dtype = np.dtype(ml_dtypes.bfloat16)
        if dtype is None or dtype.kind == "S" or dtype == OPAQUE_HALF:
            raise self.source.unsupported(f"{what} holds no numbers", "save arrays of numbers")
        nbytes = self.source.count(what, sizes, kind.size) * kind.size
        return contiguous(self._elements(what, messages[_LAYOUT], nbytes), dtype, sizes, what)

    def _elements(self, what: str, layout: bytes, nbytes: int) -> Span:
        version, form = unpack(self.source, "2B", layout)
        if version not in (3, 4) or form not in (_COMPACT, _CONTIGUOUS):
            raise self.source.unsupported(f"{what} is stored in chunks or compressed", _RESAVE)
        if form == _COMPACT:
            raise self.source.unsupported(f"{what} is stored inside its header", _RESAVE)
        start, length = unpack(self.source, "2Q", layout, 2)
        if nbytes == 0:
            return self._span.part(0, 0)
        if start == _NONE or length != nbytes:
            raise self.source.damaged(
                f"{what} needs {nbytes:,} bytes, the file gives it {length:,}"
            )
        return self._span.part(start, length)
