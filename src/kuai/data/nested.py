"""Tuples, lists and dicts of arrays, nested to any depth: what a batch is made of.

Written here because data workers load NumPy only, and `jax.tree` would bring JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kuai.errors import DataError

_MOST_TOLD = 8  # arrays in a message


def map_arrays(function: Callable[[Any], Any], nested: Any) -> Any:
    """Apply a function to every array; lists become tuples, as in a training step.

    Args:
        function: of one array.
        nested: arrays in tuples (named ones stay), lists and dicts.

    Example:
        >>> from kuai.data.nested import map_arrays
        >>> map_arrays(lambda x: x + 1, [1, {"a": 2}])
        (2, {'a': 3})
    """
    if isinstance(nested, dict):
        return {key: map_arrays(function, value) for key, value in nested.items()}
    if hasattr(nested, "_fields"):
        return type(nested)(*(map_arrays(function, value) for value in nested))
    if isinstance(nested, (tuple, list)):
        return tuple(map_arrays(function, value) for value in nested)
    return function(nested)


def numpy_arrays(nested: Any, what: str) -> Any:
    """Whatever a user gives as a batch or data set, with NumPy arrays in it; lists become tuples.

    Raises:
        DataError: numbers stand in lists where arrays belong, or NumPy makes no array of something.
    """
    refuse_listed_numbers(nested, what)
    return map_arrays(as_numpy, nested)


def refuse_listed_numbers(nested: Any, what: str) -> None:
    """Raise where a list of numbers, or a list of such lists, stands for an array.

    Each number would be taken for an array of its own.

    Raises:
        DataError: so it is; the first place is named.
    """
    place = next(_listed_numbers(nested), None)
    if place is not None:
        at = f" at {place}" if place else ""
        raise DataError(
            f"{what}: expected arrays, got a list of numbers{at}; make an array of it with "
            "np.asarray(numbers, np.float32), or np.int32 for labels"
        )


def _listed_numbers(nested: Any, path: str = "") -> Iterator[str]:
    """The places of lists of numbers; a tuple is always a batch or a part of one."""
    if isinstance(nested, dict):
        for key, value in nested.items():
            yield from _listed_numbers(value, f"{path}[{key!r}]")
    elif _is_listed(nested):
        yield path
    elif isinstance(nested, (tuple, list)):
        for number, value in enumerate(nested):
            yield from _listed_numbers(value, f"{path}[{number}]")


def _is_listed(nested: Any) -> bool:
    first = nested if isinstance(nested, list) else None
    while isinstance(first, (tuple, list)) and first:
        first = first[0]
    return isinstance(first, (int, float, np.generic))


def named_arrays(nested: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every array with its place, such as `[0]['image']`."""
    if isinstance(nested, dict):
        for key, value in nested.items():
            yield from named_arrays(value, f"{path}[{key!r}]")
    elif isinstance(nested, (tuple, list)):
        for number, value in enumerate(nested):
            yield from named_arrays(value, f"{path}[{number}]")
    else:
        yield path or "the array", nested


def as_numpy(array: Any) -> np.ndarray:
    """A NumPy array of whatever a loader of another system gives, without importing that system.

    Args:
        array: NumPy, JAX, torch (on any device, with a gradient or not), TensorFlow, Paddle, MXNet,
            or a Python number.

    Raises:
        DataError: NumPy makes no array of numbers of it.
    """
    for method in ("detach", "cpu", "asnumpy"):  # torch; torch and Paddle; MXNet
        if callable(getattr(array, method, None)):
            array = getattr(array, method)()
    if str(getattr(array, "dtype", "")) == "torch.bfloat16":  # NumPy cannot take it from torch
        return np.asarray(array.float()).astype(_bfloat16())
    try:
        found = np.asarray(array)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected an array, got {type(array).__name__} ({error})") from error
    if found.dtype.kind in "OUSM":
        raise DataError(f"expected an array of numbers, got {_description(array, found)}")
    return found


def _bfloat16() -> np.dtype[Any]:
    import ml_dtypes  # NumPy has no such type

    return np.dtype(ml_dtypes.bfloat16)


def _description(array: Any, found: np.ndarray) -> str:
    kind = type(array).__name__
    return kind if kind != "ndarray" else f"one of the dtype {found.dtype}"


def common_length(nested: Any, what: str) -> int:
    """How many examples a batch or data set of NumPy arrays holds.

    Raises:
        DataError: there is no array, one has no first axis, or the lengths differ: each is named.
    """
    arrays = list(named_arrays(nested))
    lengths = {place: len(array) if array.ndim else None for place, array in arrays}
    if not lengths:
        raise DataError(f"{what}: expected at least one array, got {nested!r}")
    if None in lengths.values() or len(set(lengths.values())) > 1:
        told = [f"{place} has shape {array.shape}" for place, array in arrays[:_MOST_TOLD]]
        listed = ", ".join([*told, *([f"and {len(arrays)} in all"] if arrays[_MOST_TOLD:] else [])])
        raise DataError(
            f"{what}: expected arrays of equal length along their first axis, but {listed}"
        )
    length = next(iter(lengths.values()))
    if not length:
        raise DataError(
            f"{what}: there are no examples in it; leave empty batches out, or look at what chose "
            "the examples"
        )
    return length
