"""One compiled program: a call with its blocks' arrays taken out as arguments.

Invariants a maintainer must not break:

* A program takes (arrays of its holders, [seed, key count], arrays of the call) and is pure. What
  the call wrote and how many keys it drew come back with the output, as `Effects`.
* The traced function reaches the blocks only while it is traced. Every array that it reads from a
  holder is an argument: a holder or block that was not foreseen stops the trace (`Unbound`), joins
  the arguments, and the trace starts again.
* What the traced function read from outside the call stands in `guards`.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from kuai import random
from kuai.core.binding import Unbound, bound_call, commit
from kuai.core.context import context, entered
from kuai.core.parameter import Holder
from kuai.core.signature import Template, split
from kuai.core.stack import storage
from kuai.core.tree import Node, walk
from kuai.errors import DeferredInitError
from kuai.hybrid.following import follow
from kuai.hybrid.guards import Guards
from kuai.hybrid.operators import new_trace
from kuai.hybrid.reports import Check, Report, Trips
from kuai.hybrid.trace import Options, Trace
from kuai.hybrid.undefined import used


class About:
    """The static part of `Effects`, told by identity. JAX's caches keep it: it keeps nothing alive.

    Attributes:
        template: of the output.
        outputs: the number of its arrays.
        holders: those written.
        draws: number of keys drawn, or -1: the last of the written values is the count.
        only_trips: whether nothing is written but the trips of loops.
        single: whether the output is one array.
    """

    __slots__ = ("_references", "draws", "only_trips", "outputs", "single", "template")

    def __init__(self, template: Template, outputs: int, holders: list[Holder], draws: int) -> None:
        self.template = template
        self.outputs = outputs
        self._references = list(map(weakref.ref, holders))
        self.draws = draws
        self.only_trips = draws >= 0 and all(isinstance(holder, Trips) for holder in holders)
        self.single = template.key == (jax.Array,)

    @property
    def holders(self) -> list[Holder]:
        return [holder for ref in self._references if (holder := ref()) is not None]


class Effects:
    """What a program returns when a plain tree of arrays does not say it all.

    Args:
        about: what the arrays are.
        leaves: the arrays of the output, the new values of holders, and maybe the count of keys.
    """

    __slots__ = ("about", "leaves")

    def __init__(self, about: About, leaves: Sequence[Any]) -> None:
        self.about = about
        self.leaves = leaves

    @property
    def written(self) -> Sequence[Any]:
        """The new values of holders, and maybe the count of keys."""
        return self.leaves[self.about.outputs :]

    def apply(self) -> Any:
        """Let the writes take effect and give the output."""
        commit(self.writes())
        return self.output()

    def raise_failed(self) -> None:
        """Raise for a check that failed, before anything else is done with the result."""
        for holder, value in zip(self.about.holders, self.written, strict=False):
            if isinstance(holder, Check):
                holder.store(value)

    def output(self) -> Any:
        return self.about.template.join(self.leaves)

    def writes(self) -> dict[Holder, Any]:
        """The new values; what is reported adds up inside a transform."""
        writes = dict(zip(self.about.holders, self.written, strict=False))
        scope = context.scope
        for holder in [holder for holder in writes if isinstance(holder, Report)]:
            if scope is not None:
                writes[holder] = scope.read(holder) + writes[holder]
            elif isinstance(writes[holder], jax.core.Tracer):
                holder.leave(writes.pop(holder))
        return writes


jax.tree_util.register_pytree_node(
    Effects,
    lambda effects: (effects.leaves, effects.about),
    Effects,  # flat and by itself: it is made on every call of a program with a loop
)


class Program:
    """A jitted call for one set of static arguments, one mode, and one structure of its blocks.

    Args:
        call: the function or block to run.
        template: the call's arguments without their arrays.
        holders: whose arrays the program takes.
        roots: the blocks that they stand on; a call of any other block stops the trace.
        options: of the block or function.

    Attributes:
        guards: what its traces read from outside.
        special: whether it draws keys or prints.
        traces: the records of its traces, one for each shape of the arguments.
        specs: for each trace the shapes of what the jitted function was given.
        compile_s: seconds that the last first call took, tracing and compiling included.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        template: Template,
        holders: list[Holder],
        roots: list[Node],
        options: Options,
    ) -> None:
        self.holders = holders
        self.draws = 0
        self.moved = False
        self.prints = False
        self.special = False
        self.guards = Guards()
        self.traces: list[Trace] = []
        self._options = options
        self._call = call
        self.template = template
        self.training = context.training
        self.compile_s: float | None = None
        self.specs: list[Any] = []
        self._trips: tuple[About, Sequence[Any]] | None = None
        self._known = frozenset(id(b) for root in roots for b in walk(root).blocks.values())
        self._here = {
            "training": context.training,
            "forced": context.forced,
            "stack": context.stack,
            "compute_dtype": context.compute_dtype,
        }
        self.jitted = jax.jit(self._traced)
        self.run = self._runner()

    def _runner(self) -> Callable[[Any], Any]:
        """What runs on a tuple of arrays and lets effects happen: the hot path, written flat."""
        jitted, holders = self.jitted, self.holders

        def run(inputs: Any) -> Any:
            if self.special:
                return self._applied(self.run_pure(inputs))
            try:
                result = jitted([*map(_array, holders)], None, inputs)
            except _NeedsKeysError:
                self.draws, self.special = 1, True
                return run(inputs)
            if type(result) is not Effects and not self.special:
                return result
            if type(result) is Effects and result.about.only_trips and not self.special:
                self._trips = result.about, result.written  # no more: a loop should cost little
                return result.leaves[0] if result.about.single else result.output()
            return self._applied(result)

        return run

    def run_in_scope(self, inputs: Any) -> Any:
        """The same where holders are read as they are bound in this thread."""
        return self._applied(self._result([_read(holder) for holder in self.holders], inputs))

    def run_pure(self, inputs: Any) -> Any:
        """The same without the effects: a result, or `Effects` to apply."""
        return self._result([holder._array for holder in self.holders], inputs)

    def _result(self, arrays: list[Any], inputs: Any) -> Any:
        if self.draws:
            return self._with_keys(arrays, inputs)
        try:
            return self.jitted(arrays, None, inputs)
        except _NeedsKeysError:
            self.draws, self.special = 1, True
            return self._with_keys(arrays, inputs)

    def report(self) -> None:
        """Let the reports have the trips of the last call."""
        if self._trips is not None:
            for holder, value in zip(self._trips[0].holders, self._trips[1], strict=True):
                holder.store(value)

    def outputs(self, inputs: Any, state: dict[str, int]) -> list[tuple[str, Any]]:
        """(place, output) of every block outside branches and loops, in order."""
        places: list[str] = []

        def traced(arrays: Any, ticket: Any, inputs: Any) -> list[Any]:
            seen: list[tuple[str, Any]] = []
            with entered(outputs=seen):
                self._traced(arrays, ticket, inputs)
            places[:] = [place for place, _ in seen]
            return [output for _, output in seen]

        arrays = [holder._array for holder in self.holders]
        ticket = np.array((state["seed"], state["count"]), np.uint32)
        found = jax.jit(traced)(arrays, ticket, inputs)
        return list(zip(places, found, strict=True))

    def _applied(self, result: Any) -> Any:
        if self.prints:
            jax.effects_barrier()  # what the program prints is there when the call returns
        return result.apply() if type(result) is Effects else result

    # ---- random keys

    def _with_keys(self, arrays: list[Any], inputs: Any) -> Any:
        """Run with the next keys of the stream. Each signature may draw another number of them."""
        if self.moved:
            return self._with_counted_keys(arrays, inputs)
        reserved = self.draws
        ticket = np.array(random.take(reserved), np.uint32)
        result = self.jitted(arrays, ticket, inputs)
        drawn = _drawn(result, int(ticket[1]))
        self.moved = type(result) is Effects and result.about.draws < 0
        if drawn != reserved:
            random.take(drawn - reserved)
            self.draws = max(drawn, 1)
        return result

    def _with_counted_keys(self, arrays: list[Any], inputs: Any) -> Any:
        """Run where only the program knows how many keys it draws: nobody draws meanwhile."""
        results: list[Any] = []

        def use(seed: int, first: int) -> int:
            results.append(self.jitted(arrays, np.array((seed, first), np.uint32), inputs))
            return first + _drawn(results[0], first)

        random.lend(use)
        return results[0]

    # ---- the traced function

    def _traced(self, arrays: list[jax.Array], ticket: jax.Array | None, inputs: Any) -> Any:
        """The pure function of arrays that is compiled."""
        args, kwargs = self.template.join(inputs)
        stream = _stream(ticket)
        visited: dict[int, Node] = {}
        trace = new_trace(self._options)
        trace.guards.arguments((*args, *kwargs.values()))
        with (
            trace.guards.restoring(),
            entered(compiling=True, inline=True, visited=visited, trace=trace, **self._here),
        ):
            output, writes = bound_call(
                lambda: trace.at_home(follow(self._call))(*args, **kwargs),
                dict(zip(self.holders, arrays, strict=True)),
                stream=stream,
                missing=lambda holder: _unforeseen(holder, self._known),
            )
            outside = _outside(self._known)
        if outside:
            raise Unbound([], outside)
        self._keep(trace)
        self.specs.append(jax.tree.map(_spec, (arrays, ticket, inputs)))
        return _packed(output, writes, stream)

    def _keep(self, trace: Trace) -> None:
        """Take over what a whole trace has recorded."""
        trace.guards.check_unchanged()
        self.guards.merge(trace.guards)
        self.prints = self.prints or trace.prints
        self.special = self.special or trace.prints
        trace.close()
        trace.guards = self.guards  # its own would keep alive what it met
        self.traces.append(trace)


