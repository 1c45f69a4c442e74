"""NumPy arrays inside a pickle, as NumPy pickles them, rebuilt without NumPy's own constructors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from kuai.interop.readers.pickles import Known, Stateful, Table, Unreadable
from kuai.interop.readers.source import Source, Span, short, typed
from kuai.interop.readers.weights import Stored, contiguous

_DTYPE = re.compile(r"[biufc](1|2|4|8|16)")
_ARRAY_LEFT_OPEN = (0,)


class PickledDtype(Stateful):
    """numpy.dtype("f4"), completed by a state whose second item is the byte order."""

    def __init__(self, source: Source, code: str) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            if code in ("O8", "O4", "O"):
                raise source.unsafe("it holds an array of Python objects")
            raise source.damaged(f"it holds an array of the dtype {short(code)}")
        self._source, self._code, self._order = source, code, "<"

    def set_state(self, state: Any) -> None:
        if type(state) is not tuple or len(state) < 3 or state[1] not in ("<", ">", "|", "="):
            raise self._source.damaged("the state of a dtype is not NumPy's")
        self._order = "<" if state[1] == "=" else state[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        try:
            return np.dtype(self._order + self._code)
        except TypeError:
            raise self._source.damaged(f"it holds an array of dtype {self._code}") from None


class PickledArray(Stateful):
    """An array whose shape, dtype and bytes come with its state."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.stored: Stored | None = None

    def set_state(self, state: Any) -> None:
        if type(state) is not tuple or len(state) not in (4, 5):
            raise self._source.damaged("the state of an array is not NumPy's")
        shape, kind, fortran, data = state[-4:]
        if isinstance(data, str):
            data = _latin(self._source, data)
        if not isinstance(kind, PickledDtype) or not isinstance(data, (bytes, Span)):
            raise self._source.damaged("the state of an array is not NumPy's")
        self.stored = _array(self._source, shape, kind.dtype, data, "F" if fortran else "C")


def _array(source: Source, shape: Any, dtype: Any, data: bytes | Span, order: str) -> Stored:
    source.count("an array", shape, dtype.itemsize)
    if isinstance(data, Span):
        return contiguous(data, dtype, shape, "an array", order=order)
    if source.count("an array", shape, dtype.itemsize) * dtype.itemsize != len(data):
        raise source.damaged(f"an array of shape {shape} and dtype {dtype} has {len(data)} bytes")
    native = dtype.newbyteorder("=")

    def load() -> np.ndarray:
        row = typed(source, np.frombuffer(data, np.uint8), dtype)
        return row.astype(native, copy=False).reshape(shape, order=order)  # type: ignore[call-overload]

    return Stored(shape, native, load, id(data))


def _latin(source: Source, text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise source.damaged("the bytes of an array are not bytes") from None


def numpy_names(source: Source) -> dict[tuple[str, str], Known | Unreadable]:
    """What the names that NumPy's pickles use stand for."""

    def reconstruct(kind: Any, shape: Any, _code: Any) -> PickledArray:
        if not (isinstance(kind, Known) and kind.value is np.ndarray and shape == _ARRAY_LEFT_OPEN):
            raise source.damaged("an array is begun in a way that is not NumPy's")
        return PickledArray(source)

    def scalar(kind: PickledDtype, data: Any) -> Any:
        raw = _latin(source, data) if isinstance(data, str) else data
        if not isinstance(raw, bytes) or len(raw) != kind.dtype.itemsize:
            raise source.damaged("a number does not have the bytes of its dtype")
        return np.frombuffer(raw, kind.dtype)[0].item()

    def encoded(text: Any, encoding: Any = "utf-8") -> bytes:
        if type(text) is not str or encoding not in ("latin1", "latin-1"):
            raise source.damaged("bytes are written as text in a way that is not NumPy's")
        return _latin(source, text)

    names: dict[tuple[str, str], Known | Unreadable] = {
        ("numpy", "ndarray"): Known(value=np.ndarray),
        ("numpy", "dtype"): Known(lambda code, *_flags: PickledDtype(source, code)),
        ("_codecs", "encode"): Known(encoded),
        ("collections", "OrderedDict"): Known(lambda: Table()),
    }
    for home in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names[home, "_reconstruct"] = Known(reconstruct)
        names[home, "scalar"] = Known(scalar)
    return names
