"""Running equal layers: one by one, or one of them for all in a `lax.scan`.

Invariants a maintainer must not break:

* Both draw the same random keys and leave the same values behind.
* What a layer writes is either a row of a stack, and comes out by layer, or an array that all
  layers share, and is carried from layer to layer.
* A layer that changes anything else is run one by one. What the attempt changed is put back.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.binding import commit
from kuai.core.context import Scope, context, entered, scoped
from kuai.core.likeness import Likeness
from kuai.core.parameter import Holder
from kuai.core.remat import function_of_jax, run_again
from kuai.core.tree import here
from kuai.errors import DtypeError, HybridizeError, ShapeError
from kuai.random import current_stream


class Run(NamedTuple):
    """A call of repeated layers.

    Attributes:
        layers: in their order.
        inputs, keywords: for every layer.
        rows: keyword → tree of arrays with a row for each layer.
        policy: what `jax.checkpoint` may store, or None.
    """

    layers: list[Any]
    inputs: tuple[Any, ...]
    keywords: dict[str, Any]
    rows: dict[str, Any]
    policy: Any

    def call(self, layer: Any, x: Any, given: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
        """(what the next layer gets, what else a layer returns)."""
        return _parted(layer, x, layer(x, *self.inputs, **given, **self.keywords))


class _OneByOne(BaseException):  # a signal that no forward may catch
    """One layer cannot stand for all."""


def one_by_one(run: Run, x: Any) -> Any:
    """The layers in a loop of Python."""
    further = []
    for index, layer in enumerate(run.layers):
        given = jax.tree.map(lambda rows: rows[index], run.rows)  # noqa: B023  # used at once
        if run.policy is None:
            x, more = run.call(layer, x, given)
        else:
            forward = functools.partial(run.call, layer, x, given)
            x, more = run_again(layer, run.policy, forward, (x, given))
        further.append(more)
    return _result(x, jax.tree.map(lambda *rows: jnp.stack(rows), *further) if further else ())


def scanned(run: Run, alike: Likeness, unroll: int | bool, x: Any) -> Any:
    """The first layer for all, in a loop of the program; one by one where that cannot be."""
    _guard(alike.objects)
    rows = [place for place in alike.places if place[0].ready]
    trip = _Trip(run, run.layers[0], [place[0] for place in rows])
    stacks: list[Any] = [place[0].row[0] for place in rows if place[0].row is not None]
    given = run.rows, [stack.read() for stack in stacks]
    x = jax.tree.map(jnp.asarray, x)
    try:
        trip.learn(x, jax.tree.map(lambda rows: rows[0], given))
    except _OneByOne:
        return one_by_one(run, x)
    n = len(run.layers)
    carry = trip.carry(x)
    indices = jnp.arange(n, dtype=jnp.uint32)
    step = _with_policy(trip.step, run.policy)
    carry, (further, written) = jax.lax.scan(step, carry, (indices, given), unroll=unroll)
    commit(dict(zip([stacks[i] for i in trip.written], written, strict=True)))
    return _result(trip.finish(carry, n), further)


def _guard(objects: list[Any]) -> None:
    """What other layers have in the places of the first's: a program must know if it changes."""
    if context.trace is not None:
        for value in objects:
            context.trace.guards.escapes(value)


def _with_policy(step: Any, policy: Any) -> Any:
    return (
        step
        if policy is None
        else jax.checkpoint(step, policy=function_of_jax(policy), prevent_cse=False)
    )


