"""Changes of watched containers: refused in a compiling trace, undone after a dry run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kuai.core.admission import refuse_members
from kuai.core.context import DryRun, context, epoch


def current_dry_run() -> DryRun | None:
    """The run of this thread whose changes will be undone, if one is under way."""
    return None if context.scope is None else context.scope.dry_run


def _changing(watched: Any) -> None:
    """Before a change: refuse it in a compiling trace, note how to undo it in a dry run.

    What was made in the dry run itself stays as it is: a block that forward makes once keeps it.
    """
    epoch.guard()
    dry_run = current_dry_run()
    if dry_run is not None and watched.born != id(dry_run):
        dry_run.always.append(_restorer(watched))


def _restorer(watched: Any) -> Callable[[], None]:
    base: Any = next(kind for kind in (list, dict, set) if isinstance(watched, kind))
    before = base(base.items(watched)) if base is dict else base(base.__iter__(watched))

    def restore() -> None:
        base.clear(watched)
        (list.extend if base is list else base.update)(watched, before)

    return restore


def mutator(base: type, name: str) -> Callable[..., Any]:
    """A mutator of `base` that bumps the epoch."""
    original = getattr(base, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        _changing(self)
        try:
            return original(self, *args, **kwargs)
        finally:
            epoch.bump()

    method.__name__, method.__doc__ = name, original.__doc__
    return method


def adding_mutator(base: type, name: str) -> Callable[..., Any]:
    """A mutator of `base` that takes several items, none of which may be a member."""
    change = mutator(base, name)

    def method(self: Any, *items: Any) -> Any:
        several = [set(item) for item in items]
        for item in several:
            refuse_members(item)
        return change(self, *several)

    method.__name__, method.__doc__ = name, getattr(base, name).__doc__
    return method
