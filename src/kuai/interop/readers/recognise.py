"""Which system wrote a file, told by its content; and reading it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kuai.errors import ArgumentError, FileFormatError
from kuai.files.access import checked_path
from kuai.files.header import HEADER_LIMIT, LENGTH_BYTES
from kuai.files.kinds import HEAD_BYTES, looks_like
from kuai.interop.readers import folders, gluon, hdf5, keras, leveldb, npz, paddle, pytorch
from kuai.interop.readers.paddle_program import parameters
from kuai.interop.readers.safetensors import read_safetensors
from kuai.interop.readers.source import Packed, Source, Span
from kuai.interop.readers.tensorflow import read_bundle
from kuai.interop.readers.weights import Weights
from kuai.interop.readers.zips import members

# A pickle of the number that PyTorch before 1.6 began its files with.
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def read_any(
    path: Any, key: str | None, program: str | os.PathLike[str] | None, *, mapped: bool
) -> Weights:
    """Read a file of any format, as `kuai.interop.read` documents."""
    found = _Found(_place(checked_path(path)), key, program, mapped)
    for known in _FORMATS:
        if known.matches(found):
            _check_options(found, known)
            return known.read(found, found.source(known.name))
    raise _unknown(found)


@dataclass(frozen=True)
class _Found:
    """A file to be recognised, and what the user said about it."""

    path: Path
    key: str | None
    program: str | os.PathLike[str] | None
    mapped: bool

    def source(self, format: str) -> Source:
        return Source.of(self.path, format, mapped=self.mapped)

    @functools.cached_property
    def size(self) -> int:
        return self.source("weights").size

    @functools.cached_property
    def head(self) -> bytes:
        return self.source("weights").whole().head(HEAD_BYTES)

    @functools.cached_property
    def tail(self) -> bytes:
        length = min(self.size, leveldb.FOOTER)
        return self.source("weights").whole().part(self.size - length, length).read()

    @functools.cached_property
    def members(self) -> dict[str, Span | Packed]:
        """Those of a zip archive; none where it is no archive."""
        return members(self.source("zip")) if self.head.startswith(b"PK") else {}

    def beside(self, file: Path) -> Weights:
        """Read one of the files that an index names, which is no index itself."""
        if _is_index(_Found(file, None, None, mapped=False)):
            raise self.source("index").damaged(f"{file.name} is another index")
        return read_any(file, None, None, mapped=self.mapped)

    def program_source(self) -> Source | None:
        return None if self.program is None else Source.of(self.program, "program")


class _Format(NamedTuple):
    """A format: its name, how to tell it, how to read it, and which options mean something."""

    name: str
    matches: Callable[[_Found], bool]
    read: Callable[[_Found, Source], Weights]
    options: tuple[str, ...] = ()


def _place(path: Path) -> Path:
    """The file that a path of a folder, or of a checkpoint without its ending, stands for."""
    if path.is_dir():
        return folders.weights_in(path)
    index = path.with_name(f"{path.name}.index")
    return index if index.is_file() and not path.is_file() else path


def _check_options(found: _Found, known: _Format) -> None:
    for option, value in (("key", found.key), ("program", found.program)):
        if value is not None and option not in known.options:
            able = [other.name for other in _FORMATS if option in other.options]
            raise ArgumentError(
                f"{found.path}: {option}={os.fspath(value)!r} means nothing for a {known.name} "
                f"file, only for {' and '.join(able)}; leave it out"
            )


def _torch_root(found: _Found) -> str | None:
    return pytorch.root_of(list(found.members))


def _is_keras(found: _Found) -> bool:
    return {keras.CONFIG, keras.WEIGHTS} <= found.members.keys()


def _is_npz(found: _Found) -> bool:
    return bool(found.members) and all(name.endswith(".npy") for name in found.members)


def _is_safetensors(found: _Found) -> bool:
    length = int.from_bytes(found.head[:LENGTH_BYTES], "little")
    return found.head[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" and length <= HEADER_LIMIT


def _is_pickle(found: _Found) -> bool:
    return found.head[:1] == b"\x80" and found.head[1:2] in (b"\2", b"\3", b"\4", b"\5")


def _is_index(found: _Found) -> bool:
    return found.head.lstrip()[:1] == b"{" and not _is_safetensors(found)


def _read_torch(found: _Found, source: Source) -> Weights:
    root = _torch_root(found)
    return pytorch.read_zip(source, found.members, root or "", found.key)


def _read_pdiparams(found: _Found, source: Source) -> Weights:
    program = found.program_source()
    for ending in (".json", ".pdmodel"):
        beside = found.path.with_suffix(ending)
        if program is None and beside.is_file():
            program = Source.of(beside, "program")
    return paddle.read_pdiparams(source, None if program is None else parameters(program))


_FORMATS = (
    _Format("PyTorch", lambda f: _torch_root(f) is not None, _read_torch, ("key",)),
    _Format("Keras archive", _is_keras, lambda f, s: keras.read_archive(s, f.members)),
    _Format("NumPy archive", _is_npz, lambda f, s: npz.read_npz(s, f.members)),
    _Format(
        "PyTorch (before 1.6)",
        lambda f: f.head.startswith(_LEGACY_TORCH),
        lambda f, s: pytorch.read_legacy(s, f.key),
        ("key",),
    ),
    _Format("Paddle", _is_pickle, lambda f, s: paddle.read_pdparams(s, f.key), ("key",)),
    _Format("safetensors", _is_safetensors, lambda _, s: read_safetensors(s)),
    _Format("HDF5", lambda f: f.head.startswith(hdf5.MAGIC), lambda _, s: keras.read_h5(s)),
    _Format("NumPy", lambda f: f.head.startswith(npz.MAGIC), lambda _, s: npz.read_npy(s)),
    _Format(
        "MXNet/Gluon parameter",
        lambda f: f.head.startswith(gluon.MAGIC),
        lambda f, s: gluon.read_params(s, f.program_source()),
        ("program",),
    ),
    _Format(
        "TensorFlow checkpoint",
        lambda f: f.tail.endswith(leveldb.MAGIC),
        lambda _, s: read_bundle(s),
    ),
    _Format("index", _is_index, lambda f, s: folders.read_index(s, f.beside)),
    _Format(
        "Paddle parameter",
        lambda f: f.head.startswith(paddle.MAGIC) and f.size > len(paddle.MAGIC),
        _read_pdiparams,
        ("program",),
    ),
)


def _unknown(found: _Found) -> FileFormatError:
    kind = looks_like(found.head)
    seen = f"it looks like {kind}" if kind else "it begins like none of them"
    if not found.size:
        seen = "it is empty"
    elif not any(found.head) and found.size:
        seen = "it begins with nothing but zeros (a download that never finished?)"
    names = ", ".join(known.name for known in _FORMATS)
    return FileFormatError(
        f"{found.path}: expected a file of weights ({names}), but {seen}. Check the path, or save "
        f"it as safetensors in the system that wrote it"
    )
