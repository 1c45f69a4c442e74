"""What kuai keeps on a block beside the user's attributes, and how blocks are made."""

from __future__ import annotations

import abc
import inspect
import types
from collections.abc import Callable
from typing import Any

from kuai.core.changes import current_dry_run
from kuai.core.context import context, epoch
from kuai.core.modes import Mode
from kuai.core.unbound import check_bound
from kuai.errors import RegistrationError

_IDENTITY = ("__eq__", "__hash__")


class Internals:
    """The state of one block, under its only reserved name, `_kuai`.

    Attributes:
        slots: name → holder, or tuple with holders in it: what is read through `__getattr__`.
        mode: pinned mode.
        before, after: forward hooks.
        hybrid: options of `hybridize`; "auto": none was called; None: plain Python.
        compiled: what runs the block compiled.
        building: whether its `__init__` is under way.
        sources: while building, (name, container, its items when it was assigned).
        arguments: the constructor's arguments, in brief, for `repr`.
        ready_at: the epoch at which its parameters were seen to have values.
        temporary: whether it was made while a forward runs.
        born: the dry run in which it was made.
        stacks: of a `Repeat`, the stacks of its layers' arrays.
        gathered_at: the epoch at which these were seen to be right.
        captures: selection → the transform that captures it.
        policy: the dtypes of the tree below; a `policy.Policy`.
        derived: name of a parameter → names of the blocks beside it that its value goes through.
        remat: what is kept on the way there, where forward runs again on the way back.
    """

    __slots__ = (
        "after",
        "arguments",
        "before",
        "born",
        "building",
        "captures",
        "compiled",
        "derived",
        "gathered_at",
        "hybrid",
        "mode",
        "policy",
        "ready_at",
        "remat",
        "slots",
        "sources",
        "stacks",
        "temporary",
    )

    def __init__(self) -> None:
        self.slots: dict[str, Any] = {}
        self.mode: Mode = "auto"
        self.before: tuple[Callable[..., Any], ...] = ()
        self.after: tuple[Callable[..., Any], ...] = ()
        self.hybrid: dict[str, Any] | str | None = "auto"
        self.compiled: Callable[..., Any] | None = None
        self.building = True
        self.sources: list[tuple[str, Any, list[Any]]] = []
        self.arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self.ready_at = -1
        self.temporary = bool(context.stack)
        self.born = id(current_dry_run())
        self.stacks: list[Any] = []
        self.gathered_at = -1
        self.captures: dict[Any, Callable[..., Any]] = {}
        self.derived: dict[str, tuple[str, ...]] = {}
        self.remat: Any = None
        self.policy: Any = None

    def __getstate__(self) -> dict[str, Any]:
        kept = ("mode", "before", "after", "hybrid", "arguments", "remat", "policy")
        copied = {"slots": dict(self.slots), "derived": dict(self.derived)}
        return {**copied, **{name: getattr(self, name) for name in kept}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]  # the defaults, then what was kept
        for name, value in state.items():
            setattr(self, name, value)
        self.building = False


class _ConstructorSignature:
    """What `inspect` reads of a block's class; it would else show the metaclass's `__call__`.

    It has no `__set__`, so a class that states a `__signature__` of its own keeps it.
    """

    def __get__(self, cls: Any, meta: Any = None) -> Any:
        if cls is None:
            return None  # inspect asks the metaclass for its own, and has it without this
        return inspect.signature(_constructor(cls))


def _constructor(cls: Any) -> types.MethodType:
    """A class's `__init__`, without its `self`."""
    return types.MethodType(cls.__init__, cls)


class BlockMeta(abc.ABCMeta):
    """Knows when a block is under construction, and bumps the epoch when a class changes."""

    _kuai_version = 0
    __signature__ = _ConstructorSignature()

    def __init__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_: Any
    ) -> None:
        super().__init__(name, bases, namespace)
        _check_class(cls)
        type.__setattr__(cls, "_kuai_is_operator", hasattr(cls, "backward"))

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            block = super().__call__(*args, **kwargs)
        except TypeError as error:
            check_bound(cls.__name__, _constructor(cls), args, kwargs, error)
            raise
        internals = getattr(block, "_kuai", None)
        if isinstance(internals, Internals) and internals.building:
            internals.arguments = (
                _brief(args),
                dict(zip(kwargs, _brief(kwargs.values()), strict=True)),
            )
            block._kuai_finish()
            internals.building = False
            epoch.bump()
        return block

    def __setattr__(cls, name: str, value: Any) -> None:
        if not _set_by_dataclass(name, value):
            super().__setattr__(name, value)
        if not name.startswith(("_abc_", "__abstractmethods__")):
            _changed(cls)

    def __delattr__(cls, name: str) -> None:
        super().__delattr__(name)
        _changed(cls)


def _changed(cls: BlockMeta) -> None:
    """Give a class and all below it a new version."""
    pending: list[Any] = [cls]
    while pending:
        kind = pending.pop()
        type.__setattr__(kind, "_kuai_version", kind._kuai_version + 1)
        type.__setattr__(kind, "_kuai_is_operator", hasattr(kind, "backward"))
        pending += type.__subclasses__(kind)
    epoch.bump()


def _check_class(cls: type) -> None:
    """Refuse classes whose blocks kuai could not tell apart, or whose attributes it could not see.

    Raises:
        RegistrationError: the class, or a base of it, defines `__eq__`, `__hash__` or `__slots__`.
    """
    if any(getattr(cls, name) is not getattr(object, name) for name in _IDENTITY):
        owner = next(kind for kind in cls.__mro__ if {*_IDENTITY} & {*vars(kind)})
        raise RegistrationError(
            f"{cls.__name__}: {owner.__name__} defines __eq__ or __hash__, but blocks are told "
            "apart by identity; give the comparison another name"
        )
    slots = [name for kind in cls.__mro__ for name in _slots(kind)]
    if slots:
        raise RegistrationError(
            f"{cls.__name__}: expected a class without __slots__, got {', '.join(slots)}: kuai "
            "would not see blocks and parameters there; leave __slots__ out"
        )


def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    return [name for name in ((slots,) if isinstance(slots, str) else slots) if name[:2] != "__"]


def _set_by_dataclass(name: str, value: Any) -> bool:
    """Whether @dataclass sets this on a class: it would compare and show blocks by fields."""
    if name == "__hash__":
        return value is None
    if name not in ("__eq__", "__repr__"):
        return False
    code = getattr(inspect.unwrap(value), "__code__", None)
    return code is not None and code.co_filename == "<string>"  # dataclasses write it as text


def _brief(values: Any) -> tuple[Any, ...]:
    """What `repr` may show of a constructor's arguments, without keeping big things alive."""
    plain = (int, float, str, bool, type(None))
    return tuple(v if isinstance(v, plain) else Elided(type(v).__name__) for v in values)


class Elided:
    """Stands in a repr for an argument that was not kept."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"
