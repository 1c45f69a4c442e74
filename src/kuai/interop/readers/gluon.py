"""Parameters of MXNet and Gluon: `.params`, in all four of the layouts that MXNet wrote."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from kuai.interop.readers.jsons import parsed
from kuai.interop.readers.protobuf import utf8
from kuai.interop.readers.source import Source, Span
from kuai.interop.readers.weights import Stored, Weights, contiguous, named_once

MAGIC = (0x112).to_bytes(8, "little")
_V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
DENSE, _ROW_SPARSE, _CSR = 0, 1, 2
_AUXILIARY = {-1: 0, DENSE: 0, _ROW_SPARSE: 1, _CSR: 2}
DTYPES = (np.float32, np.float64, np.float16, np.uint8, np.int32, np.int8, np.int64, np.bool_,
           np.int16, np.uint16, np.uint32, np.uint64, ml_dtypes.bfloat16)  # fmt: skip
_RANK = 32
_LEAST = 4  # bytes that the shortest array takes


class _Cursor:
    """A place in the file that moves on as it is read."""

    def __init__(self, source: Source, file: BinaryIO) -> None:
        self.source, self._file, self._at = source, file, 0

    def take(self, layout: str) -> Any:
        size = struct.calcsize("<" + layout)
        self._check(size)
        self._at += size
        found = struct.unpack("<" + layout, self._file.read(size))
        return found[0] if len(found) == 1 else found

    def span(self, length: int) -> Span:
        self._check(length)
        found = Span(self.source, self._at, length)
        self._at += length
        self._file.seek(self._at)
        return found

    def count(self, what: str, least: int) -> int:
        """A number of things that each take at least so many bytes."""
        count: int = self.take("Q")
        if count * least > self.source.size - self._at:
            raise self.source.damaged(f"it tells of {count:,} {what}, more than it has bytes")
        return count

    def name(self) -> str:
        length = self.count("letters", 1)
        self._at += length
        return utf8(self.source, self._file.read(length))

    def shape(self) -> tuple[int, ...] | None:
        rank = self.take("i")
        if rank > _RANK:
            raise self.source.damaged(f"an array has {rank:,} dimensions")
        return None if rank < 0 else tuple(self.take("q") for _ in range(rank))

    def dtype(self) -> np.dtype[Any]:
        code = self.take("i")
        if not 0 <= code < len(DTYPES):
            raise self.source.damaged(f"an array has the unknown dtype {code}")
        return np.dtype(DTYPES[code])

    def data(self, shape: Any, dtype: np.dtype[Any]) -> Stored:
        count = self.source.count("an array", shape, dtype.itemsize)
        return contiguous(self.span(count * dtype.itemsize), dtype, shape, "an array")

    def end(self) -> None:
        if self._at != self.source.size:
            raise self.source.damaged("something stands behind its names")

    def _check(self, length: int) -> None:
        left = self.source.size - self._at
        if length > left:
            raise self.source.damaged(
                f"{length:,} bytes are needed where {left:,} are left (it is cut short)"
            )


def read_params(source: Source, program: Source | None) -> Weights:
    """Read a parameter file.

    The prefixes `arg:` and `aux:` of an exported model are left out; `metadata["auxiliary"]` lists
    the names that had the second. A file of arrays without names gives them numbers.

    Args:
        source: the file.
        program: the `-symbol.json` of an exported model, for the order of the names; default none.

    Raises:
        FileFormatError: a rule of the format is broken, or the program is of another model.
        UnsupportedFileError: an array was saved before it had values.
    """
    with source.open() as file:
        cursor = _Cursor(source, file)
        if cursor.take("Q") != 0x112:
            raise source.damaged("it does not begin as MXNet's files do")
        cursor.take("Q")
        arrays = [_array(cursor, index) for index in range(cursor.count("arrays", _LEAST))]
        names = [cursor.name() for _ in range(cursor.count("names", 8))]
        cursor.end()
    if names and len(names) != len(arrays):
        raise source.damaged(f"it has {len(names):,} names for {len(arrays):,} arrays")
    names = names or [str(index) for index in range(len(arrays))]
    auxiliary = [name[4:] for name in names if name.startswith("aux:")]
    is_exported = any(name.startswith(("arg:", "aux:")) for name in names)
    names = [name.removeprefix("arg:").removeprefix("aux:") for name in names]
    named_once(source, names)
    stored = dict(zip(names, arrays, strict=True))
    if program is not None:
        stored = _ordered(source, program, stored)
    metadata = {"auxiliary": auxiliary} if auxiliary else {}
    return Weights(
        source.path, "gluon", source.format, stored, metadata=metadata, is_flat=not is_exported
    )


def _array(cursor: _Cursor, index: int) -> Stored:
    source = cursor.source
    mark = cursor.take("I")
    if mark in (V2, V3):
        return _modern(cursor, index, mark)
    if mark == _V1:
        shape = cursor.shape()
    elif mark <= _RANK:  # the oldest layout begins with the number of dimensions
        shape = tuple(cursor.take("I") for _ in range(mark))
    else:
        raise source.damaged(f"array {index} begins with {mark:#x}, which no version wrote")
    if not shape:
        raise _without_values(source, index)
    cursor.take("ii")  # the device it was on
    return cursor.data(shape, cursor.dtype())


def _modern(cursor: _Cursor, index: int, mark: int) -> Stored:
    source = cursor.source
    kind = cursor.take("i")
    if kind not in _AUXILIARY:
        raise source.damaged(f"array {index} has the unknown storage type {kind}")
    rows = cursor.shape() if _AUXILIARY[kind] else None
    shape = cursor.shape()
    # Until V3 no dimensions meant no values; since then it is a scalar.
    if shape is None or (mark == V2 and not shape):
        raise _without_values(source, index)
    cursor.take("ii")
    dtype = cursor.dtype()
    if kind <= DENSE:
        return cursor.data(shape, dtype)
    kinds = [(cursor.dtype(), cursor.shape()) for _ in range(_AUXILIARY[kind])]
    data = cursor.data(rows or (), dtype)
    auxiliary = [cursor.data(aux_shape or (), aux_dtype) for aux_dtype, aux_shape in kinds]
    return _dense(source, index, kind, shape, data, auxiliary)


def _without_values(source: Source, index: int) -> Exception:
    return source.unsupported(
        f"array {index} was saved before it had values", "run the net once before saving it"
    )


def _dense(
    source: Source, index: int, kind: int, shape: Any, data: Stored, auxiliary: list[Stored]
) -> Stored:
    """A sparse array, filled up with zeros when it is asked for."""
    what = f"array {index}"
    count = source.count(what, shape, data.dtype.itemsize)
    source.check_expansion(what, count * data.dtype.itemsize, max(data.nbytes, 1))
    kept = data.shape[0] if data.shape else -1
    if kind == _ROW_SPARSE:
        sound = data.shape[1:] == shape[1:] and auxiliary[0].shape == (kept,)
        fill: Callable[..., bool] = _fill_rows
    else:
        starts, columns = auxiliary
        sound = len(shape) == 2 and len(data.shape) == 1
        sound = sound and starts.shape == (shape[0] + 1,) and columns.shape == (kept,)
        fill = _fill_csr
    if not sound or any(array.dtype.kind not in "iu" for array in auxiliary):
        raise source.damaged(f"{what} is sparse, and its parts do not fit each other")

    def load() -> np.ndarray:
        array = np.zeros(shape, data.dtype)
        if not fill(array, data.load(), *(part.load() for part in auxiliary)):
            raise source.damaged(f"{what} is sparse, and has indices outside of its shape")
        array.flags.writeable = False
        return array

    return Stored(shape, data.dtype, load)


def _fill_rows(array: np.ndarray, data: np.ndarray, rows: np.ndarray) -> bool:
    if rows.size and not (rows.min() >= 0 and rows.max() < len(array)):
        return False
    array[rows] = data
    return True


def _fill_csr(array: np.ndarray, data: np.ndarray, starts: np.ndarray, columns: np.ndarray) -> bool:
    places = starts.astype(np.int64)
    lengths = places[1:] - places[:-1]
    if starts[0] != 0 or starts[-1] != len(data) or (lengths < 0).any():
        return False
    if columns.size and not (columns.min() >= 0 and columns.max() < array.shape[1]):
        return False
    array[np.repeat(np.arange(len(array)), lengths), columns] = data
    return True


def _ordered(source: Source, program: Source, stored: dict[str, Stored]) -> dict[str, Stored]:
    """The arrays in the order of the program's inputs, which must name them all."""
    nodes = parsed(program, program.whole().read(), "the symbol").get("nodes")
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise program.damaged("the symbol has no list of nodes")
    inputs = [n.get("name") for n in nodes if n.get("op") == "null"]
    unknown = sorted(stored.keys() - {name for name in inputs if isinstance(name, str)})
    if unknown:
        raise source.damaged(
            f"the program {program.path} has no {', '.join(unknown[:5])}: is it of this model?"
        )
    return {name: stored[name] for name in inputs if name in stored}
