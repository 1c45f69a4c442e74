"""What one compiling trace records and knows.

A `Trace` stands in `context.trace` while the functions of a program are traced. The operators in
converted code find it there; without one they act as plain Python.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kuai.core.context import context
from kuai.hybrid.objects import attributes_of
from kuai.hybrid.places import Where
from kuai.hybrid.undefined import Undefined
from kuai.hybrid.upstream import level
from kuai.hybrid.watching import Snapshot, is_changeable

DEEPEST = 16  # branches and loops on arrays inside one another


@dataclass(frozen=True)
class Options:
    """How a block is compiled, as `hybridize` takes it.

    Attributes:
        verify: when the compiled result is compared with that of plain Python.
        fallback: "error", or "eager" to run as plain Python what cannot be compiled.
        loop_memory: bytes that a loop may store for its gradient.
        max_trips: trips after which a compiled loop stops and raises; None: no limit.
    """

    verify: str = "auto"
    fallback: str = "error"
    loop_memory: int = 64 * 2**20
    max_trips: int | None = None


class Staged(NamedTuple):
    """A branch or loop that became part of the program."""

    kind: str
    where: Where


@dataclass(eq=False)
class Trace:
    """The record of one trace.

    Attributes:
        options: of the block or function that is compiled.
        guards: what was read from outside; a `guards.Guards`.
        follow: function → what to call instead.
        hooks: the operators that converted code calls.
        staged: the branches and loops on arrays met, in order.
        reports: (kind, where) → the holder that brings a trip count or a failed check out.
        attributes: (id, name) → (object, value before) of attributes set on plain objects.
        depth: of branches and loops on arrays.
        bound: trips that `kuai.bounded` promises.
        prints: whether the program prints.
        home: (scope, level of JAX) of the program or region that is traced now.
    """

    options: Options
    guards: Any
    follow: Any
    hooks: Any
    staged: dict[Staged, None] = field(default_factory=dict)
    reports: dict[Staged, Any] = field(default_factory=dict)
    attributes: dict[tuple[int, str], tuple[Any, Any]] = field(default_factory=dict)
    depth: int = 0
    bound: int | None = None
    prints: bool = False
    home: tuple[Any, Any] = (None, None)
    _made: dict[int, tuple[Any, int]] = field(default_factory=dict)
    _watched: dict[int, Any] = field(default_factory=dict)
    _frozen: dict[int, Any] = field(default_factory=dict)

    def fresh(self) -> Trace:
        """Another trace with the same guards, for what is traced later."""
        return Trace(self.options, self.guards, self.follow, self.hooks)

    def close(self) -> None:
        """Let go of everything that holds tracers."""
        self._made.clear()
        self._watched.clear()
        self._frozen.clear()
        self.attributes.clear()
        self.home = None, None

    def made(self, value: Any) -> Any:
        """Note that a container or object was made here, at this depth."""
        self._made[id(value)] = value, self.depth
        return value

    def freeze(self, value: Any) -> None:
        """Note that a list, dict or object must not be changed from here on."""
        self._frozen[id(value)] = value

    def is_frozen(self, value: Any) -> bool:
        return id(value) in self._frozen

    def watch(self, value: Any) -> None:
        """Note a container or object that a branch or loop must leave as it is."""
        if id(value) not in self._watched and is_changeable(value):
            self._watched[id(value)] = value

    def snapshot(self) -> Snapshot:
        """What containers and objects hold before a branch or loop."""
        made = [v for v, _ in self._made.values() if is_changeable(v)]
        return Snapshot([*made, *self._watched.values()])

    def is_made_here(self, value: Any) -> bool:
        return id(value) in self._made

    def depth_of(self, value: Any) -> int:
        """The depth at which a value was made; 0 for what comes from outside."""
        return self._made[id(value)][1] if id(value) in self._made else 0

    def log(self, owner: Any, name: str) -> None:
        """Note the value of an attribute (or a cell, without a name) that is about to be set."""
        key = id(owner), name
        if key not in self.attributes:
            self.attributes[key] = owner, read_attribute(owner, name)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Inside the scope of a branch or loop."""
        outer = self.home
        self.depth += 1
        self.home = context.scope, level()
        try:
            yield
        finally:
            self.depth -= 1
            self.home = outer

    @contextmanager
    def body(self) -> Iterator[list[Any]]:
        """Inside a function that kuai gives to JAX: what is outside stays as it is.

        Yields:
            A list that has the plain objects, made outside, of which an attribute was set inside;
            it is put back.

        Raises:
            MutationError: code that is not converted changes a container or object.
        """
        known = self.snapshot()
        changed: list[Any] = []
        before = {key: read_attribute(o, key[1]) for key, (o, _) in self.attributes.items()}
        with self.deeper():
            try:
                yield changed
            finally:
                changed += self._put_back(before)
        known.check(None)

    def _put_back(self, before: dict[tuple[int, str], Any]) -> list[Any]:
        """Undo what was set of plain objects that were there before."""
        changed = []
        for key, (owner, value) in list(self.attributes.items()):
            old = before.get(key, value)
            if key not in before:
                del self.attributes[key]
            if self.depth_of(owner) < self.depth and read_attribute(owner, key[1]) is not old:
                set_attribute(owner, key[1], old)
                changed.append(owner)
        return changed

    def at_home(self, function: Any) -> Any:
        """A function, now that the scope of the program is there."""
        self.home = context.scope, level()
        return function

    def in_function_of_jax(self) -> bool:
        """Whether what is traced now is a function that a `scan`, `vmap` or the like was given."""
        scope, home = self.home
        return scope is not None and context.scope is scope and level() is not home


def read_attribute(owner: Any, name: str) -> Any:
    """The value of an attribute of a plain object, or of a cell."""
    if isinstance(owner, types.CellType):
        try:
            return owner.cell_contents
        except ValueError:
            return Undefined("a variable of the enclosing function")
    return attributes_of(owner).get(name, Undefined(f"{type(owner).__name__}.{name}"))


def set_attribute(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, types.CellType):
        owner.cell_contents = value
    elif isinstance(value, Undefined) and value.error is None:
        attributes_of(owner).pop(name, None)
    else:
        attributes_of(owner)[name] = value


def current() -> Trace | None:
    trace: Trace | None = context.trace
    return trace
