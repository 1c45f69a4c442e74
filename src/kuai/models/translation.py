"""From the names and layouts of another system's weights to those of a net."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kuai.core.misfits import report
from kuai.errors import CheckpointError


@dataclass(frozen=True)
class Rule:
    r"""Where the arrays go whose name matches.

    Args:
        names: a regular expression of whole names.
        paths: what stands at which path, with the groups of the expression (\1, or a function of
            the match); none: the array is not needed.
        layout: the array → one array for each path; default as it is.
    """

    names: str
    paths: tuple[str | Callable[[re.Match[str]], str], ...] = ()
    layout: Callable[[np.ndarray], Sequence[np.ndarray]] | None = None

    def apply(self, name: str, array: np.ndarray) -> dict[str, np.ndarray] | None:
        """Path → array; None where the name is another.

        Raises:
            _Misfit: the array has not the axes that the layout takes.
        """
        match = re.fullmatch(self.names, name)
        if match is None:
            return None
        arrays = [array] * len(self.paths) if self.layout is None else self.layout(array)
        paths = [match.expand(p) if isinstance(p, str) else p(match) for p in self.paths]
        return dict(zip(paths, arrays, strict=True))


class _Misfit(Exception):  # noqa: N818  # a signal between functions of this module
    """What was expected of an array."""


def translated(
    arrays: dict[str, np.ndarray],
    rules: Iterable[Rule],
    *,
    net: str = "the net",
    source: str = "the file",
    remedy: str = "",
) -> dict[str, np.ndarray]:
    """Path → array. A name that no rule knows stays, for the loader to complain of.

    Args:
        arrays: name → array.
        rules: where they go.
        net: its class, for messages.
        source: where the arrays come from, for messages.
        remedy: what to do where they do not fit.

    Raises:
        CheckpointError: arrays have not the axes that their layouts take; all of them are told.
    """
    rules = tuple(rules)
    found: dict[str, np.ndarray] = {}
    misfits = []
    for name, array in arrays.items():
        applied = (rule.apply(name, array) for rule in rules)
        try:
            found |= next((paths for paths in applied if paths is not None), {name: array})
        except _Misfit as misfit:
            misfits.append(f"{name}: expected {misfit}, got {array.shape} {array.dtype}")
    if misfits:
        raise CheckpointError(report(net, source, [], [], misfits, remedy=remedy))
    return found


def linear(array: np.ndarray) -> list[np.ndarray]:
    """A Linear of PyTorch, (outputs, inputs), as a Dense has it."""
    return [array.T]


def convolution(array: np.ndarray) -> list[np.ndarray]:
    """A Conv2d of PyTorch, (outputs, inputs, height, width), as a Conv2d of kuai has it."""
    if array.ndim != 4:
        raise _Misfit("(outputs, inputs, height, width)")
    return [array.transpose(2, 3, 1, 0)]


def thirds(array: np.ndarray) -> list[np.ndarray]:
    """Query, key and value that stand side by side on the last axis."""
    if not array.ndim or array.shape[-1] % 3:
        raise _Misfit("query, key and value of one width side by side on the last axis")
    return np.split(array, 3, axis=-1)


def only_row(array: np.ndarray) -> list[np.ndarray]:
    """What stands alone on a first axis of 1."""
    if array.ndim != 3 or len(array) != 1:
        raise _Misfit("(1, positions, features)")
    return [array[0]]
