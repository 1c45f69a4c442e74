"""What a guard compares: names in a namespace, cells, functions, containers, bytes.

Each kind says whether it `holds`, with what `reason` it does not, and can `restore` what it was.
`holds` stands on the hot path of every call.
"""

from __future__ import annotations

import array
import copy
import operator
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from kuai.core.parameter import Holder
from kuai.core.tree import Node, same_value
from kuai.hybrid.objects import SCALARS, is_array_like

ABSENT = object()
CONTAINERS = (list, tuple, dict, set, frozenset, deque, types.MappingProxyType)
BUFFERS = (np.ndarray, bytearray, array.array)
_DEEPEST = 50  # containers inside one another


class Guard:
    """One thing that a trace read.

    Args:
        title: what stands before the names in messages.
    """

    def __init__(self, title: str) -> None:
        self.title = title

    def holds(self) -> bool:
        raise NotImplementedError

    def reason(self) -> str | None:
        """What has changed, in words; None: nothing."""
        return None if self.holds() else f"{self.title} changed"

    def restore(self) -> None:
        """Give back what it was, where that can be."""


class Table(Guard):
    """Names in one namespace, with the values that they had."""

    def __init__(self, namespace: Any, title: str) -> None:
        super().__init__(title)
        self.namespace = namespace
        self.values: dict[Any, Any] = {}
        self._get: Callable[[Any], Any] = tuple
        self._expected: tuple[Any, ...] = ()

    def add(self, name: Any, value: Any) -> None:
        self.values = {**self.values, name: value}  # another thread may be reading the old one
        names = tuple(self.values)
        self._get = operator.itemgetter(*names, names[0])  # at least two give a tuple
        self._expected = (*self.values.values(), self.values[names[0]])

    def holds(self) -> bool:
        try:
            found = self._get(self.namespace)
        except KeyError:
            return False
        return all(map(operator.is_, found, self._expected)) or self._equal()

    def _equal(self) -> bool:
        """Compare one by one, and take over equal scalars that are other objects."""
        if self._changed() is not None:
            return False
        for name in self.values:
            self.add(name, self.namespace[name])
        return True

    def _changed(self) -> tuple[Any, Any, Any] | None:
        """(name, value before, value now) of the first that is another."""
        for name, value in self.values.items():
            now = self.namespace.get(name, ABSENT)
            if now is not value and not equal_scalars(now, value):
                return name, value, now
        return None

    def reason(self) -> str | None:
        changed = self._changed()
        if changed is None:
            return None
        name, value, now = changed
        return f"{self.title}{name} changed from {told(value)} to {told(now)}"

    def restore(self) -> None:
        if not isinstance(self.namespace, types.MappingProxyType):
            for name, value in self.values.items():
                self.namespace[name] = value


class Weak(Guard):
    """A name in a namespace whose value is an object that a guard must not keep alive."""

    def __init__(self, namespace: Any, title: str, name: Any, value: Any) -> None:
        super().__init__(title)
        self._namespace, self._name = namespace, name
        self._value = weakref.ref(value)

    def holds(self) -> bool:
        return self._namespace.get(self._name, ABSENT) is self._value()

    def reason(self) -> str | None:
        return None if self.holds() else f"{self.title}{self._name} is another object"


class Absent(Guard):
    """Names that would hide others, or be found, as soon as they are there."""

    def __init__(self, namespace: Any, title: str) -> None:
        super().__init__(title)
        self._namespace = namespace
        self.names: frozenset[Any] = frozenset()

    def holds(self) -> bool:
        return bool(self._namespace.keys().isdisjoint(self.names))

    def reason(self) -> str | None:
        found = sorted(self.names & set(self._namespace.keys()))
        return f"{self.title}{found[0]} was added" if found else None

    def restore(self) -> None:
        if not isinstance(self._namespace, types.MappingProxyType):
            for name in self.names:
                self._namespace.pop(name, None)


class Keys(Guard):
    """The names of all attributes of an object."""

    def __init__(self, namespace: Any, title: str) -> None:
        super().__init__(title)
        self._namespace = namespace
        self._was = frozenset(namespace.keys())

    def holds(self) -> bool:
        return bool(self._namespace.keys() == self._was)

    def reason(self) -> str | None:
        return None if self.holds() else f"{self.title} has other attributes"

    def restore(self) -> None:
        for name in set(self._namespace.keys()) - self._was:
            self._namespace.pop(name, None)


class Cell(Guard):
    """A variable of an enclosing function."""

    def __init__(self, cell: types.CellType, name: str) -> None:
        super().__init__(f"the enclosing function's {name}")
        self._cell = cell
        value = cell.cell_contents
        self._strong = not is_weak(value)
        self._value = value if self._strong else weakref.ref(value)

    def holds(self) -> bool:
        now, was = self._now(), self._value if self._strong else self._value()
        return now is was or equal_scalars(now, was)

    def _now(self) -> Any:
        try:
            return self._cell.cell_contents
        except ValueError:
            return ABSENT

    def reason(self) -> str | None:
        if self.holds():
            return None
        was = told(self._value) if self._strong else "another object"
        return f"{self.title} changed from {was} to {told(self._now())}"


