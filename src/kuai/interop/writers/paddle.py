"""Writing `.pdparams` that paddle.load takes, without Paddle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from kuai.errors import ArgumentError
from kuai.files.durable import write_with
from kuai.interop.readers.paddle import OWN_ENTRIES
from kuai.interop.writers import pickles as pickles
from kuai.interop.writers.common import little_endian, places, raw_bytes

# Not uint16, which Paddle takes for bfloat16, nor its 8-bit floats, which it cannot load.
_DTYPES = tuple(
    np.dtype(dtype)
    for dtype in (
        np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int64, np.int32, np.int16,
        np.int8, np.uint8, np.bool_, np.complex64, np.complex128,
    )
)  # fmt: skip


def write_paddle(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Any],
    aliases: Mapping[str, str] | None = None,
) -> None:
    """Write a state dict as paddle.save does: a pickle of name → NumPy array.

    bfloat16 is written as uint16, a dtype that Paddle does not have and takes for it. NumPy 1 and 2
    both load the file, with Python 3.4 and later.

    Args:
        path: the file, such as "net.pdparams"; an existing one is replaced only when the new one is
            whole on the disk.
        arrays: name → array; each is asked for once, one at a time.
        aliases: further name → first name; default none. The array stands in the file once.

    Raises:
        ArgumentError: a name is no text or one that Paddle keeps, or an alias stands for no array.
        DtypeError: Paddle cannot load such a dtype.
        FileAccessError: the file cannot be written. The old one is whole.

    Example:
        >>> import os, tempfile
        >>> from kuai.interop.writers.paddle import write_paddle
        >>> path = os.path.join(tempfile.mkdtemp(), "net.pdparams")
        >>> write_paddle(path, {"weight": np.ones((2, 3), np.float32)})
        >>> weights = kuai.interop.read(path)
        >>> weights.system, weights.shapes
        ('paddle', {'weight': (2, 3)})
    """
    of = places(path, arrays, aliases or {})
    for name in OWN_ENTRIES:
        if name in of:
            raise ArgumentError(
                f"{os.fspath(path)}: an array cannot be named {name!r}: Paddle keeps that name"
            )
    numbers = {first: index for index, first in enumerate(dict.fromkeys(of.values()))}

    def write(file: BinaryIO) -> None:
        file.write(pickles.PROTOCOL_4 + b"}(")
        for name, first in of.items():
            file.write(pickles.text(name))
            if name == first:
                _write_array(file, little_endian(path, name, arrays[name], "Paddle", _DTYPES))
                file.write(pickles.kept(numbers[name]))
            else:
                file.write(pickles.recalled(numbers[first]))
        file.write(b"u" + pickles.STOP)

    write_with(path, write)


def _write_array(file: BinaryIO, array: np.ndarray) -> None:
    """An array as NumPy pickles it, under the names that both NumPy 1 and 2 have."""
    if array.dtype == ml_dtypes.bfloat16:
        array = array.view(np.uint16)
    left_open = pickles.called(
        pickles.named("numpy.core.multiarray", "_reconstruct"),
        pickles.named("numpy", "ndarray"),
        pickles.numbers((0,)),
        pickles.byte_string_of(1) + b"b",
    )
    in_fortran_order = pickles.FALSE
    told = (pickles.number(1), pickles.numbers(array.shape), _dtype(array), in_fortran_order)
    file.write(left_open + b"(" + b"".join(told) + pickles.byte_string_of(array.nbytes))
    file.write(raw_bytes(array))
    file.write(b"tb")


def _dtype(array: np.ndarray) -> bytes:
    made = pickles.called(
        pickles.named("numpy", "dtype"),
        pickles.text(array.dtype.str[1:]),
        pickles.FALSE,
        pickles.TRUE,
    )
    version, order, flags = pickles.number(3), pickles.text(array.dtype.str[0]), pickles.number(0)
    no_fields, no_size = [pickles.NONE] * 3, [pickles.number(-1)] * 2
    return made + pickles.tuple_of(version, order, *no_fields, *no_size, flags) + b"b"
