"""Forward hooks: functions called before and after a block's forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from kuai.core.context import epoch, following
from kuai.core.internals import Internals
from kuai.errors import ArgumentError

Place = Literal["before", "after"]


class Hook:
    """A registered hook; `remove()` takes it off, as leaving a `with` block does."""

    def __init__(self, internals: Internals, place: Place, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise ArgumentError(f"hook: expected a function, got {type(function).__name__}")
        self._internals, self._place, self._function = internals, place, function
        self._active = True
        self._set((*self._hooks(), function))

    def _hooks(self) -> tuple[Callable[..., Any], ...]:
        hooks: tuple[Callable[..., Any], ...] = getattr(self._internals, self._place)
        return hooks

    def _set(self, hooks: tuple[Callable[..., Any], ...]) -> None:
        epoch.guard()
        setattr(self._internals, self._place, hooks)
        epoch.bump()

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        hooks = list(self._hooks())
        if self._active and self._function in hooks:
            hooks.remove(self._function)
            self._set(tuple(hooks))
        self._active = False

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def changed_inputs(hooks: tuple[Callable[..., Any], ...], block: Any, inputs: Any) -> Any:
    """The inputs after the hooks before forward."""
    for hook in hooks:
        changed = following(hook)(block, inputs)
        if changed is not None:
            inputs = changed if isinstance(changed, tuple) else (changed,)
    return inputs


def changed_output(
    hooks: tuple[Callable[..., Any], ...], block: Any, inputs: Any, output: Any
) -> Any:
    """The output after the hooks behind forward."""
    for hook in hooks:
        changed = following(hook)(block, inputs, output)
        output = output if changed is None else changed
    return output
