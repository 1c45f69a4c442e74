"""The data sets of an HDF5 file that may be hostile, by path.

HDF5 can point out of the file (external links, external storage, virtual data sets), in circles,
and at sizes that no file has. So only hard links are followed, each object is visited once, and
every data set must have its bytes in the file. Where it has them in one piece, the HDF5 library
only tells where: kuai reads them itself.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from kuai.errors import MissingExtraError
from kuai.interop.source import Source, Span
from kuai.interop.weights import Stored, contiguous

MAGIC = b"\x89HDF\r\n\x1a\n"
_OBJECTS = 100_000
_DEPTH = 32
_ATTRIBUTE = 64 * 2**20


class Window(io.RawIOBase):
    """A stretch of an open file, as a file."""

    def __init__(self, file: BinaryIO, span: Span) -> None:
        self._file, self._span, self._at = file, span, 0

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self._span.length - self._at)]
        self._file.seek(self._span.start + self._at)
        count: int = self._file.readinto(view)  # type: ignore[attr-defined]
        self._at += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._span.length)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class Tree:
    """The arrays of an HDF5 file and the few attributes that tell their names.

    Args:
        span: where the file stands: a file of its own, or a member of an archive.

    Raises:
        MissingExtraError: h5py is not installed.
        FileFormatError: the file is damaged or points out of itself.
    """

    def __init__(self, span: Span) -> None:
        self.source, self._span = span.source, span
        self.arrays: dict[str, Stored] = {}
        self.attributes: dict[tuple[str, str], Any] = {}
        self._seen: set[Any] = set()
        with _opened(span) as root:
            self._visit(root, "", 0)

    def _visit(self, group: Any, path: str, depth: int) -> None:
        import h5py

        self._once(group, path, depth)
        self._keep_attributes(group, path)
        for name in group:
            inner = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise self.source.unsafe(f"{inner[:80]!r} in it is a link to somewhere else")
            found = group[name]
            if isinstance(found, h5py.Group):
                self._visit(found, inner, depth + 1)
            elif isinstance(found, h5py.Dataset):
                self._once(found, inner, depth)
                self.arrays[inner] = self._stored(found, inner)

    def _once(self, node: Any, path: str, depth: int) -> None:
        import h5py

        info = h5py.h5o.get_info(node.id)
        if info.addr in self._seen or depth > _DEPTH or len(self._seen) > _OBJECTS:
            raise self.source.damaged(f"{path[:80]!r} stands at two places, or too deep")
        self._seen.add(info.addr)

    def _keep_attributes(self, group: Any, path: str) -> None:
        for name in ("name", "layer_names", "weight_names", "model_config", "keras_version"):
            if name in group.attrs:
                attribute = group.attrs.get_id(name)
                if np.prod(attribute.shape, dtype=float) * attribute.dtype.itemsize > _ATTRIBUTE:
                    raise self.source.damaged(f"the attribute {name} of {path[:80]!r} is too large")
                self.attributes[path, name] = _plain(group.attrs[name])

    def _stored(self, dataset: Any, path: str) -> Stored:
        source, what = self.source, f"the array {path[-80:]!r}"
        if dataset.external or dataset.is_virtual:
            raise source.unsafe(f"{what} keeps its elements in other files")
        dtype, shape = dataset.dtype, dataset.shape
        if shape is None or dtype.kind not in "biufc" or dtype.names:
            raise source.unsupported(f"{what} holds {dtype}, no numbers", "save arrays of numbers")
        nbytes = source.count(what, shape, dtype.itemsize) * dtype.itemsize
        offset = dataset.id.get_offset()
        if offset is not None and not dataset.chunks:
            return contiguous(self._span.part(offset, nbytes), dtype, shape, what)
        size = dataset.id.get_storage_size()
        if nbytes and not size:
            raise source.damaged(f"{what} of shape {shape} has no elements in the file")
        source.check_expansion(what, nbytes, size)
        native = dtype.newbyteorder("=")
        return Stored(shape, native, lambda: self._load(path, native), path)

    def _load(self, path: str, native: Any) -> np.ndarray:
        with _opened(self._span) as root:
            array = np.asarray(root[path][()]).astype(native, copy=False)
        array.flags.writeable = False
        return array


@contextlib.contextmanager
def _opened(span: Span) -> Iterator[Any]:
    """The file in HDF5's hands, which reads it through ours; its errors are kuai's."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError(
            f"{span.source.path}: Keras and HDF5 files need h5py: pip install "
            f"'kuai-nn[keras-files]'"
        ) from None
    with span.source.open() as file:
        try:
            with h5py.File(io.BufferedReader(Window(file, span)), "r") as root:
                yield root
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError,
                SystemError, MemoryError, AttributeError, UnicodeError) as error:  # fmt: skip
            if type(error).__module__.startswith("kuai"):
                raise
            raise span.source.damaged(f"HDF5 cannot read it ({str(error)[:120]})") from None


def _plain(value: Any) -> Any:
    """An attribute as text or a list of texts."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.reshape(-1)[:_OBJECTS].tolist()]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
