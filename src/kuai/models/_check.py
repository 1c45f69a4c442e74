"""What models ask of their arguments beyond what their layers ask."""

from __future__ import annotations

from collections.abc import Sequence

from kuai.errors import ArgumentError


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
