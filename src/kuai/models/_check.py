"""What models ask of their arguments beyond what their layers ask.

Sizes are checked by the model that was given them, so that no error blames a layer inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuai.errors import ArgumentError
from kuai.nn._check import check_count, whole_number


def check_sizes(where: str, **sizes: Any) -> None:
    """Whole numbers of at least 1, by the names of the arguments.

    Raises:
        ArgumentError: one is anything else.
    """
    for name, value in sizes.items():
        check_count(where, name, value)


def check_heads(where: str, width: int, heads: int) -> None:
    """A width that the heads of the attention share.

    Raises:
        ArgumentError: they do not divide it.
    """
    if width % heads:
        below = width - width % heads
        near = [number for number in (below, below + heads) if number]
        raise ArgumentError(
            f"{where}: expected heads that divide the width, got width={width} and heads={heads}; "
            f"write for example width={' or '.join(map(str, near))}"
        )


def check_each(where: str, name: str, values: Any, *, at_least: int = 1) -> tuple[int, ...]:
    """Whole numbers in a tuple or list, one or more.

    Raises:
        ArgumentError: `values` is anything else, or one is too small.
    """
    listed = list(values) if isinstance(values, Sequence) else []
    numbers = [whole_number(value) for value in listed]
    if not numbers or any(number is None or number < at_least for number in numbers):
        raise ArgumentError(
            f"{where}: expected {name} to be integers of at least {at_least} in a tuple, got "
            f"{values!r}; write for example {name}=({at_least}, {2 * at_least})"
        )
    return tuple(number for number in numbers if number is not None)


def check_equal_length(
    where: str, name: str, values: Sequence[int], other: str, others: Sequence[int]
) -> None:
    """One value for each of the others.

    Raises:
        ArgumentError: there are more or fewer.
    """
    if len(values) != len(others):
        raise ArgumentError(
            f"{where}: expected {name} to have one number for each of {other} ({len(others)}), got "
            f"{tuple(values)}; give as many"
        )
