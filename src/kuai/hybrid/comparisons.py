"""Comparisons that Python decides without asking an array, and conditions of comprehensions."""

from __future__ import annotations

import functools
import operator
from typing import Any

from kuai.errors import ValueNeededError
from kuai.hybrid.branch import not_, or_
from kuai.hybrid.leaves import is_traced
from kuai.hybrid.places import Where, told_place
from kuai.hybrid.reads import consuming
from kuai.hybrid.undefined import used


def value_needed(what: str, where: Where) -> ValueNeededError:
    """What needing the value of an array raises."""
    return ValueNeededError(
        f"{told_place(where)}{what} needs the value of an array, which exists only when the "
        "compiled program runs; keep it an array"
    )


def decide(value: Any, where: Where) -> Any:
    """The condition of a comprehension: it decides how many items there are."""
    if is_traced(value):
        raise value_needed("the condition of a comprehension", where)
    return used(value)


def iterate(iterable: Any, where: Where) -> Any:
    """What a comprehension runs over."""
    consuming(iterable, where)
    return used(iterable)


def is_(a: Any, b: Any, where: Where) -> bool:
    """`a is b`. None is None in both worlds; a number or bool may be an array here."""
    for one, other in ((a, b), (b, a)):
        used(one)
        if is_traced(one) and isinstance(other, (bool, int, float)):
            raise ValueNeededError(
                f"{told_place(where)}`is` compares an array with {other!r}, and would differ from "
                "plain Python; write == or use the truth value itself"
            )
    return a is b


def is_not(a: Any, b: Any, where: Where) -> bool:
    return not is_(a, b, where)


def in_(value: Any, container: Any, where: Where) -> Any:
    """`value in container`."""
    known = isinstance(container, (list, tuple, range, set, frozenset))
    if not known or not (is_traced(value) or any(map(is_traced, container))):
        return used(value) in used(container)
    equal: Any = False
    for element in container:
        equal = or_(equal, functools.partial(operator.eq, value, element), where)
    return equal


def not_in(value: Any, container: Any, where: Where) -> Any:
    return not_(in_(value, container, where), where)
