"""The header of a safetensors file, read as if an enemy had written it.

A file is eight bytes (the header's length, little-endian), the header (JSON), then the bytes of the
arrays, back to back. What holds after `parse_header`, and what the reader of the bytes relies on:
every dtype is one of `DTYPES`; shape × itemsize is exactly the bytes that an array was given; the
arrays cover the rest of the file without overlap, hole or remainder. Until then no memory is taken
for an array.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from kuai.errors import FileFormatError

LENGTH_BYTES = 8
HEADER_LIMIT = 100_000_000  # the format's own, so that a length cannot ask for all memory

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "C64": np.dtype(np.complex64),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}

_COUNT_LIMIT = 2**63  # NumPy's, for a dimension and for the bytes of an array
_RANK_LIMIT = 64  # NumPy's

_ENTRY_KEYS = {"dtype", "shape", "data_offsets"}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?')  # matches from any quote, so it runs in linear time
_LIST_INSIDE_LIST = re.compile(r"[\[,]\s*[\[{]")


class Entry(NamedTuple):
    """Where an array's bytes lie, counted from the end of the header."""

    code: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return DTYPES[self.code]


class _FaultError(Exception):
    """What is wrong with the header, in words."""


def parse_header(path: str, raw: bytes, data_bytes: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """Check a header and return its arrays, in the file's order, and its metadata.

    Args:
        path: for messages.
        raw: the header's bytes.
        data_bytes: how many bytes follow it in the file.

    Raises:
        FileFormatError: any rule of the format is broken.
    """
    try:
        content = _decode(raw)
        metadata = content.pop("__metadata__", {})
        if isinstance(metadata, Entry) or not all(isinstance(v, str) for v in metadata.values()):
            raise _FaultError("its __metadata__ holds something other than text")
        entries = _entries_in_order(content, data_bytes)
    except _FaultError as fault:
        raise FileFormatError(
            f"{path}: not a valid safetensors file: {fault}. It is damaged or was made to mislead: "
            f"get it again from where it came"
        ) from None
    return entries, metadata


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
        # Before parsing, because nested lists would take twenty times their size in memory.
        if _LIST_INSIDE_LIST.search(_STRING.sub("", text)):
            raise _FaultError("its header nests lists, which no array's entry does")
        content = json.loads(text, object_pairs_hook=_checked_object)
    except UnicodeDecodeError as error:
        raise _FaultError(f"its header is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise _FaultError("its header is nested too deep") from None
    except ValueError as error:
        raise _FaultError(f"its header is not JSON ({str(error)[:80]})") from None
    if type(content) is not dict:
        raise _FaultError("its header is not a JSON object of arrays")
    if any(isinstance(value, str) for value in content.values()):
        raise _FaultError("its header holds text where an array's entry should be")
    return content


def _checked_object(pairs: list[tuple[str, Any]]) -> Any:
    """Called for each JSON object, the innermost first: an entry, the metadata, or the whole."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise _FaultError(f"the name {_first_repeated(pairs)!r} stands twice in its header")
    if content.keys() == _ENTRY_KEYS and not isinstance(content["shape"], Entry | str):
        return _checked_entry(**content)
    for name, value in pairs:
        if not isinstance(value, Entry | str) and (
            name != "__metadata__" or type(value) is not dict
        ):
            raise _FaultError(
                f"{name!r} in its header is neither text of the metadata nor an array's entry "
                f"(dtype, shape, data_offsets)"
            )
    return content


def _first_repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _checked_entry(dtype: Any, shape: Any, data_offsets: Any) -> Entry:
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _FaultError(f"an array has the dtype {dtype!r}; kuai reads {', '.join(DTYPES)}")
    if not _are_counts(shape) or len(shape) > _RANK_LIMIT:
        raise _FaultError(
            f"the shape {_short(shape)} is not a list of up to 64 whole numbers from 0"
        )
    if not _are_counts(data_offsets) or len(data_offsets) != 2:
        raise _FaultError(f"the offsets {_short(data_offsets)} are not two whole numbers from 0")
    start, end = data_offsets
    if math.prod(filter(None, shape)) * DTYPES[dtype].itemsize >= _COUNT_LIMIT:
        raise _FaultError(f"an array of shape {_short(shape)} is larger than any memory")
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if end - start != needed:
        raise _FaultError(
            f"a {dtype} array of shape {_short(shape)} needs {needed} bytes, "
            f"its offsets {data_offsets} give it {end - start}"
        )
    return Entry(dtype, tuple(shape), start, end)


def _are_counts(numbers: Any) -> bool:
    # `type(n) is int`: True is an int to isinstance.
    return isinstance(numbers, list) and all(
        type(n) is int and 0 <= n < _COUNT_LIMIT for n in numbers
    )


def _entries_in_order(content: dict[str, Any], data_bytes: int) -> dict[str, Entry]:
    """The entries in the order of their bytes, which must follow each other to the file's end."""
    entries = dict(sorted(content.items(), key=lambda item: item[1][2:]))
    reached = 0
    for name, entry in entries.items():
        if entry.start != reached:
            fault = "overlap those of another" if entry.start < reached else "leave a hole"
            raise _FaultError(f"the bytes of the array {name!r} {fault}")
        reached = entry.end
    if reached != data_bytes:
        raise _FaultError(
            f"its arrays need {reached} bytes of data, the file holds {data_bytes} "
            f"({'it is cut short' if reached > data_bytes else 'the rest belongs to nothing'})"
        )
    return entries


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
