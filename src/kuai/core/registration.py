"""Registration by attribute: what stands on a block, how it is read, copied and pickled.

Invariants a maintainer must not break:

* An attribute that is, or is a tuple that holds, a `Holder` lives in `_kuai.slots` and is read
  through `__getattr__`, so that reading gives the array bound in this thread. Everything else lives
  in the instance's `__dict__`.
* Every change of an attribute bumps the epoch after it was made.
* Names that begin with `_kuai` are the only ones that kuai takes on an instance beside the public
  methods, so that a user's class is free to have a `_run` or a `_blocks` of its own.
"""

from __future__ import annotations

import copy
import difflib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from kuai.core.admission import (
    check_name,
    check_overwritten,
    check_tie,
    has_setter,
    raw_items,
)
from kuai.core.changes import current_dry_run
from kuai.core.context import context, epoch
from kuai.core.internals import BlockMeta, Internals
from kuai.core.parameter import ARRAY_TYPES, Constant, Holder, State
from kuai.core.reparametrized import derived_value, follow_instead, underlying_value
from kuai.core.stored import holds_arrays, only_writes, resolve, written
from kuai.core.tree import Node, here, walk
from kuai.core.watched import WatchedDict, WatchedList, WatchedSet, wrap
from kuai.errors import (
    ArgumentError,
    DeferredInitError,
    HybridizeError,
    RegistrationError,
    ShapeError,
    TransformError,
)

_ABSENT = object()
_WATCHED = (WatchedList, WatchedDict, WatchedSet)


class Attributes(Node, metaclass=BlockMeta):
    """A thing with registered attributes: the root of `Block`."""

    _kuai: Internals

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Any:
        block = super().__new__(cls)
        object.__setattr__(block, "_kuai", Internals())
        return block

    def __getattr__(self, name: str) -> Any:
        slots = self.__dict__["_kuai"].slots
        if name in slots:
            try:
                if name in self._kuai.derived and isinstance(slots[name], Holder):
                    return derived_value(self, name)
                return resolve(slots[name])
            except DeferredInitError as error:
                raise DeferredInitError(f"{type(self).__name__}.{name}: {error}") from None
        if hasattr(type(self), name):  # a property that failed inside: its own error says more
            return object.__getattribute__(self, name)
        near = difflib.get_close_matches(name, [*self.__dict__, *slots], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        stored = self._kuai.slots.get(name)
        if name in self._kuai.derived and only_writes(stored, value):
            value = underlying_value(self, name, value)
        if stored is not None and _assigned(self, name, stored, value):
            return
        if has_setter(self, name):
            check_name(self, name, value, slot=False)
            object.__setattr__(self, name, value)
            epoch.bump()
        elif isinstance(value, ARRAY_TYPES) and context.stack and not self._kuai.building:
            _keep_transient(self, name, value)
        else:
            _register(self, name, value)
            if name in self._kuai.derived and isinstance(value, Holder):
                follow_instead(self, name, stored, value)

    def __delattr__(self, name: str) -> None:
        epoch.guard()
        if name in self._kuai.slots:
            del self._kuai.slots[name]
        else:
            object.__delattr__(self, name)
        epoch.bump()

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._kuai.slots})

    def _kuai_stored(self) -> Iterator[tuple[str, Any]]:
        yield from self._kuai.slots.items()
        for name, value in self.__dict__.items():
            if name != "_kuai":
                yield name, value

    def _kuai_settings(self) -> tuple[Any, ...]:
        internals = self._kuai
        hooks = (*internals.before, None, *internals.after)
        policy = None if internals.policy is None else internals.policy.key
        how = internals.remat, policy, *internals.derived.items()
        return internals.mode, *how, *hooks, type(self)._kuai_version

    def _kuai_finish(self) -> None:
        """Register what `__init__` left in `__dict__` past `__setattr__`, and check its lists."""
        for name, value in list(self.__dict__.items()):
            unwatched = _is_unwatched(value) or isinstance(value, ARRAY_TYPES)
            if name != "_kuai" and (unwatched or holds_arrays(value)):
                _register(self, name, value)
        sources, self._kuai.sources = self._kuai.sources, []
        for name, container, items in sources:
            _check_unchanged(type(self).__name__, name, container, items)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kuai": copy.copy(self._kuai)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        epoch.bump()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Copy a tree without recursion over its depth: empty twins first, then their state."""
        blocks = [b for b in walk(self).blocks.values() if _copies_plainly(b) and id(b) not in memo]
        for block in blocks:
            memo[id(block)] = type(block).__new__(type(block))
        for block in blocks:
            memo[id(block)].__setstate__(copy.deepcopy(block.__getstate__(), memo))
        return memo[id(self)]


