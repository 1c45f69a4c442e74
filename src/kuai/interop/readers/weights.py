"""The arrays of a weights file by name, each read when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kuai.errors import NoArrayNamedError
from kuai.interop.readers.source import Packed, Source, Span


@dataclass(frozen=True, eq=False)
class Stored:
    """An array that is still in its file.

    Args:
        shape: its shape.
        dtype: the dtype that `load` gives.
        load: reads it; the array is read-only.
        place: equal for two arrays exactly if they are the same elements of the same file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], np.ndarray]
    place: Hashable = None

    @property
    def nbytes(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count * self.dtype.itemsize


def contiguous(
    bytes_: Span | Packed,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    name: str,
    *,
    order: Any = "C",
) -> Stored:
    """An array whose bytes stand together.

    Args:
        bytes_: all of them and no more.
        dtype: as stored, in either byte order.
        shape: the array's.
        name: for messages.
        order: which axis runs fastest, the last ("C") or the first ("F").

    Raises:
        FileFormatError: the shape needs more or fewer bytes than there are.
    """
    source = bytes_.source
    count = source.count(name, shape, dtype.itemsize)
    if count * dtype.itemsize != bytes_.length:
        raise source.damaged(
            f"{name} of shape {shape} and dtype {dtype} needs {count * dtype.itemsize:,} bytes, "
            f"the file gives it {bytes_.length:,}"
        )
    source.check_expansion(name, bytes_.length, bytes_.stored)
    native = dtype.newbyteorder("=")

    def load() -> np.ndarray:
        array = bytes_.elements(dtype).astype(native, copy=False).reshape(shape, order=order)
        array.flags.writeable = False
        return array

    return Stored(tuple(shape), native, load, bytes_)


class Weights(Mapping[str, np.ndarray]):
    """The arrays of a file by name, in the file's order; `kuai.interop.read` makes it.

    Asking for an array reads it, anew each time, into memory that nobody else holds; listing names,
    shapes and dtypes reads none. Arrays are read-only.

    Args:
        path: the file or folder.
        system: "torch", "keras", "tensorflow", "paddle", "gluon", "numpy", "kuai", or "safetensors"
            where such a file does not say who wrote it.
        format: the file's format, in words.
        stored: name → array still in the file.
        aliases: further name → the name that has the same elements; both are keys.
        metadata: whatever else the file says: numbers and text, no arrays.
        is_flat: whether the file itself is one mapping of these names; False: they were put
            together, of a nested checkpoint's or of several files.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "net.npz")
        >>> np.savez(path, weight=np.ones((2, 3), np.float32), bias=np.zeros(3, np.float32))
        >>> weights = kuai.interop.read(path)
        >>> weights.system, weights.shapes, weights.nbytes
        ('numpy', {'weight': (2, 3), 'bias': (3,)}, 36)
        >>> weights["bias"]
        array([0., 0., 0.], dtype=float32)
    """

    def __init__(
        self,
        path: str,
        system: str,
        format: str,
        stored: Mapping[str, Stored],
        aliases: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        is_flat: bool = True,
    ) -> None:
        self.path, self.system, self.format = path, system, format
        self._stored = dict(stored)
        self.aliases = dict(aliases or {}) or _aliases(self._stored)
        self.metadata = dict(metadata or {})
        self.is_flat = is_flat

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._stored:
            near = difflib.get_close_matches(str(name), self._stored, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise NoArrayNamedError(f"{self.path}: no array is named {name!r}{hint}")
        return self._stored[name].load()

    def __contains__(self, name: object) -> bool:
        return name in self._stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def __repr__(self) -> str:
        return f"Weights({self.path!r}, {self.format}: {len(self)} arrays, {self.nbytes:,} bytes)"

    def stored(self, name: str) -> Stored:
        """An array of this name without reading it."""
        return self._stored[name]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name → shape."""
        return {name: stored.shape for name, stored in self._stored.items()}

    @property
    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Name → dtype."""
        return {name: stored.dtype for name, stored in self._stored.items()}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, tied ones once."""
        return sum(s.nbytes for name, s in self._stored.items() if name not in self.aliases)


def _aliases(stored: dict[str, Stored]) -> dict[str, str]:
    """Further name → first name, of arrays that are the same elements of the file."""
    first: dict[Hashable, str] = {}
    aliases = {}
    for name, array in stored.items():
        if array.place is None or not array.nbytes:
            continue
        known = first.setdefault((array.place, array.shape, str(array.dtype)), name)
        if known != name:
            aliases[name] = known
    return aliases


def named_once(source: Source, names: list[str]) -> None:
    """Refuse a file that gives one name to two arrays."""
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise source.damaged(f"the name {twice[:60]!r} stands twice")
