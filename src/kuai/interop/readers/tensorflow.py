"""Checkpoints of TensorFlow and the variables of a SavedModel: an index, and shards of bytes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from kuai.interop.readers import protobuf
from kuai.interop.readers.leveldb import entries
from kuai.interop.readers.source import Source
from kuai.interop.readers.weights import Stored, Weights, contiguous, named_once

_STRING = 7
_DTYPES = {
    1: np.float32,
    2: np.float64,
    3: np.int32,
    4: np.uint8,
    5: np.int16,
    6: np.int8,
    8: np.complex64,
    9: np.int64,
    10: np.bool_,
    14: ml_dtypes.bfloat16,
    17: np.uint16,
    18: np.complex128,
    19: np.float16,
    22: np.uint32,
    23: np.uint64,
    24: ml_dtypes.float8_e5m2,
    25: ml_dtypes.float8_e4m3fn,
}
_QUANTISED = {11, 12, 13, 15, 16}
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_SHARDS = 100_000


def read_bundle(source: Source) -> Weights:
    """Read a checkpoint.

    Names lose TensorFlow's suffix "/.ATTRIBUTES/VARIABLE_VALUE". Text, such as the graph of the
    objects that were saved, is left out.

    Args:
        source: the index file, NAME.index; the shards stand beside it.

    Raises:
        FileFormatError: the index is damaged, or a shard is too short.
        UnsupportedFileError: it is compressed, quantised, big-endian or holds parts of variables.
        FileAccessError: a shard is missing.
    """
    table = entries(source, source.whole().read())
    if not table or table[0][0] != b"":
        raise source.damaged("its header is missing")
    header = protobuf.fields(source, table[0][1])
    count = protobuf.number(source, header, 1)
    if not 0 < count <= _SHARDS or protobuf.number(source, header, 2):
        raise source.unsupported("it is big-endian, or of no or too many shards", "save it again")
    shards = _Shards(source, count)
    names = [protobuf.utf8(source, key).removesuffix(_SUFFIX) for key, _ in table[1:]]
    named_once(source, names)
    stored = {}
    for name, (_, value) in zip(names, table[1:], strict=True):
        array = _array(source, shards, name, value)
        if array is not None:
            stored[name] = array
    return Weights(source.path, "tensorflow", source.format, stored)


class _Shards:
    """The files of bytes beside an index, looked at when one is needed."""

    def __init__(self, source: Source, count: int) -> None:
        self._source, self._count = source, count
        self._found: dict[int, Source] = {}

    def __getitem__(self, number: int) -> Source:
        if not 0 <= number < self._count:
            raise self._source.damaged(f"it speaks of shard {number} of {self._count}")
        if number not in self._found:
            index = Path(self._source.path)
            name = f"{index.name.removesuffix('.index')}.data-{number:05d}-of-{self._count:05d}"
            self._found[number] = Source.of(
                index.with_name(name), self._source.format, mapped=self._source.mapped
            )
        return self._found[number]


def _array(source: Source, shards: _Shards, name: str, value: bytes) -> Stored | None:
    entry = protobuf.fields(source, value)
    get = partial(protobuf.number, source, entry)
    code = get(1)
    if code == _STRING:
        return None
    if code in _QUANTISED:
        raise source.unsupported(f"the variable {name[:80]!r} is quantised", "save it as float")
    if protobuf.messages(source, entry, 7):
        raise source.unsupported(
            f"the variable {name[:80]!r} is stored in slices", "save the checkpoint unpartitioned"
        )
    if code not in _DTYPES:
        raise source.damaged(f"the variable {name[:80]!r} has the unknown dtype {code}")
    where = shards[get(3)].whole().part(get(4), get(5))
    return contiguous(where, np.dtype(_DTYPES[code]), _shape(source, entry), repr(name[:80]))


def _shape(source: Source, entry: protobuf.Fields) -> tuple[int, ...]:
    sizes: list[Any] = []
    for shape in protobuf.messages(source, entry, 2):
        for dim in protobuf.messages(source, protobuf.fields(source, shape), 2):
            sizes.append(protobuf.number(source, protobuf.fields(source, dim), 1))
    return tuple(sizes)
