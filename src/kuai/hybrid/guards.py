"""What a program read from outside when it was traced, and whether it still is what it was.

Attributes of blocks are covered by the structure epoch. Everything else that converted code reads
from outside the call is noted here: globals, closure cells, default arguments, attributes of plain
objects and classes, and the contents of lists, dicts, sets and NumPy arrays among them.

Invariants a maintainer must not break:

* `hold` never runs code of the user's: it compares by identity, and scalars by type and value.
* A guard keeps no block alive: a value that is a block or an instance of a user's class is compared
  through a weak reference.
"""

from __future__ import annotations

import copy
import operator
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from kuai.core.parameter import Holder
from kuai.core.tree import Node
from kuai.core.watched import WatchedDict, WatchedList, WatchedSet
from kuai.errors import MutationError
from kuai.hybrid.leaves import is_traced

ABSENT = object()
_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
_WATCHED = (WatchedList, WatchedDict, WatchedSet)
_LARGEST = 10_000  # items of a container whose contents are compared


class _Table:
    """Names in one namespace, with the values that they had."""

    def __init__(self, namespace: Any, title: str) -> None:
        self.namespace = namespace
        self.title = title
        self.values: dict[Any, Any] = {}
        self._get: Callable[[Any], Any] = tuple
        self._expected: tuple[Any, ...] = ()

    def add(self, name: Any, value: Any) -> None:
        self.values[name] = value
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
        for name, value in self.values.items():
            now = self.namespace.get(name, ABSENT)
            if now is not value and not _equal_scalars(now, value):
                return False
            self.values[name] = now
        self.add(next(iter(self.values)), next(iter(self.values.values())))
        return True

    def reason(self) -> str | None:
        for name, value in self.values.items():
            now = self.namespace.get(name, ABSENT)
            if now is not value and not _equal_scalars(now, value):
                return f"{self.title}{name} changed from {_told(value)} to {_told(now)}"
        return None


class _Weak:
    """A name in a namespace whose value is an object that a guard must not keep alive."""

    def __init__(self, namespace: Any, title: str, name: Any, value: Any) -> None:
        self._namespace, self._name = namespace, name
        self._value = weakref.ref(value)
        self.title = title

    def holds(self) -> bool:
        return self._namespace.get(self._name, ABSENT) is self._value()

    def reason(self) -> str | None:
        return None if self.holds() else f"{self.title}{self._name} is another object"


class _Absent:
    """A name that hides another one as soon as it is there."""

    def __init__(self, namespace: Any, title: str, name: str) -> None:
        self._namespace, self._name = namespace, name
        self._title = title

    def holds(self) -> bool:
        return self._name not in self._namespace

    def reason(self) -> str | None:
        return None if self.holds() else f"{self._title}{self._name} was added"


class _Cell:
    """A variable of an enclosing function."""

    def __init__(self, cell: types.CellType, name: str) -> None:
        self._cell, self._name = cell, name
        value = cell.cell_contents
        self._strong = not _is_weak(value)
        self._value = value if self._strong else weakref.ref(value)

    def holds(self) -> bool:
        now, was = self._now(), self._value if self._strong else self._value()
        return now is was or _equal_scalars(now, was)

    def _now(self) -> Any:
        try:
            return self._cell.cell_contents
        except ValueError:
            return ABSENT

    def reason(self) -> str | None:
        if self.holds():
            return None
        was = _told(self._value) if self._strong else "another object"
        return f"the enclosing function's {self._name} changed from {was} to {_told(self._now())}"


class _Contents:
    """The items of a container, at all depths."""

    def __init__(self, container: Any, title: str) -> None:
        self._container, self._title = container, title
        self._items = _items(container, [])
        self._copy = copy.copy(container)

    def holds(self) -> bool:
        now = _items(self._container, [])
        return len(now) == len(self._items) and all(map(_same_item, now, self._items))

    def reason(self) -> str | None:
        return None if self.holds() else f"the contents of {self._title} changed"

    def restore(self) -> None:
        if isinstance(self._container, (list, dict, set, deque)):
            self._container.clear()
            if isinstance(self._container, (list, deque)):
                self._container.extend(self._copy)
            else:
                self._container.update(self._copy)


class _Bytes:
    """The elements of a NumPy array."""

    def __init__(self, array: np.ndarray, title: str) -> None:
        self._array, self._title = array, title
        self._was = array.copy()

    def holds(self) -> bool:
        was, now = self._was, self._array
        return was.shape == now.shape and was.dtype == now.dtype and was.tobytes() == now.tobytes()

    def reason(self) -> str | None:
        return None if self.holds() else f"the elements of {self._title} changed"


