"""What a branch or loop on arrays must leave as it was: the containers and objects made before it.

Converted code is stopped before it changes one. Code that is not converted (a library, an operator
of a user's class, a setter) is found out afterwards, by comparing.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable
from typing import Any

from kuai.errors import MutationError
from kuai.hybrid.compared import BUFFERS
from kuai.hybrid.objects import attributes_of, is_plain, is_users
from kuai.hybrid.places import Where, told_place

_KINDS = (list, dict, set, deque)


def is_changeable(value: Any) -> bool:
    return isinstance(value, (*_KINDS, *BUFFERS)) or (is_plain(value) and is_users(type(value)))


def changed_inside(value: Any, how: str, where: Where | None) -> MutationError:
    """What changing a container or object inside a branch or loop on arrays raises."""
    kind = next((k.__name__ for k in _KINDS if isinstance(value, k)), type(value).__name__)
    place = told_place(where) if where is not None else ""
    return MutationError(
        f"{place}a {kind} made outside a branch or loop on arrays is changed in "
        f"it ({how}), which cannot be compiled: it would change once, not on every trip; write "
        "into an array made before with x.at[i].set(...), or assign a new tuple or dict to the "
        "variable"
    )


class Snapshot:
    """Objects with what they hold now."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._states = [(value, _state(value)) for value in values]

    def check(self, where: Where | None) -> None:
        """All must hold what they held.

        Raises:
            MutationError: one does not.
        """
        for value, state in self._states:
            if not _same(state, _state(value)):
                raise changed_inside(value, "by code that is not converted", where)


def _state(value: Any) -> Any:
    if isinstance(value, BUFFERS):
        return bytes(value)
    if isinstance(value, dict):
        return [part for pair in dict.items(value) for part in pair]
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, (list, deque)):
        plain: Any = list if isinstance(value, list) else deque
        return [*plain.__iter__(value)]
    return [part for pair in attributes_of(value).items() for part in pair]


def _same(was: Any, now: Any) -> bool:
    if not isinstance(was, list):
        return bool(was == now)
    return len(was) == len(now) and all(map(operator.is_, was, now))