def _read(holder: Holder) -> jax.Array | None:
    """What a holder is bound to; None where it has no shape yet, as in a layer never called."""
    try:
        return holder.read()
    except DeferredInitError:
        return None


_array = operator.attrgetter("_array")  # in a map it takes two thirds of a comprehension's time


class _NeedsKeysError(Exception):
    """A trace without a stream of keys draws one."""


def _spec(array: Any) -> jax.ShapeDtypeStruct:
    weak = bool(getattr(array, "weak_type", False))
    return jax.ShapeDtypeStruct(array.shape, array.dtype, weak_type=weak)


def _drawn(result: Any, first: int) -> int:
    if type(result) is not Effects:
        return 0
    if result.about.draws >= 0:
        return result.about.draws
    return (int(result.written[-1]) - first) % 2**32


def _stream(ticket: jax.Array | None) -> random.Stream:
    if ticket is None:
        return random.KeylessStream(_NeedsKeysError())
    return random.Stream(ticket[0], ticket[1])


def _unforeseen(holder: Holder, known: frozenset[int]) -> jax.Array:
    if not holder.settled:
        holder.concrete()
    raise Unbound([storage(holder)], _outside(known))


def _outside(known: frozenset[int]) -> list[Node]:
    """The blocks called in this trace that are not below the roots of the program."""
    return [block for key, block in (context.visited or {}).items() if key not in known]


def _packed(output: Any, writes: dict[Holder, Any], stream: random.Stream) -> Any:
    if not writes and not stream.draws and not stream.moved and _is_plain(output):
        return output
    arrays: list[Any] = []
    template = split(output, arrays, floats_traced=False)
    holders = sorted(writes, key=lambda holder: not isinstance(holder, Check))  # checks first
    written = [writes[holder] for holder in holders]
    if not stream.moved:
        about = About(template, len(arrays), holders, stream.draws)
        return Effects(about, [*arrays, *written])
    about = About(template, len(arrays), holders, -1)
    return Effects(about, [*arrays, *written, stream.count()])


def _is_plain(output: Any) -> bool:
    """Whether `jax.jit` gives back the very same tree."""
    leaves = jax.tree.leaves(output, is_leaf=lambda leaf: leaf is None)
    plain = [isinstance(used(leaf), jax.Array) for leaf in leaves]
    return all(plain)