class Guards:
    """Everything that the traces of a program read from outside."""

    def __init__(self) -> None:
        self._tables: dict[int, _Table] = {}
        self._others: dict[tuple[int, Any], Any] = {}
        self.merged: list[Any] = []  # what `hold` compares; `merge` makes it
        self._functions: set[int] = set()
        self._kept: list[Any] = []  # whose ids stand above

    def __bool__(self) -> bool:
        return bool(self._tables or self._others)

    def __len__(self) -> int:
        return sum(len(t.values) for t in self._tables.values()) + len(self._others)

    def hold(self) -> bool:
        """Whether all of it is what it was."""
        for guard in self.merged:  # noqa: SIM110  # on the hot path a loop costs half of all()
            if not guard.holds():
                return False
        return True

    def reason(self) -> str | None:
        """What has changed, in words; None: nothing."""
        reasons = (g.reason() for g in [*self._tables.values(), *self._others.values()])
        return next((reason for reason in reasons if reason), None)

    def told(self) -> list[str]:
        """What is guarded, a line each."""
        lines = [
            f"{t.title}{n} = {_told(v)}" for t in self._tables.values() for n, v in t.values.items()
        ]
        return sorted({line for line in lines if "<" not in line})

    def merge(self, other: Guards) -> None:
        """Take over the guards of another trace."""
        for key, table in other._tables.items():
            mine = self._tables.setdefault(key, table)
            for name, value in table.values.items():
                mine.add(name, value)
        self._others.update(other._others)
        self.merged = [*self._tables.values(), *self._others.values()]
        self._kept += other._kept

    def check_unchanged(self) -> None:
        """After a trace: what it read must be what it was, or the trace itself changed it.

        Raises:
            MutationError: it did; lists, dicts and sets have their items back.
        """
        reason = self.reason()
        if reason is not None:
            self.restore()
            raise MutationError(
                f"forward changes something outside itself: {reason} while it was compiled, which "
                "would happen once, not on every call; keep it in kuai.State on a block, or return "
                "it"
            )

    def restore(self) -> None:
        """Give lists, dicts and sets the items back that they had."""
        for guard in self._others.values():
            if isinstance(guard, _Contents):
                guard.restore()

    # ---- recording

    def function(self, function: types.FunctionType) -> None:
        """The globals, cells and defaults that a function may read."""
        if id(function) in self._functions:
            return
        self._functions.add(id(function))
        self._kept.append(function)
        code = function.__code__
        for name in _global_names(code):
            if name in function.__globals__:
                title = f"global {function.__globals__.get('__name__', '')}."
                self.name(function.__globals__, title, name)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.cell(cell, name)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.value(default, f"a default of {function.__qualname__}")

    def name(self, namespace: Any, title: str, name: Any) -> None:
        """The value of a name in a namespace."""
        value = namespace[name]
        if is_traced(value):
            return
        if _is_weak(value):
            self._add(_Weak(namespace, title, name, value), namespace, name)
        else:
            table = self._tables.setdefault(id(namespace), _Table(namespace, title))
            table.add(name, value)
        self.value(value, f"{title}{name}")

    def absent(self, namespace: Any, title: str, name: str) -> None:
        self._add(_Absent(namespace, title, name), namespace, (ABSENT, name))

    def cell(self, cell: types.CellType, name: str) -> None:
        try:
            value = cell.cell_contents
        except ValueError:
            return
        if name != "__class__" and not is_traced(value):
            self._add(_Cell(cell, name), cell, "cell")
            self.value(value, name)

    def value(self, value: Any, title: str) -> None:
        """What stands inside a value that was read."""
        if isinstance(value, np.ndarray):
            self._add(_Bytes(value, title), value, "bytes")
        elif isinstance(value, _CONTAINERS) and not isinstance(value, _WATCHED):
            items = _items(value, [])
            if not any(map(is_traced, items)):
                self._add(_Contents(value, title), value, "contents")
                for item in items:
                    if isinstance(item, np.ndarray):
                        self.value(item, title)

    def _add(self, guard: Any, owner: Any, name: Any) -> None:
        key = id(owner), name
        if key not in self._others:
            self._others[key] = guard


def _global_names(code: types.CodeType) -> set[str]:
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*map(_global_names, inner))


def _is_weak(value: Any) -> bool:
    """Whether a guard must not keep the value alive."""
    if isinstance(value, (Node, Holder)):
        return True
    if isinstance(value, (*_SCALARS, *_CONTAINERS, type, types.ModuleType, types.FunctionType)):
        return False
    if isinstance(value, (jax.Array, np.ndarray)):
        return False
    return hasattr(value, "__dict__") and type(value).__weakrefoffset__ != 0


def _equal_scalars(a: Any, b: Any) -> bool:
    if type(a) is not type(b) or not isinstance(a, _SCALARS):
        return False
    return repr(a) == repr(b) if isinstance(a, float) else bool(a == b)


def _items(value: Any, found: list[Any]) -> list[Any]:
    """The leaves of a container with its structure among them."""
    if len(found) > _LARGEST:
        return found
    if isinstance(value, dict):
        found.append((type(value), len(value)))
        for key, item in dict.items(value):
            found.append(key)
            _items(item, found)
    elif isinstance(value, (list, tuple, deque)):
        found.append((type(value), len(value)))
        for item in _plain_items(value):
            _items(item, found)
    elif isinstance(value, (set, frozenset)):
        found.append((type(value), frozenset(value)))
    else:
        found.append(value)
    return found


def _plain_items(value: Any) -> Iterable[Any]:
    if isinstance(value, tuple):
        return tuple.__iter__(value)
    return list.__iter__(value) if isinstance(value, list) else iter(value)


def _same_item(a: Any, b: Any) -> bool:
    if a is b or _equal_scalars(a, b):
        return True
    return type(a) is tuple and type(b) is tuple and a[0] is b[0] and bool(a[1] == b[1])


def _told(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = repr(value) if isinstance(value, _SCALARS) else f"<{type(value).__name__}>"
    return text if len(text) < 60 else f"{text[:57]}..."
