"""What may stand on a block, and under which name: the checks before anything is registered."""

from __future__ import annotations

from collections import deque
from collections.abc import ItemsView, Iterable, ValuesView
from typing import Any

from kuai.core.parameter import ARRAY_TYPES, Holder, State
from kuai.core.tree import Node
from kuai.errors import RegistrationError, ShapeError

_OVERRIDABLE = ("forward", "infer_shapes", "mode")
_CLOSED = (set, frozenset, deque, ValuesView, ItemsView)


def check_name(block: Node, name: str, value: Any, *, slot: bool) -> None:
    """Refuse a name that is kuai's own, or under which the value could not be read or listed.

    Raises:
        RegistrationError: with the name and the remedy.
    """
    where = f"{type(block).__name__}.{name}"
    if name == "_kuai" or hasattr(type(block), name):
        _check_hidden(block, name, where, slot)
    if "." in name and (slot or holds_members(value)):
        raise RegistrationError(f"{where}: expected a name without dots, got {name!r}; rename it")


def _check_hidden(block: Node, name: str, where: str, slot: bool) -> None:
    owner = next((kind for kind in type(block).__mro__ if name in vars(kind)), Node)
    ours = owner.__module__.startswith("kuai.core.") and not name.startswith("__")
    if ours and name not in _OVERRIDABLE:
        raise RegistrationError(f"{where}: {name!r} is a name of kuai.Block itself; choose another")
    if slot:
        raise RegistrationError(
            f"{where}: the class has an attribute {name!r}, which would hide the array; rename one"
        )


def has_setter(block: Node, name: str) -> bool:
    """Whether the class handles assignments to this name: a property, a descriptor."""
    return hasattr(getattr(type(block), name, None), "__set__")


def is_member(item: Any) -> bool:
    """Whether an item is registered when it stands on a block."""
    return isinstance(item, (Node, Holder, *ARRAY_TYPES))


def holds_members(value: Any) -> bool:
    """Whether a value is, or holds at any depth, a block, a holder or an array."""
    if isinstance(value, (list, tuple, dict)):
        items: Iterable[Any] = raw_items(value)
        return any(map(holds_members, items))
    return is_member(value)


def raw_items(container: Any) -> Iterable[Any]:
    """The items as they are stored: holders, not their arrays."""
    if isinstance(container, dict):
        return dict.values(container)
    if isinstance(container, list):
        return list.__iter__(container)
    return tuple.__iter__(container) if isinstance(container, tuple) else container


def refuse_members(container: Any) -> None:
    """Refuse members in a container that kuai does not watch: they would be lost there.

    Raises:
        RegistrationError: a block, a holder or an array is in it.
    """
    if not isinstance(container, (list, dict, *_CLOSED)):
        return
    items = container if isinstance(container, _CLOSED) else raw_items(container)
    found = next((item for item in items if holds_members(item)), None)
    if found is not None:
        kind = type(container).__name__.removeprefix("Watched").lower()
        raise RegistrationError(
            f"a {kind} cannot hold a {type(found).__name__}: it would not be registered; use a "
            "list, a tuple or a dict"
        )


def check_keys(values: dict[Any, Any]) -> None:
    """Refuse keys of a dict under which members could not be told apart by path.

    Raises:
        RegistrationError: two keys look alike, or one has a dot or is empty.
    """
    paths: dict[str, Any] = {}
    for key, value in dict.items(values):
        if not holds_members(value):
            continue
        path = str(key)
        if not path or "." in path:
            raise RegistrationError(
                f"expected dict keys without dots that are not empty, got {key!r}; rename it"
            )
        if path in paths:
            raise RegistrationError(
                f"the dict keys {paths[path]!r} and {key!r} give two members the path {path!r}; "
                "rename one of them"
            )
        paths[path] = key


def check_tie(where: str, old: Any, new: Any) -> None:
    """Refuse a holder in the place of one of another shape.

    Raises:
        ShapeError: the known dimensions differ.
    """
    if not isinstance(old, Holder) or not isinstance(new, Holder):
        return
    fits = len(old.shape) == len(new.shape) and all(
        a is None or b is None or a == b for a, b in zip(old.shape, new.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"{where}: expected a parameter of shape {old.shape} to tie to, got {new.shape}; "
            "transpose in forward, or delete the attribute first"
        )


def check_overwritten(where: str, old: Any, value: Any) -> None:
    """Refuse what would throw a holder away by accident: anything but arrays, holders and None.

    Raises:
        RegistrationError: a list, a block or another object is assigned over a holder.
    """
    kept = isinstance(old, Holder) and not (isinstance(old, State) and not old.persistent)
    if kept and not isinstance(value, (Holder, *ARRAY_TYPES, type(None))):
        raise RegistrationError(
            f"{where}: expected an array, a number, a {type(old).__name__} or None, got "
            f"{type(value).__name__}; wrap it in jnp.asarray(...), or delete the attribute first"
        )
