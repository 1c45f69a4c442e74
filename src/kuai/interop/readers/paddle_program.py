"""The names of a Paddle program's parameters: out of a `.pdmodel` or, since Paddle 3, a `.json`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from kuai.interop.readers.jsons import parsed
from kuai.interop.readers.protobuf import fields, messages, number, numbers, text
from kuai.interop.readers.source import Source

DTYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype(np.bool_),
    1: np.dtype(np.int16),
    2: np.dtype(np.int32),
    3: np.dtype(np.int64),
    4: np.dtype(np.float16),
    5: np.dtype(np.float32),
    6: np.dtype(np.float64),
    20: np.dtype(np.uint8),
    21: np.dtype(np.int8),
    22: np.dtype(ml_dtypes.bfloat16),
    23: np.dtype(np.complex64),
    24: np.dtype(np.complex128),
    32: np.dtype(ml_dtypes.float8_e4m3fn),
    33: np.dtype(ml_dtypes.float8_e5m2),
}
_TYPES = {
    "0.t_bool": 0,
    "0.t_i16": 1,
    "0.t_i32": 2,
    "0.t_i64": 3,
    "0.t_f16": 4,
    "0.t_f32": 5,
    "0.t_f64": 6,
    "0.t_ui8": 20,
    "0.t_i8": 21,
    "0.t_bf16": 22,
    "0.t_c64": 23,
    "0.t_c128": 24,
    "0.t_f8e4m3fn": 32,
    "0.t_f8e5m2": 33,
}
_TENSOR = 7


class Parameter(NamedTuple):
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def parameters(source: Source) -> list[Parameter]:
    """The parameters of a program in the order in which `.pdiparams` holds them.

    Raises:
        FileFormatError: it is no program, or damaged.
    """
    raw = source.whole().read()
    found = _of_json(source, raw) if raw.startswith(b"{") else _of_protobuf(source, raw)
    return sorted(found)


def _of_json(source: Source, raw: bytes) -> list[Parameter]:
    content = parsed(source, raw, "the program")
    base = content.get("base_code")
    if not isinstance(base, dict) or base.get("magic") != "pir":
        raise source.damaged("it is no program of Paddle")
    try:
        return [
            _of_operation(operation)
            for region in content["program"]["regions"]
            for block in region["blocks"]
            for operation in block["ops"]
            if operation["#"] == "p" and _is_kept(operation)
        ]
    except (KeyError, TypeError, IndexError, ValueError):
        raise source.damaged("a parameter of the program is not told as Paddle does") from None


def _is_kept(operation: dict[str, Any]) -> bool:
    """Whether `.pdiparams` has it: the state of a recurrent layer's dropout is not persistable."""
    kept = operation.get("OA", [1])[0]  # persistable, stop_gradient, trainable
    if kept not in (0, 1):
        raise ValueError(kept)
    return bool(kept)


def _of_operation(operation: dict[str, Any]) -> Parameter:
    name = operation["A"][3]
    kind, shape = operation["O"]["TT"]["D"][:2]
    if not isinstance(name, str) or not all(type(size) is int for size in shape):
        raise TypeError(name)
    return Parameter(name, tuple(shape), DTYPES[_TYPES[kind["#"]]])


def _of_protobuf(source: Source, raw: bytes) -> list[Parameter]:
    program = fields(source, raw)
    return [
        found
        for block in messages(source, program, 1)
        for variable in messages(source, fields(source, block), 3)
        for found in _of_variable(source, variable)
    ]


def _of_variable(source: Source, raw: memoryview) -> Iterator[Parameter]:
    """The parameter that a variable is; none where it is something else."""
    variable = fields(source, raw)
    if not number(source, variable, 3):  # not persistable
        return
    for kind in messages(source, variable, 2):
        told = fields(source, kind)
        if number(source, told, 1) != _TENSOR:
            continue
        for leveled in messages(source, told, 3):
            for tensor in messages(source, fields(source, leveled), 1):
                description = fields(source, tensor)
                code = number(source, description, 1, -1)
                if code not in DTYPES:
                    raise source.damaged(f"a parameter of the program has the dtype {code}")
                shape = tuple(numbers(source, description, 2))
                yield Parameter(text(source, variable, 1), shape, DTYPES[code])
