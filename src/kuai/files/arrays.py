"""A safetensors file of named arrays, with a checksum for each.

The bytes are read from one open file into memory of our own, not mapped as the safetensors library
does: a mapped file that is cut short meanwhile kills the whole process (SIGBUS), and a file checked
under one name and then opened again may be another file by then. The library is the tests' oracle.

The checksum is CRC-32 because it is in the standard library, keeps up with a fast disk (2 GB/s a
core, twice SHA-256) and is sure to see any one burst of damage of up to 32 bits. It is there for
accidents (zeroed blocks, bit rot, half a write), not against an enemy. It covers dtype and shape
too, so that damage to the header cannot turn an array into another.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from kuai.errors import ArgumentError, DtypeError, FileFormatError
from kuai.files.access import checked_path, opened
from kuai.files.durable import write_chunks
from kuai.files.header import CODES, HEADER_LIMIT, LENGTH_BYTES, Entry, parse_header
from kuai.files.kinds import HEAD_BYTES, looks_like

CHECKSUMS_KEY = "kuai.checksums"
FOREIGN_FORMAT = b'"format":"pt"'  # written for PyTorch, with its names and layouts


def write_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named arrays as a safetensors file, durably and with checksums.

    Args:
        path: the file; an existing one is replaced only when the new one is whole on the disk.
        arrays: name to array (NumPy, JAX or anything that NumPy takes); bfloat16 and 8-bit floats
            included.
        metadata: text to keep with them; default none. The key `kuai.checksums` is kuai's.

    Raises:
        DtypeError: an array has a dtype that the format does not know.
        ArgumentError: a name or a metadata value is no text, or a reserved word; or `path` is no
            path.
        FileAccessError: the file cannot be written. The old one is whole.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "a.safetensors")
        >>> kuai.files.write_arrays(path, {"w": jnp.ones((2, 3), jnp.bfloat16)}, {"note": "first"})
        >>> arrays, metadata = kuai.files.read_arrays(path)
        >>> arrays["w"].shape, str(arrays["w"].dtype), metadata
        ((2, 3), 'bfloat16', {'note': 'first'})

    Reference:
        https://huggingface.co/docs/safetensors, section Format.
    """
    host = {name: _host_array(name, array) for name, array in arrays.items()}
    # Widest first, as the library does, so that every array starts at a multiple of its itemsize.
    ordered = dict(sorted(host.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))
    header = _header(ordered, dict(metadata or {}))
    write_chunks(path, [header, *(_bytes_of(array) for array in ordered.values())])


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file, whoever wrote it, and check what can be checked.

    Args:
        path: a regular file.

    Returns:
        Name to NumPy array (bfloat16 included), each with memory of its own, and the metadata less
        the checksums. Files of other writers, which have no checksums, are read without that check.

    Raises:
        ArgumentError: `path` is no path.
        FileFormatError: the file is damaged, hostile or of another format.
        FileAccessError: it is missing (then also a FileNotFoundError), unreadable, or no regular
            file.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "a.safetensors")
        >>> kuai.files.write_arrays(path, {"count": np.int32(3)})
        >>> kuai.files.read_arrays(path)
        ({'count': array(3, dtype=int32)}, {})
    """
    name = str(checked_path(path))
    with opened(path) as file:
        entries, metadata = read_header(name, file)
        arrays = {key: _read_array(name, file, key, entry) for key, entry in entries.items()}
    stated = metadata.pop(CHECKSUMS_KEY, None)
    if stated is not None:
        _check(name, stated, arrays, metadata)
    return dict(sorted(arrays.items())), metadata


def is_own(path: str | os.PathLike[str]) -> bool:
    """Whether a file looks like one of `write_arrays` with kuai's own names; nothing is checked.

    A folder is none; what cannot be read is left to whoever reads it.

    Raises:
        ArgumentError: `path` is no path.
        FileAccessError: it is missing, unreadable, or neither a regular file nor a folder.
    """
    place = checked_path(path)
    if place.is_dir():
        return False
    with opened(place) as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = file.read(min(length, HEADER_LIMIT))
    return f'"{CHECKSUMS_KEY}"'.encode() in header and FOREIGN_FORMAT not in header


def _host_array(name: Any, array: Any) -> np.ndarray:
    _check_text("name of an array", name)
    if name == "__metadata__":
        raise ArgumentError("an array cannot be named '__metadata__': safetensors keeps that name")
    host = np.asarray(array)
    host = host.astype(host.dtype.newbyteorder("<"), order="C", copy=False)
    if host.dtype not in CODES:
        raise DtypeError(
            f"{name}: expected a dtype that safetensors has ({', '.join(map(str, CODES))}), "
            f"got {host.dtype}; convert the array first"
        )
    return host


def _check_text(what: str, text: Any) -> None:
    if not isinstance(text, str):
        raise ArgumentError(f"the {what} must be text, got {text!r}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ArgumentError(f"the {what} must be text that UTF-8 can write, got {text!r}") from None


def _header(arrays: dict[str, np.ndarray], metadata: dict[Any, Any]) -> bytes:
    for key, value in metadata.items():
        _check_text("key of the metadata", key)
        _check_text(f"metadata value of {key!r}", value)
    if CHECKSUMS_KEY in metadata:
        raise ArgumentError(f"the metadata key {CHECKSUMS_KEY!r} is kuai's own; choose another")
    content: dict[str, Any] = {
        "__metadata__": metadata | {CHECKSUMS_KEY: _checksums(arrays, metadata)}
    }
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        content[name] = {
            "dtype": CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    raw = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    raw += b" " * (-len(raw) % 8)
    if len(raw) > HEADER_LIMIT:
        raise ArgumentError(
            f"names, shapes and metadata take {len(raw)} bytes; safetensors allows {HEADER_LIMIT}"
        )
    return len(raw).to_bytes(LENGTH_BYTES, "little") + raw


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data  # bfloat16 has no buffer of its own


def _checksums(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    sums = {name: checksum(array) for name, array in arrays.items()}
    text = json.dumps(metadata, sort_keys=True).encode("utf-8")
    return json.dumps({"arrays": sums, "metadata": zlib.crc32(text)}, separators=(",", ":"))


def checksum(array: np.ndarray) -> int:
    """The CRC-32 of an array's dtype, shape and bytes."""
    what = f"{CODES[array.dtype]}{array.shape}".encode()
    return zlib.crc32(_bytes_of(array), zlib.crc32(what))


