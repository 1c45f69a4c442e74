"""What the current thread is doing: which values are bound, which mode is on, which blocks run.

Invariants a maintainer must not break:

* Tracers live in a `Scope` of the tracing thread, never in a `Holder`. Several threads may call one
  net while others trace it.
* `epoch.value` changes after every change that could change what some forward does. Its value has
  no meaning but inequality with an earlier value.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state

from kuai.errors import HybridizeError

if TYPE_CHECKING:
    from kuai.core.parameter import Holder
    from kuai.core.tree import Node


class Epoch:
    """The structure epoch: one integer for the whole process, new after every structural change."""

    __slots__ = ("_counter", "value")

    def __init__(self) -> None:
        self._counter = itertools.count(1)
        self.value = 0

    def bump(self) -> None:
        self.value = next(self._counter)

    def guard(self) -> None:
        """Refuse a structural change that would happen once a compile instead of once a call."""
        if context.compiling:
            raise HybridizeError(
                "forward changes the structure of a block (a list, a dict, a sub-block, a "
                "parameter, a mode or a hook) while it is being compiled: the change would happen "
                "once, not on every call; keep what changes in kuai.State, or call hybridize(False)"
            )


epoch = Epoch()


class DryRun:
    """What a run that only settles shapes has to undo."""

    __slots__ = ("always", "on_failure")

    def __init__(self) -> None:
        self.always: list[Callable[[], None]] = []
        self.on_failure: list[Callable[[], None]] = []

    def finish(self, failed: bool) -> None:
        for undo in reversed(self.always + (self.on_failure if failed else [])):
            undo()


class Scope:
    """Values bound to holders while a function of arrays is traced.

    Where a `Stack` is bound, its rows read as pieces of it. A row that is bound or written by
    itself stands before the stack that is bound in the same scope or further out.

    Args:
        values: holder → array bound at entry.
        missing: asked for a holder that is not bound here. Without it the enclosing scope answers,
            and at last the holder's own array.
    """

    __slots__ = ("_given", "_pieces", "dry_run", "missing", "parent", "values", "written")

    def __init__(
        self,
        values: dict[Holder, jax.Array],
        missing: Callable[[Holder], jax.Array] | None = None,
    ) -> None:
        self.values = values
        self.written: dict[Holder, None] = {}
        self._given = frozenset(values)
        self._pieces: dict[Holder, tuple[Any, Any, Any]] = {}
        self.missing = missing
        self.parent: Scope | None = None
        self.dry_run: DryRun | None = None

    def read(self, holder: Holder) -> jax.Array:
        apart = self.apart(holder) if holder.rows else []
        scope: Scope | None = self
        while scope is not None:
            value = scope._value(holder)
            if value is None and scope.missing is not None and not holder.anew:
                value = scope.missing(holder)
            if value is not None:
                return self._with_rows(holder, value, apart)
            scope = scope.parent
        return self._with_rows(holder, holder.concrete(), apart)

    def write(self, holder: Holder, value: jax.Array) -> None:
        self._forget(holder.rows)
        self.values[holder] = value
        self.written[holder] = None

    def writes(self) -> dict[Holder, jax.Array]:
        """Every holder that was written here, with its last value; rows as their stack."""
        homes = dict.fromkeys(map(self._home, self.written))
        return {holder: self.read(holder) for holder in homes}

    def apart(self, stack: Holder) -> list[int]:
        """The rows of a stack that stand before it: those bound or written by themselves."""
        found: dict[int, None] = {}
        scope: Scope | None = self
        while scope is not None:
            found |= {i: None for i, row in enumerate(stack.rows) if scope._binds(row)}
            if scope._holds(stack):
                break
            scope = scope.parent
        return list(found)

    # ---- rows and stacks

    def _value(self, holder: Holder) -> jax.Array | None:
        value = self.values.get(holder)
        if value is None and holder.row is not None:
            stack, index = holder.row
            whole = self._value(stack)
            return None if whole is None else self._piece(stack, whole, index)
        return value

    def _piece(self, stack: Holder, whole: jax.Array, index: int) -> jax.Array:
        """A row. They are taken apart together, so that their gradients come together at once.

        And anew in each function that JAX traces by itself: its arrays must not leave it.
        """
        level = get_opaque_trace_state()
        known = self._pieces.get(stack)
        if known is None or known[0] is not whole or known[1] != level:
            known = self._pieces[stack] = whole, level, jax.lax.unstack(whole)
        piece: jax.Array = known[2][index]
        return piece

    def _with_rows(self, stack: Holder, value: jax.Array, apart: list[int]) -> jax.Array:
        if len(apart) == len(stack.rows) > 0:
            return jnp.stack([self.read(row) for row in stack.rows])
        for index in apart:
            value = value.at[index].set(self.read(stack.rows[index]))
        return value

    def _binds(self, holder: Holder) -> bool:
        """Whether a holder, or a row of it, is bound or was written here."""
        return holder in self.values or any(map(self._binds, holder.rows))

    def _holds(self, holder: Holder) -> bool:
        """Whether a holder, or the stack that it is a row of, is bound here."""
        return holder in self.values or (holder.row is not None and self._holds(holder.row[0]))

    def _home(self, holder: Holder) -> Holder:
        """What is written where a holder is: its stack, unless the holder itself was bound."""
        while holder.row is not None and holder not in self._given:
            holder = holder.row[0]
        return holder

    def _forget(self, rows: tuple[Holder, ...]) -> None:
        for row in rows:
            self._forget(row.rows)
            self.values.pop(row, None)
            self.written.pop(row, None)


TRAINING, FORCED, SCOPED, INLINE, CASTING = 1, 2, 4, 8, 16


class Context(threading.local):
    """The state of this thread. Class attributes are the defaults of a new thread.

    `flags` sums up `training`, `forced`, `scope`, `inline` and `compute_dtype`, for the hot path to
    read at once.
    """

    flags: int = 0
    scope: Scope | None = None
    training: bool = False
    forced: bool = False  # the mode was chosen by train_mode(), eval_mode() or a pinned block
    inline: bool = False  # hybridized blocks run as plain Python here
    compiling: bool = False
    inferring: bool = False
    visited: dict[int, Node] | None = None  # every block that a compiling trace has called
    outputs: list[tuple[str, Any]] | None = None  # (place, output) of blocks, where they are wanted
    derived: Any = None  # (block, its reparametrized arrays) while its forward runs
    captures: Any = None  # what `kuai.capture` gathers; `capture.Captures`
    compute_dtype: str | None = None  # of the policy that is in force
    trace: Any = None  # what a compiling trace records; `hybrid.trace.Trace`
    stack: tuple[Node, ...] = ()


context = Context()


def following(function: Any) -> Any:
    """A user's function as it is to be called here: converted, in a compiling trace."""
    return function if context.trace is None else context.trace.follow(function)


@contextmanager
def entered(**values: Any) -> Iterator[None]:
    """Set fields of the thread's context and put the old ones back at the end."""
    before = {name: getattr(context, name) for name in (*values, "flags")}
    context.__dict__.update(values)
    context.flags = (
        TRAINING * context.training
        + FORCED * context.forced
        + SCOPED * (context.scope is not None)
        + INLINE * context.inline
        + CASTING * (context.compute_dtype is not None)
    )
    try:
        yield
    finally:
        context.__dict__.update(before)


@contextmanager
def scoped(scope: Scope) -> Iterator[Scope]:
    """Make `scope` the innermost scope of this thread."""
    scope.parent = context.scope
    if scope.parent is not None and scope.dry_run is None:
        scope.dry_run = scope.parent.dry_run
    with entered(scope=scope):
        yield scope