def _copies_plainly(block: Any) -> bool:
    return type(block).__deepcopy__ is Attributes.__deepcopy__


def _assigned(block: Attributes, name: str, stored: Any, value: Any) -> bool:
    """Whether the assignment only set the array of a holder that is there."""
    where = f"{type(block).__name__}.{name}"
    try:
        if written(stored, value):
            return True
    except (ArgumentError, ShapeError, TypeError, TransformError) as error:
        remedy = "; delete the attribute first to give it another" if _is_misfit(error) else ""
        error.args = (f"{where}: {error}{remedy}", *error.args[1:])
        raise
    check_overwritten(where, stored, value)
    return False


def _is_misfit(error: Exception) -> bool:
    return isinstance(error, ShapeError) and "delete" not in str(error)


def _keep_transient(block: Attributes, name: str, value: Any) -> None:
    """An array that forward puts on the block: readable afterwards, not saved, not trained."""
    check_name(block, name, value, slot=True)
    holder = State(shape=value.shape, dtype=value.dtype, persistent=False)
    _undo_after_dry_run(block, name)
    block.__dict__.pop(name, None)
    block._kuai.slots[name] = holder
    holder.write(value)
    epoch.bump()


def _register(block: Attributes, name: str, value: Any) -> None:
    where = f"{type(block).__name__}.{name}"
    before = block.__dict__.get(name, _ABSENT)
    stored = _wrapped(block, where, value)
    is_slot = holds_arrays(stored)
    check_name(block, name, stored, slot=is_slot)
    if context.compiling and not block._kuai.building and not _equal(before, stored):
        raise HybridizeError(_written_while_compiling(name, value))
    check_tie(where, block._kuai.slots.get(name), stored)
    if not _is_kept_after_dry_run(value):
        _undo_after_dry_run(block, name)
    if block._kuai.building and _is_unwatched(value):
        block._kuai.sources.append((name, value, _flat(value)))
    (block.__dict__ if is_slot else block._kuai.slots).pop(name, None)
    (block._kuai.slots if is_slot else block.__dict__)[name] = stored
    epoch.bump()


def _wrapped(block: Attributes, where: str, value: Any) -> Any:
    """What is stored. A list that is watched already is shared, as Python would share it."""
    if isinstance(value, _WATCHED):
        return value
    try:
        return wrap(value, Constant if block._kuai.building else None)
    except (RegistrationError, ArgumentError) as error:
        error.args = (f"{where}: {error}",)
        raise


def _is_unwatched(value: Any) -> bool:
    return type(value) in (list, dict, OrderedDict, set)


def _flat(container: Any) -> list[Any]:
    """The items at all depths, in order."""
    if isinstance(container, (list, tuple, dict)):
        return [leaf for item in raw_items(container) for leaf in _flat(item)]
    return sorted(container, key=id) if isinstance(container, set) else [container]


def _check_unchanged(owner: str, name: str, container: Any, items: list[Any]) -> None:
    """Refuse a list that was changed by its old name after a copy of it was registered."""
    now = _flat(container)
    if len(now) != len(items) or any(a is not b for a, b in zip(now, items, strict=True)):
        raise RegistrationError(
            f"{owner}.{name}: the {type(container).__name__} was copied when it was assigned, and "
            f"the original was changed afterwards; change self.{name} instead"
        )


def _is_kept_after_dry_run(value: Any) -> bool:
    """Whether forward made something that lasts: a block or a holder, made on the first call."""
    if isinstance(value, (list, tuple, dict)):
        return any(map(_is_kept_after_dry_run, raw_items(value)))
    return isinstance(value, (Node, Holder))


def _undo_after_dry_run(block: Attributes, name: str) -> None:
    """Note how to put an attribute back to what it is now."""
    dry_run = current_dry_run()
    if dry_run is None or block._kuai.born == id(dry_run):
        return
    tables = (block._kuai.slots, block.__dict__)
    olds = [table.get(name, _ABSENT) for table in tables]

    def undo() -> None:
        for table, old in zip(tables, olds, strict=True):
            if old is _ABSENT:
                table.pop(name, None)
            else:
                table[name] = old
        epoch.bump()

    dry_run.always.append(undo)


def _equal(before: Any, value: Any) -> bool:
    same_kind = type(before) is type(value) and not isinstance(value, Node)
    return before is value or (same_kind and bool(before == value))


def _written_while_compiling(name: str, value: Any) -> str:
    return (
        f"{here()}: forward assigns {type(value).__name__} to self.{name} while it is being "
        "compiled: that would happen once, not on every call; make it an array kept in kuai.State, "
        "or call hybridize(False)"
    )
