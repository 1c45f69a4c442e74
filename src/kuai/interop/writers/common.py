"""What the writers of other systems' files share: which arrays stand where, and their bytes."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from kuai.errors import ArgumentError, DtypeError


def places(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], aliases: Mapping[str, str]
) -> dict[str, str]:
    """Name → the name whose array it has: the arrays in their order, then the aliases.

    No array is read. An alias may be a key of `arrays` too, as it is of `interop.Weights`.

    Raises:
        ArgumentError: a name is no text, or an alias stands for no array.
    """
    own = {name: name for name in arrays if name not in aliases}  # `in arrays` could read one
    found = own | dict(aliases)
    for name, first in found.items():
        if not isinstance(name, str) or not _is_utf8(name):
            raise ArgumentError(
                f"{os.fspath(path)}: the name of an array must be text that UTF-8 can write, got "
                f"{name!r}; rename it"
            )
        if first not in own:
            raise ArgumentError(
                f"{os.fspath(path)}: the alias {name!r}: expected the name of an array, got "
                f"{first!r}; aliases map a further name to the first"
            )
    return found


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def little_endian(
    path: str | os.PathLike[str], name: str, array: Any, system: str, dtypes: Collection[Any]
) -> np.ndarray:
    """An array as files hold it: in C order, little-endian, in one piece.

    Args:
        path: for the message.
        name: for the message.
        array: what NumPy takes for one.
        system: for the message.
        dtypes: those that the system's files can hold.

    Raises:
        DtypeError: the array's is another.
    """
    host = np.asarray(array)
    host = host.astype(host.dtype.newbyteorder("<"), order="C", copy=False)
    if host.dtype not in dtypes:
        raise DtypeError(
            f"{os.fspath(path)}: {name}: expected a dtype that {system}'s files hold "
            f"({', '.join(str(np.dtype(dtype)) for dtype in dtypes)}), got {host.dtype}; convert "
            f"the array first"
        )
    return host


def raw_bytes(array: np.ndarray) -> memoryview:
    """The bytes of an array that `little_endian` gave, not copied."""
    return array.reshape(-1).view(np.uint8).data  # bfloat16 has no buffer of its own