class Functions(Guard):
    """What functions are made of; autoreload and the like put new code into old functions.

    Attributes:
        rows: (function, its code, defaults and keyword defaults).
    """

    def __init__(self) -> None:
        super().__init__("a function")
        self.rows: tuple[tuple[types.FunctionType, Any, Any, Any], ...] = ()

    def add(self, function: types.FunctionType) -> None:
        row = function, function.__code__, function.__defaults__, function.__kwdefaults__
        if all(function is not known for known, *_ in self.rows):
            self.rows = (*self.rows, row)

    def merge(self, other: Functions) -> None:
        for function, *_ in other.rows:
            self.add(function)

    def holds(self) -> bool:
        for function, code, defaults, keywords in self.rows:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
            if function.__kwdefaults__ is not keywords:
                return False
        return True

    def reason(self) -> str | None:
        for function, *was in self.rows:
            if any(map(operator.is_not, was, _made_of(function))):
                return f"the code or the defaults of {function.__qualname__} changed"
        return None


def _made_of(function: types.FunctionType) -> tuple[Any, Any, Any]:
    return function.__code__, function.__defaults__, function.__kwdefaults__


class Contents(Guard):
    """The items of a container, at all depths."""

    def __init__(self, container: Any, title: str) -> None:
        super().__init__(f"the contents of {title}")
        self._container = container
        self._items = items_of(container)
        self._copy = container if isinstance(container, tuple) else _copied(container)

    def holds(self) -> bool:
        now = items_of(self._container)
        return len(now) == len(self._items) and all(map(_same_item, now, self._items))

    def restore(self) -> None:
        if isinstance(self._container, (list, deque)):
            self._container.clear()
            self._container.extend(self._copy)
        elif isinstance(self._container, (dict, set)):
            self._container.clear()
            self._container.update(self._copy)


def _copied(container: Any) -> Any:
    return (
        dict(container) if isinstance(container, types.MappingProxyType) else copy.copy(container)
    )


class Bytes(Guard):
    """The elements of a NumPy array or another buffer."""

    def __init__(self, buffer: Any, title: str) -> None:
        super().__init__(f"the elements of {title}")
        self._buffer = buffer
        self._was = copy.copy(buffer)

    def holds(self) -> bool:
        was, now = self._was, self._buffer
        if not isinstance(now, np.ndarray):
            return bool(was == now)
        return was.shape == now.shape and was.dtype == now.dtype and was.tobytes() == now.tobytes()

    def restore(self) -> None:
        self._buffer[...] = self._was


class _Mark:
    """Where a container begins among the items of those around it."""

    __slots__ = ("_is",)

    def __init__(self, *what: Any) -> None:
        self._is = what

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Mark) and self._is == other._is

    __hash__ = None  # type: ignore[assignment]  # compared, never looked up


def items_of(container: Any) -> list[Any]:
    """The leaves of a container with its structure among them."""
    found: list[Any] = []
    _collect(container, found, _DEEPEST)
    return found


def _collect(value: Any, found: list[Any], depth: int) -> None:
    if isinstance(value, CONTAINERS) and depth:
        mark, items = _opened(value)
        found.append(mark)
        for item in items:
            _collect(item, found, depth - 1)
    else:
        found.append(value)


def _opened(value: Any) -> tuple[_Mark, Iterable[Any]]:
    kind = type(value)
    if isinstance(value, dict):
        pairs = value.items() if kind is OrderedDict else dict.items(value)  # no code of the user's
        return _Mark(kind, len(value)), [part for pair in pairs for part in pair]
    if isinstance(value, types.MappingProxyType):
        return _Mark(kind, len(value)), [part for pair in value.items() for part in pair]
    if isinstance(value, (set, frozenset)):
        return _Mark(kind, frozenset((type(item), item) for item in value)), ()
    plain: Any = next(base for base in (tuple, list, deque) if isinstance(value, base))
    return _Mark(kind, len(value)), plain.__iter__(value)


def _same_item(a: Any, b: Any) -> bool:
    return a is b or equal_scalars(a, b) or (type(a) is _Mark and a == b)


def is_weak(value: Any) -> bool:
    """Whether a guard must not keep the value alive."""
    if isinstance(value, (Node, Holder)):
        return True
    if isinstance(value, (*SCALARS, *CONTAINERS, type, types.ModuleType, types.FunctionType)):
        return False
    if is_array_like(value):
        return False
    return hasattr(value, "__dict__") and type(value).__weakrefoffset__ != 0


def equal_scalars(a: Any, b: Any) -> bool:
    return isinstance(a, SCALARS) and same_value(a, b)


def told(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = repr(value) if isinstance(value, SCALARS) else f"<{type(value).__name__}>"
    return text if len(text) < 60 else f"{text[:57]}..."