def read_header(path: str, file: BinaryIO) -> tuple[dict[str, Entry], dict[str, str]]:
    """The arrays of an open file, in the order of their bytes, and its metadata.

    The file is left at the first byte of the first array.
    """
    size = os.fstat(file.fileno()).st_size
    head = file.read(HEAD_BYTES)
    length = int.from_bytes(head[:LENGTH_BYTES], "little")
    start = LENGTH_BYTES + length
    if len(head) <= LENGTH_BYTES or length > HEADER_LIMIT or start > size or head[8:9] != b"{":
        raise FileFormatError(_not_safetensors(path, head, length, size))
    file.seek(LENGTH_BYTES)
    raw = file.read(length)
    if len(raw) < length:
        raise FileFormatError(f"{path}: the file was cut short while it was read; read it again")
    return parse_header(path, raw, size - start)


def _not_safetensors(path: str, head: bytes, length: int, size: int) -> str:
    kind = looks_like(head) if head[8:9] != b"{" else None
    if not head:
        problem = "it is empty"
    elif kind is not None:
        problem = f"it looks like {kind}"
    elif len(head) <= LENGTH_BYTES:
        problem = f"it has only {size} bytes"
    elif length > HEADER_LIMIT:
        problem = f"its header would be {length} bytes long, the most allowed is {HEADER_LIMIT}"
    elif LENGTH_BYTES + length > size:
        problem = (
            f"its header would be {length} bytes long, the file has only {size}: it is cut short"
        )
    else:
        problem = "its header does not begin with '{'"
    return (
        f"{path}: expected a safetensors file, but {problem}. Check the path, or write the file "
        f"again as .safetensors"
    )


def _read_array(path: str, file: BinaryIO, name: str, entry: Entry) -> np.ndarray:
    try:
        data = np.empty(entry.end - entry.start, np.uint8)
    except MemoryError:
        raise FileFormatError(f"{path}: no memory for {name!r} of shape {entry.shape}") from None
    if file.readinto(data) < data.size:  # type: ignore[attr-defined]
        raise FileFormatError(
            f"{path}: the file was cut short while {name!r} was read; read it again"
        )
    if entry.code == "BOOL" and data.size and data.max() > 1:
        raise FileFormatError(f"{path}: the array {name!r} is boolean but holds bytes above 1")
    return data.view(entry.dtype).reshape(entry.shape)


def _check(path: str, stated: str, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    found = json.loads(_checksums(arrays, metadata))
    try:
        expected = json.loads(stated)
        names = expected["arrays"].keys() | arrays.keys()
        wrong = [n for n in sorted(names) if expected["arrays"].get(n) != found["arrays"].get(n)]
        metadata_is_wrong = expected["metadata"] != found["metadata"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FileFormatError(
            f"{path}: its checksums cannot be read: the file is damaged"
        ) from None
    if wrong:
        raise FileFormatError(
            f"{path}: the checksum of {', '.join(map(repr, wrong[:5]))} does not match its data"
            f"{f' (and {len(wrong) - 5} more)' if len(wrong) > 5 else ''}: the file is damaged. "
            f"Restore it from a copy"
        )
    if metadata_is_wrong:
        raise FileFormatError(f"{path}: the checksum of its metadata does not match: it is damaged")
