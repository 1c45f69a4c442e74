"""A piece of converted code staged: traced by itself, with all that it changes as its outputs.

Invariants a maintainer must not break:

* Whatever a region changes is carried: its variables, attributes of plain objects, holders of
  blocks (through a `Scope` of its own), and the count of random keys. What it first changes while
  it is traced joins, and it is traced again.
* After the trace everything is as it was before: no tracer of a region is left anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp

from kuai import random
from kuai.core.context import Scope, context, scoped
from kuai.core.parameter import Holder
from kuai.core.signature import Template, children
from kuai.errors import DeferredInitError, DynamicRecursionError, UndefinedVariableError
from kuai.hybrid.leaves import flatten, is_array, is_numeric
from kuai.hybrid.places import Where, told_place
from kuai.hybrid.trace import DEEPEST, Trace, current, read_attribute, set_attribute

Get = Callable[[], tuple[Any, ...]]
Put = Callable[[Sequence[Any]], None]


class Outputs:
    """What a region leaves: leaves of every carried value, arrays as types.

    Attributes:
        jaxpr: closed; inputs are the arrays given, outputs the arrays among the leaves.
        leaves: for each carried value its leaves; an array is an `Out`.
        templates: for each carried value how to put it together.
    """

    def __init__(self, jaxpr: Any, leaves: list[list[Any]], templates: list[Template]) -> None:
        self.jaxpr = jaxpr
        self.leaves = leaves
        self.templates = templates

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """Evaluate on arrays: the arrays among the outputs."""
        result: list[Any] = jax.core.eval_jaxpr(self.jaxpr.jaxpr, self.jaxpr.consts, *arrays)
        return result


class Out:
    """An array among the outputs of a region: its place and its type."""

    __slots__ = ("aval", "place")

    def __init__(self, place: int, aval: Any) -> None:
        self.place = place
        self.aval = aval


class Region:
    """The things that a statement changes.

    Args:
        get: reads the variables; put: sets them.
        names: of the variables.
        where: of the statement.
    """

    def __init__(self, get: Get, put: Put, names: Sequence[str], where: Where) -> None:
        trace = current()
        assert trace is not None  # noqa: S101  # operators stage only in a trace
        self.trace: Trace = trace
        self.where = where
        self._get, self._put, self._names = get, put, list(names)
        self._attributes = list(trace.attributes)
        self._holders: list[Holder] = []
        self._draws = False

    # ---- the carried values, in order: variables, attributes, holders, count of keys

    def values(self) -> list[Any]:
        """What they are now."""
        holders = [self._read(holder) for holder in self._holders]
        return [*self._get(), *map(self._attribute, self._attributes), *holders, *self._count()]

    def assign(self, values: Sequence[Any]) -> None:
        """Set them for good."""
        variables, attributes, holders, count = self._split(values)
        self._put(variables)
        self._set_attributes(attributes)
        for holder, value in zip(self._holders, holders, strict=True):
            if context.scope is not None:
                context.scope.write(holder, value)
        for value in values:
            self._own(value)
        stream = random.current_stream()
        if count and stream is not None:
            stream.move(count[0])

    def label(self, index: int) -> str:
        """The name of a carried value, for messages."""
        if index < len(self._names):
            name = self._names[index]
            return "the returned value" if name.startswith("_kuai_") else f"`{name}`"
        index -= len(self._names)
        if index < len(self._attributes):
            owner, _ = self.trace.attributes[self._attributes[index]]
            return f"`{type(owner).__name__}.{self._attributes[index][1]}`"
        index -= len(self._attributes)
        return f"a {type(self._holders[index]).__name__}" if index < len(self._holders) else "a key"

    def stage(
        self, run: Callable[[], Any], values: Sequence[Any], *, closed: bool = False
    ) -> Outputs | None:
        """Trace `run` from these values.

        Args:
            run: the region's code.
            values: what is carried, at its start.
            closed: whether it always starts from these very arrays, which then are no inputs.

        Returns:
            None if it changes more than was known: the values have grown.
        """
        inputs: list[list[Any]] = []
        templates = [flatten(value, _appended(inputs)) for value in values]
        arrays = [x for leaves in inputs for x in leaves if is_array(x) and not closed]
        found: dict[str, Any] = {}

        def traced(arrays: list[Any]) -> list[Any]:
            given = iter(arrays)
            filled = inputs
            if not closed:
                filled = [[next(given) if is_array(x) else x for x in ls] for ls in inputs]
            start = [t.join(leaves) for t, leaves in zip(templates, filled, strict=True)]
            found["leaves"], found["templates"], found["more"] = self._run(run, start)
            return [jnp.asarray(x) for leaves in found["leaves"] for x in leaves if is_array(x)]

        jaxpr = jax.make_jaxpr(traced)(arrays)
        if found["more"]:
            return None
        places = iter(enumerate(jaxpr.out_avals))
        outs = [[Out(*next(places)) if is_array(x) else x for x in ls] for ls in found["leaves"]]
        return Outputs(jaxpr, outs, found["templates"])

    # ---- one trace

    def _run(self, run: Callable[[], Any], start: list[Any]) -> tuple[Any, Any, bool]:
        variables, attributes, holders, count = self._split(start)
        before = self._get(), [self._attribute(key) for key in self._attributes]
        stream = random.current_stream()
        scope = Scope(dict(zip(self._holders, holders, strict=True)))
        drawing = stream.starting_at(count[0] if count else stream.count()) if stream else None
        self._check_depth()
        known = self.trace.snapshot()
        with scoped(scope), self.trace.deeper(), drawing or nullcontext():
            try:
                self._put(variables)
                self._set_attributes(attributes)
                run()
                drew = stream is not None and (stream.draws > 0 or stream.moved)
                more = self._grow(scope, drew)
                leaves, templates = self._leaves([] if more else self.values())
            finally:
                self._restore(*before)
        known.check(self.where)
        return leaves, templates, more

    def _leaves(self, values: list[Any]) -> tuple[list[list[Any]], list[Template]]:
        leaves: list[list[Any]] = []
        return leaves, [flatten(value, _appended(leaves)) for value in values]

    def _grow(self, scope: Scope, drew: bool) -> bool:
        """Take what the trace changed into account; whether that is more than was known."""
        attributes = [
            key
            for key, (owner, _) in self.trace.attributes.items()
            if key not in self._attributes and self.trace.depth_of(owner) < self.trace.depth
        ]
        holders = [holder for holder in scope.written if holder not in self._holders]
        grown = bool(attributes or holders or (drew and not self._draws))
        self._attributes += attributes
        self._holders += holders
        self._draws = self._draws or drew
        return grown

    def _restore(self, variables: Sequence[Any], attributes: Sequence[Any]) -> None:
        self._put(variables)
        self._set_attributes(attributes)
        for key, (owner, value) in list(self.trace.attributes.items()):
            if self.trace.depth_of(owner) >= self.trace.depth:
                del self.trace.attributes[key]  # the object was made in this trace and is gone
            elif key not in self._attributes[: len(attributes)]:
                set_attribute(owner, key[1], value)

    def _split(self, values: Sequence[Any]) -> tuple[Any, Any, Any, Any]:
        ends = [len(self._names), len(self._attributes), len(self._holders)]
        a, b, c = ends[0], ends[0] + ends[1], sum(ends)
        return values[:a], values[a:b], values[b:c], values[c:]

    def _attribute(self, key: tuple[int, str]) -> Any:
        return read_attribute(self.trace.attributes[key][0], key[1])

    def _set_attributes(self, values: Sequence[Any]) -> None:
        for key, value in zip(self._attributes, values, strict=False):
            set_attribute(self.trace.attributes[key][0], key[1], value)

    def _read(self, holder: Holder) -> Any:
        try:
            return holder.read()
        except DeferredInitError:
            raise UndefinedVariableError(
                f"{told_place(self.where)}an attribute of a block gets its first value inside a "
                "branch or loop on arrays, which may not run; expected it to have one before: "
                "make it kuai.State in __init__"
            ) from None

    def _count(self) -> list[Any]:
        stream = random.current_stream()
        return [stream.count()] if self._draws and stream is not None else []

    def _own(self, value: Any) -> None:
        """What is put together from leaves was made here."""
        parts = None if value is None or is_numeric(value) else children(value)
        if parts is not None:
            self.trace.made(value)
            for item in parts[2]:
                self._own(item)

    def _check_depth(self) -> None:
        if self.trace.depth >= DEEPEST:
            raise DynamicRecursionError(
                f"{told_place(self.where)}branches and loops on arrays are nested more than "
                f"{DEEPEST} deep; a recursion that an array stops cannot be compiled: write it as "
                "a while loop"
            )


def _appended(lists: list[list[Any]]) -> list[Any]:
    lists.append([])
    return lists[-1]