@dataclass(eq=False)
class _Trip:
    """A layer as a function of arrays.

    Attributes:
        run: the call.
        layer: whose forward it is.
        rows: its holders that differ from layer to layer.
        written: which of them it writes.
        carried: other holders that it writes.
        draws: the keys that it draws.
        moved: whether only the program knows how many these are.
    """

    run: Run
    layer: Any
    rows: list[Holder]
    written: list[int] = field(default_factory=list)
    carried: list[Holder] = field(default_factory=list)
    draws: int = 0
    moved: bool = False

    def learn(self, x: Any, given: Any) -> None:
        """Trace a trip until all that it changes is known.

        Raises:
            _OneByOne: it changes what no loop can carry.
        """
        while True:
            known = len(self.carried), self.moved
            self._start = None if self._stream is None else self._stream.count()
            jax.eval_shape(self.step, self.carry(x), (jnp.uint32(0), given))
            if known == (len(self.carried), self.moved):
                return

    def carry(self, x: Any) -> Any:
        """What goes from layer to layer: the input, what is written, the count of keys."""
        count = self._start if self.moved else None
        return x, [holder.read() for holder in self.carried], count

    def step(self, carry: Any, given: Any) -> Any:
        """A trip: (carry, (further outputs, new values of rows))."""
        x, held, count = carry
        index, (rows, arrays) = given
        values = dict(zip((*self.rows, *self.carried), (*arrays, *held), strict=True))
        scope = Scope(values)
        with self._inside(scope, index, count):
            x, further = self.run.call(self.layer, x, rows)
            writes, count = scope.writes(), self._count(count)
        self._take(writes)
        held = [scope.values.get(h, writes.get(h)) for h in self.carried]
        return (x, held, count), (further, [writes[self.rows[i]] for i in self.written])

    def finish(self, carry: Any, trips: int) -> Any:
        """Let what was carried take effect; the output of the last layer."""
        x, held, count = carry
        for holder, value in zip(self.carried, held, strict=True):
            if holder.anew and context.scope is None:  # a report in a raw transform
                holder.leave(value)  # type: ignore[attr-defined]  # it is a report
            else:
                commit({holder: value})
        if self._stream is not None and self.moved:
            self._stream.move(count)
        elif self._stream is not None:
            self._stream.draws += trips * self.draws
        return x

    # ---- one trace

    @property
    def _stream(self) -> Any:
        return current_stream()

    @contextmanager
    def _inside(self, scope: Scope, index: Any, count: Any) -> Iterator[None]:
        trace, drawing = context.trace, nullcontext()
        if self._stream is not None:
            fixed = self._start + index * np.uint32(self.draws)
            drawing = self._stream.starting_at(fixed if count is None else count)
        with scoped(scope), trace.body() as changed, entered(outputs=None), drawing:
            try:
                yield
            except HybridizeError as error:
                raise _OneByOne() from error
        if changed:
            raise _OneByOne()

    def _count(self, before: Any) -> Any:
        """Note the keys that were drawn; their count, where it is carried."""
        if self._stream is None:
            return None
        self.moved = self.moved or self._stream.moved
        self.draws = self._stream.draws
        return None if before is None else self._stream.count()

    def _take(self, writes: dict[Holder, Any]) -> None:
        """Note what was written."""
        self.written = [i for i, row in enumerate(self.rows) if row in writes]
        for holder in writes:
            if holder not in self.rows and holder not in self.carried:
                if not holder.anew and not holder.ready:
                    raise _OneByOne()
                self.carried.append(holder)


def _parted(layer: Any, x: Any, output: Any) -> tuple[Any, tuple[Any, ...]]:
    structure: Any = jax.tree.structure(x)
    further: tuple[Any, ...] = ()
    if jax.tree.structure(output) != structure and isinstance(output, tuple) and output:
        output, *rest = output
        further = tuple(rest)
    if jax.tree.structure(output) != structure:
        raise ShapeError(
            f"{_place(layer)}: expected a layer that returns what it takes, {structure}, and maybe "
            f"more behind it in a tuple, got {jax.tree.structure(output)}; change what it returns"
        )
    for old, new in zip(jax.tree.leaves(x), jax.tree.leaves(output), strict=True):
        _check_kept(layer, old, new)
    return output, further


def _check_kept(layer: Any, old: Any, new: Any) -> None:
    if np.shape(old) != np.shape(new):
        raise ShapeError(
            f"{_place(layer)}: expected a layer that keeps the shape {np.shape(old)} of its input, "
            f"got {np.shape(new)}; change its last layer, or put what changes the shape before the "
            "nn.Repeat"
        )
    before, after = jnp.result_type(old), jnp.result_type(new)
    if before != after:
        raise DtypeError(
            f"{_place(layer)}: expected a layer that keeps the dtype {before} of its input, got "
            f"{after}; cast the input with x.astype({str(after)!r}), or the layers with "
            f".astype({str(before)!r})"
        )


def _place(layer: Any) -> str:
    with entered(stack=(*context.stack, layer)):
        return str(here())


def _result(x: Any, further: Any) -> Any:
    return (x, *further) if further else x
