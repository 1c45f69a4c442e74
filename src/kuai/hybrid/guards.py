"""What a program read from outside when it was traced, and whether it still is what it was.

Attributes of blocks are covered by the structure epoch. Everything else that converted code reads
from outside the call is noted here: globals, closure cells, default arguments, attributes of plain
objects and classes, and the contents of lists, dicts, sets and NumPy arrays among them. What code
that is not converted is given (`escapes`) is noted as a whole.

Invariants a maintainer must not break:

* `hold` never runs code of the user's: it compares by identity, and scalars by type and value.
* A guard keeps no block alive: a value that is a block or an instance of a user's class is compared
  through a weak reference.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections import ChainMap, UserDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kuai.core.internals import BlockMeta
from kuai.core.tree import Node
from kuai.core.watched import WatchedDict, WatchedList, WatchedSet
from kuai.errors import MutationError
from kuai.hybrid.compared import (
    BUFFERS,
    CONTAINERS,
    Absent,
    Bytes,
    Cell,
    Contents,
    Functions,
    Guard,
    Keys,
    Table,
    Weak,
    is_weak,
    items_of,
    told,
)
from kuai.hybrid.convert.source import trusted
from kuai.hybrid.leaves import is_traced
from kuai.hybrid.objects import (
    SCALARS,
    Slots,
    attributes_of,
    functions_of,
    is_array_like,
    is_plain,
    is_users,
    is_users_module,
    makers_of,
)
from kuai.hybrid.places import is_library_file
from kuai.hybrid.reach import global_names, names_of

_WATCHED = (WatchedList, WatchedDict, WatchedSet)


class Guards:
    """Everything that the traces of a program read from outside.

    Attributes:
        made_here: whether the trace itself made an object, which then is not outside.
        merged: all of it, after `merge`.
        iterators: id → iterator that comes from outside: to take from it would happen once.
    """

    def __init__(self) -> None:
        self.made_here: Callable[[Any], bool] = lambda _: False
        self.merged: list[Guard] = []
        self.iterators: dict[int, Any] = {}
        self._functions = Functions()
        self._tables: dict[int, Table] = {}
        self._others: dict[tuple[int, Any], Guard] = {}
        self._met: dict[Any, Any] = {}  # what was looked into, kept so that its id stays its own

    def __bool__(self) -> bool:
        return bool(self.merged)

    def __len__(self) -> int:
        return sum(len(t.values) for t in self._tables.values()) + len(self._others)

    def hold(self) -> bool:
        """Whether all of it is what it was."""
        for guard in self.merged:  # noqa: SIM110  # on the hot path a loop costs half of all()
            if not guard.holds():
                return False
        return True

    def _all(self) -> list[Guard]:
        return [self._functions, *self._tables.values(), *self._others.values()]

    def reason(self) -> str | None:
        """What has changed, in words; None: nothing."""
        reasons = (guard.reason() for guard in self._all())
        return next((reason for reason in reasons if reason), None)

    def told(self) -> list[str]:
        """What is guarded, a line each."""
        lines = [
            f"{t.title}{n} = {told(v)}" for t in self._tables.values() for n, v in t.values.items()
        ]
        return sorted({line for line in lines if "<" not in line})

    def merge(self, other: Guards) -> None:
        """Take over the guards of another trace."""
        for key, table in other._tables.items():
            mine = self._tables.setdefault(key, table)
            for name, value in table.values.items():
                mine.add(name, value)
        self._others.update(other._others)
        self._functions.merge(other._functions)
        self.merged = [guard for guard in self._all() if guard is not self._functions]
        if self._functions.rows:
            self.merged.insert(0, self._functions)

    def check_unchanged(self) -> None:
        """After a trace: what it read must be what it was, or the trace itself changed it.

        Raises:
            MutationError: it did; what was changed is as before.
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
        """Give back what was read as it was before the trace."""
        for guard in self._all():
            if not guard.holds():
                guard.restore()

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """A trace that fails, to be made anew or not at all, leaves nothing changed."""
        try:
            yield
        except BaseException:
            self.restore()
            raise

    # ---- what converted code reads

    def function(self, function: types.FunctionType) -> None:
        """The globals, cells and defaults that a function may read."""
        if ("function", id(function)) in self._met:
            return
        self._met["function", id(function)] = function
        self._functions.add(function)
        code, namespace = function.__code__, function.__globals__
        title = f"global {namespace.get('__name__', '')}."
        for name in global_names(code):
            if name in namespace:
                self.name(namespace, title, name)
            else:
                self.absent(namespace, title, name)
        if code not in trusted:  # or it was made here, in a function that is converted
            for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
                self.cell(cell, name)
        for default in _defaults(function):
            self.value(default, f"a default of {function.__qualname__}")

    def name(self, namespace: Any, title: str, name: Any) -> None:
        """The value of a name in a namespace."""
        value = namespace[name]
        if is_traced(value):
            return
        owner = _owner_of(namespace)
        if is_weak(value):
            self._add(lambda: Weak(namespace, title, name, value), owner, name)
        else:
            table = self._tables.setdefault(id(owner), Table(namespace, title))
            if name not in table.values:
                table.add(name, value)
        self.value(value, f"{title}{name}")

    def absent(self, namespace: Any, title: str, name: str) -> None:
        """A name that is not there."""
        guard = self._add(lambda: Absent(namespace, title), _owner_of(namespace), "absent")
        guard.names |= {name}  # type: ignore[attr-defined]  # the guard is an Absent

    def cell(self, cell: types.CellType, name: str) -> None:
        try:
            value = cell.cell_contents
        except ValueError:
            return
        if name != "__class__" and not is_traced(value):
            self._add(lambda: Cell(cell, name), cell, "cell")
            self.value(value, name)

    def value(self, value: Any, title: str) -> None:
        """What stands inside a value that was read."""
        if isinstance(value, BUFFERS):
            self._add(lambda: Bytes(value, title), value, "bytes")
        elif isinstance(value, CONTAINERS) and not isinstance(value, _WATCHED):
            self._contents(value, title)
        elif is_plain(value) and hasattr(type(value), "__next__"):
            self.iterators[id(value)] = value
        elif isinstance(value, (UserDict, ChainMap)):
            self.value(value.data if isinstance(value, UserDict) else value.maps, title)
        elif is_plain(value) and functions_of(type(value)) and is_users(type(value)):
            self.escapes(value)  # Python calls its operators, and they are not converted

    def _contents(self, container: Any, title: str) -> None:
        items = items_of(container)
        if any(map(is_traced, items)):
            return
        self._add(lambda: Contents(container, title), container, "contents")
        for item in items:
            if isinstance(item, BUFFERS) or (item is not container and is_plain(item)):
                self.value(item, title)

    def class_attribute(self, kind: type, name: str, after: type | None = None) -> None:
        """An attribute looked up on a class; the epoch covers the classes of blocks.

        Args:
            kind: the class.
            name: of the attribute.
            after: where in the order of classes the search begins, as `super()` has it.
        """
        order = kind.__mro__
        for owner in order[order.index(after) + 1 if after in order else 0 :]:
            if isinstance(owner, BlockMeta) or not is_users(owner):
                if name in vars(owner):
                    return
            elif name in vars(owner):
                self.name(self._namespace(owner), f"{owner.__name__}.", name)
                return
            else:
                self.absent(self._namespace(owner), f"{owner.__name__}.", name)

    def _namespace(self, kind: type) -> Any:
        """What a class defines: always the same view of it."""
        return self._met.setdefault(("namespace", id(kind)), (kind, vars(kind)))[1]

    # ---- what code that is not converted may read

    def escapes(self, value: Any, names: frozenset[str] = frozenset()) -> None:
        """Note all that code which is not converted may read of a value.

        Args:
            value: what it is given, or finds.
            names: of attributes that it reads.
        """
        if isinstance(value, SCALARS) or is_array_like(value) or is_traced(value):
            return
        key = ("escapes", id(value), names)
        if key not in self._met:
            self._met[key] = value
            self._look_into(value, names)

    def _look_into(self, value: Any, names: frozenset[str]) -> None:
        if isinstance(value, types.FunctionType):
            self._function_escapes(value)
        elif isinstance(value, types.MethodType):
            self.escapes(value.__func__)
            self.escapes(value.__self__, names)
        elif isinstance(value, type):
            self._class_escapes(value)
        elif isinstance(value, types.ModuleType):
            self._module_escapes(value, names)
        elif not is_users(type(value)) and hasattr(value, "__wrapped__"):
            self.escapes(value.__wrapped__)
        else:
            for part in _parts(value):
                self.escapes(part, names)
            if is_plain(value) and is_users(type(value)) and not self.made_here(value):
                self._object_escapes(value, names)

    def _function_escapes(self, function: types.FunctionType) -> None:
        if is_library_file(function.__code__.co_filename):
            for found in _functions_inside(function):
                self.escapes(found)
            return
        self.function(function)
        names = names_of(function.__code__)
        found = [function.__globals__.get(name) for name in global_names(function.__code__)]
        cells = [value for cell in function.__closure__ or () for value in _contents_of(cell)]
        for value in (*found, *cells, *_defaults(function)):
            self.escapes(value, names)

    def _class_escapes(self, kind: type) -> None:
        if not is_users(kind):
            return
        for function in (*makers_of(kind), *functions_of(kind).values()):
            if not is_library_file(function.__code__.co_filename):
                self._function_escapes(function)
        for owner in kind.__mro__:
            if is_users(owner) and not isinstance(owner, BlockMeta):
                for name, value in list(vars(owner).items()):
                    if not name.startswith("__") and not callable(value):
                        self.class_attribute(kind, name)

    def _module_escapes(self, module: types.ModuleType, names: frozenset[str]) -> None:
        if is_users_module(module):
            for name in names & vars(module).keys():
                self.name(vars(module), f"{module.__name__}.", name)
                self.escapes(vars(module)[name], names)

    def _object_escapes(self, owner: Any, names: frozenset[str]) -> None:
        """All of an object's attributes, and of its methods those that may be called."""
        kind = type(owner)
        own = attributes_of(owner)
        self._add(lambda: Keys(own, kind.__name__), owner, "keys")
        for name, value in list(own.items()):
            self.name(own, f"{kind.__name__}.", name)
            self.escapes(value, names)
        self._class_escapes(kind)
        for name in names:
            found = inspect.getattr_static(kind, name, None)
            found = found.fget if isinstance(found, property) else found
            if isinstance(found, types.FunctionType):
                self.class_attribute(kind, name)
                self.escapes(found)

    def _add(self, make: Callable[[], Guard], owner: Any, name: Any) -> Guard:
        key = id(owner), name
        if key not in self._others:
            self._others[key] = make()
            self._met[key] = owner
        return self._others[key]


def _owner_of(namespace: Any) -> Any:
    return namespace._owner if isinstance(namespace, Slots) else namespace


def _defaults(function: types.FunctionType) -> tuple[Any, ...]:
    return *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()


def _contents_of(cell: types.CellType) -> Iterator[Any]:
    try:
        yield cell.cell_contents
    except ValueError:
        return


def _functions_inside(function: types.FunctionType) -> Iterator[Any]:
    """Functions that a library's function was made of, as `jax.vmap(f)` is of `f`."""
    yield getattr(function, "__wrapped__", None)
    for cell in function.__closure__ or ():
        for value in _contents_of(cell):
            if isinstance(value, (types.FunctionType, types.MethodType, functools.partial)):
                yield value


def _parts(value: Any) -> list[Any]:
    """What can be reached of a value without asking it."""
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, Node):
        return [item for _, item in value._kuai_stored()]
    return items_of(value) if isinstance(value, CONTAINERS) else []
