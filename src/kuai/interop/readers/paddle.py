"""Weights of Paddle: the pickles that paddle.save writes, and the tensors beside a program."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from kuai.interop.readers.flatten import flattened, part
from kuai.interop.readers.paddle_program import DTYPES, Parameter
from kuai.interop.readers.pickled_numpy import PickledArray, numpy_names
from kuai.interop.readers.pickles import Known, Lookup, Pickle, Unreadable
from kuai.interop.readers.protobuf import fields, number, numbers
from kuai.interop.readers.source import Source, Span, short
from kuai.interop.readers.weights import Stored, Weights, contiguous, named_once

_SPLIT = "UnpackBigParamInfor@@"
_NAMES = "StructuredToParameterName@@"
OWN_ENTRIES = (_NAMES, _SPLIT)  # of Paddle, beside the arrays
# The beginning of .pdiparams: version 0, no levels of detail, version 0 again.
MAGIC = bytes(16)
_DESCRIPTION = 1024


def read_pdparams(source: Source, key: str | None) -> Weights:
    """Read what paddle.save wrote: a state dict, or a nested checkpoint.

    Paddle stores bfloat16 as uint16, a dtype that it does not have: it comes back as bfloat16.

    Args:
        source: the file.
        key: the part of a nested checkpoint; default all of it.

    Raises:
        FileFormatError: the file is damaged.
        UnsafeFileError: its pickle names what is not on the list.
        UnsupportedFileError: it holds static-graph tensors, which are code.
    """
    with source.open() as file:
        tree = Pickle(source, file, source.size, _lookup(source), in_place=True).load()
        if file.tell() != source.size:
            raise source.damaged("something stands behind its pickle")
    structured = tree.get(_NAMES) if isinstance(tree, dict) else None
    chosen = part(source, tree, key)
    _join(source, chosen)
    flat = flattened(source, _plain(chosen))
    arrays = {name: _bfloat16(array) for name, array in flat.arrays.items()}
    metadata: dict[str, Any] = dict(flat.values)
    if isinstance(structured, dict):
        own = {k: v for k, v in structured.items() if k in arrays and isinstance(v, str)}
        _tie(arrays, own)
        metadata["parameter_names"] = own
    return Weights(
        source.path, "paddle", source.format, arrays, metadata=metadata, is_flat=flat.is_flat
    )


def _tie(arrays: dict[str, Stored], parameter_names: dict[str, str]) -> None:
    """Paddle writes a tied array at each of its names; their common parameter tells."""
    first: dict[str, Stored] = {}
    for name, parameter in parameter_names.items():
        known = first.setdefault(parameter, arrays[name])
        if (known.shape, known.dtype) == (arrays[name].shape, arrays[name].dtype):
            arrays[name] = known


def _lookup(source: Source) -> Lookup:
    exact = numpy_names(source)
    code = Unreadable(
        "tensors of a static graph, written as code",
        "in Paddle: paddle.save(layer.state_dict(), 'net.pdparams')",
    )
    tuples = Known(lambda items: _named(source, items))
    exact |= {(home, "tuple"): tuples for home in ("builtins", "__builtin__")}
    exact |= {(home, "eval"): code for home in ("builtins", "__builtin__")}
    return lambda module, name: exact.get((module, name))


def _named(source: Source, items: Any) -> Any:
    """A tensor that is nested in something else: its name and its array."""
    if type(items) is not tuple or len(items) != 2 or not isinstance(items[1], PickledArray):
        raise source.damaged("a tensor is not written as Paddle does")
    return items[1]


def _plain(tree: Any) -> Any:
    """The tree without Paddle's own entries."""
    if isinstance(tree, dict):
        return {k: v for k, v in tree.items() if k not in OWN_ENTRIES}
    return tree


def _join(source: Source, tree: Any) -> None:
    """Put together the arrays that were too large for one pickled string."""
    splits = tree.pop(_SPLIT, None) if isinstance(tree, dict) else None
    for name, told in (splits or {}).items():
        if not isinstance(told, dict) or not isinstance(told.get("slices"), list):
            raise source.damaged("the list of its split arrays is none")
        slices = [tree.pop(key, None) for key in told["slices"] if isinstance(key, str)]
        pieces = [piece.stored for piece in slices if isinstance(piece, PickledArray)]
        if not pieces or len(pieces) < len(told["slices"]) or None in pieces:
            raise source.damaged(f"a piece of the split array {short(name)} is missing")
        tree[name] = _joined(source, pieces, told.get("OriginShape"))


def _joined(source: Source, pieces: list[Any], shape: Any) -> Stored:
    dtype = pieces[0].dtype
    size = sum(piece.nbytes for piece in pieces)
    if source.count("a split array", shape, dtype.itemsize) * dtype.itemsize != size or any(
        piece.dtype != dtype for piece in pieces
    ):
        raise source.damaged(f"the pieces of a split array do not make the shape {short(shape)}")

    def load() -> np.ndarray:
        array = np.concatenate([piece.load().reshape(-1) for piece in pieces]).reshape(shape)
        array.flags.writeable = False
        return array

    return Stored(tuple(shape), dtype, load)


def _bfloat16(stored: Stored) -> Stored:
    if stored.dtype != np.uint16:
        return stored
    half = np.dtype(ml_dtypes.bfloat16)
    return Stored(stored.shape, half, lambda: stored.load().view(half), stored.place)


def read_pdiparams(source: Source, program: list[Parameter] | None) -> Weights:
    """Read the tensors of a saved program, which stand one after the other without names.

    Args:
        source: the file.
        program: the program's parameters, sorted by name as Paddle sorts them; None: the arrays
            are numbered.

    Raises:
        FileFormatError: a rule of the format is broken, or the program is of another net.
    """
    arrays, at = [], 0
    while at < source.size:
        stored, at = _tensor(source, at)
        arrays.append(stored)
    if program is None:
        names = [str(index) for index in range(len(arrays))]
        named = dict(zip(names, arrays, strict=True))
        return Weights(source.path, "paddle", source.format, named, is_flat=False)
    names = [parameter.name for parameter in program]
    named_once(source, names)
    fits = [(tuple(p.shape), p.dtype) for p in program] == [(a.shape, a.dtype) for a in arrays]
    if not fits:
        raise source.damaged(
            f"its {len(arrays)} arrays are not the {len(names)} parameters of the program"
        )
    named = dict(zip(names, arrays, strict=True))
    return Weights(source.path, "paddle", source.format, named, is_flat=False)


def _tensor(source: Source, at: int) -> tuple[Stored, int]:
    head = Span(source, at, 20).read()
    length = int.from_bytes(head[16:], "little")
    if head[:16] != MAGIC or length > _DESCRIPTION:
        raise source.damaged(f"no tensor begins at byte {at:,}")
    told = fields(source, Span(source, at + 20, length).read())
    code, shape = number(source, told, 1, -1), tuple(numbers(source, told, 2))
    if code not in DTYPES:
        raise source.damaged(f"a tensor has the unknown dtype {code}")
    dtype = DTYPES[code]
    nbytes = source.count("a tensor", shape, dtype.itemsize) * dtype.itemsize
    where = Span(source, at + 20 + length, nbytes)
    return contiguous(where, dtype, shape, "a tensor"), where.start + nbytes
