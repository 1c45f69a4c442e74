"""`while` and `for` on arrays."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kuai.errors import HybridizeError, HybridizeWarning, LoopLimitError
from kuai.hybrid import loops, reports
from kuai.hybrid.branch import and_, branch, truth
from kuai.hybrid.carry import Carry, carried
from kuai.hybrid.identity import changeable_parts
from kuai.hybrid.iteration import Stepped, stepped
from kuai.hybrid.leaves import is_traced
from kuai.hybrid.places import Where, told_place, users_level
from kuai.hybrid.reads import consuming
from kuai.hybrid.region import Get, Outputs, Put, Region
from kuai.hybrid.trace import Staged, Trace, current
from kuai.hybrid.undefined import used

Thunk = Callable[[], Any]
_UNROLLED = 16  # trips over an array that are written out
_MANY = 512  # trips of a loop in Python after which a warning says so


class Variables(NamedTuple):
    """The variables that a loop assigns, and those among them that it counts (`n += 1`)."""

    get: Get
    put: Put
    names: Sequence[str]
    counted: Sequence[str]


def repeat(
    test: Thunk,
    body: Thunk,
    get: Get,
    put: Put,
    names: Sequence[str],
    counted: Sequence[str],
    where: Where,
) -> None:
    """`while test(): body()`; from the first test on that asks an array it is a compiled loop."""
    trips = 0
    while True:
        condition = test()
        if is_traced(condition) and current() is not None:
            break
        if not used(condition):
            return
        body()
        trips += 1
        _note_unrolled(trips, where)
    _stage(test, condition, body, Variables(get, put, names, counted), where)


def each(
    iterable: Any,
    go: Thunk | None,
    body: Callable[[Any], None],
    get: Get,
    put: Put,
    names: Sequence[str],
    counted: Sequence[str],
    where: Where,
) -> None:
    """`for element in iterable: body(element)`, while `go()`."""
    variables = Variables(get, put, names, counted)
    steps = stepped(iterable) if current() is not None else None
    if steps is None:
        _each_in_python(iterable, go, body, variables, where)
    elif is_traced(steps.length):
        _each_staged(steps, go, body, variables, where)
    elif steps.length <= _UNROLLED:
        _each_in_python(steps, go, body, variables, where)
    else:
        _each_staged_if_possible(steps, go, body, variables, where)


def _each_staged_if_possible(
    steps: Stepped, go: Any, body: Any, variables: Variables, where: Where
) -> None:
    """A loop over a long array: written out where it cannot be one compiled loop."""
    try:
        _each_staged(steps, go, body, variables, where)
    except HybridizeError:
        if steps.length > _MANY:
            raise
        _each_in_python(steps, go, body, variables, where)


def _each_in_python(
    iterable: Any, go: Thunk | None, body: Any, variables: Variables, where: Where
) -> None:
    consuming(iterable, where)
    for trips, element in enumerate(used(iterable)):
        on = True if go is None else go()
        if is_traced(on):
            get, put, names, _ = variables
            branch(on, functools.partial(body, element), _nothing, get, put, names, where)
        elif not on:
            return
        else:
            body(element)
        _note_unrolled(trips, where)


def _nothing() -> None:
    """The branch of a loop that has ended."""


def _each_staged(
    steps: Stepped, go: Thunk | None, body: Any, variables: Variables, where: Where
) -> None:
    """The loop as a `while` over an index."""
    index = [jnp.asarray(0)]

    def test() -> Any:
        more = index[0] < steps.length
        return more if go is None else and_(more, go, where)

    def step() -> None:
        body(steps.at(index[0]))
        index[0] = index[0] + 1

    def put(values: Sequence[Any]) -> None:
        index[0] = values[0]
        variables.put(values[1:])

    extended = Variables(
        lambda: (index[0], *variables.get()),
        put,
        ["the index", *variables.names],
        variables.counted,
    )
    known = None if is_traced(steps.length) else steps.length
    on = True if go is None else go()
    if not is_traced(on) and not on:
        return
    first = and_(index[0] < steps.length, lambda: on, where)
    _stage(test, first, step, extended, where, bound=known, certain=bool(known) and on is True)


def _stage(
    test: Thunk,
    first: Any,
    body: Thunk,
    variables: Variables,
    where: Where,
    bound: int | None = None,
    certain: bool = False,
) -> None:
    """Make a loop a part of the program.

    Args:
        test: whether to make another trip.
        first: what it said before the first.
        body: a trip.
        variables: what it assigns.
        where: of the loop.
        bound: trips that it cannot pass, where that is known.
        certain: whether it makes at least one.
    """
    condition: list[Any] = [truth(jnp.asarray(first), where)]

    def put(values: Sequence[Any]) -> None:
        condition[0] = values[0]
        variables.put(values[1:])

    def trip() -> None:
        body()
        condition[0] = truth(jnp.asarray(used(test())), where)

    names = ["the condition", *variables.names]
    region = Region(lambda: (condition[0], *variables.get()), put, names, where)
    carry, outputs = _settled(region, trip, set(variables.counted), certain)
    staged = Staged("while", where)
    region.trace.staged[staged] = None
    limit = _limit(region.trace, bound)
    arrays, trips = _run(region.trace, carry, outputs, bound, limit)
    _assign(region, carry.end(arrays), carry.originals(), outputs, certain)
    reports.add(region.trace, reports.Trips, staged, trips)
    if limit is not None:
        _check(region.trace, where, limit, arrays[0])


def _assign(
    region: Region, values: list[Any], originals: list[Any], outputs: Outputs, certain: bool
) -> None:
    """Set what the loop carried; an object that every trip leaves as it was stays that object."""
    older = []
    for index, (original, end) in enumerate(zip(originals, outputs.ends, strict=True)):
        if end.older is not None and end.older is original:
            values[index] = original
            older.append(original)
        else:
            before = [] if certain else list(changeable_parts(original))
            region.freeze(values[index], [*end.shared, *before])
    region.assign(values, older)


def _settled(
    region: Region, trip: Thunk, counted: set[str], certain: bool
) -> tuple[Carry, Outputs]:
    """Trace trips until every carried value has found its type."""
    carry = Carry()
    while True:
        values = region.values()
        for index in range(len(carry.values), len(values)):
            label = region.label(index)
            counts = label.strip("`") in counted
            carry.values.append(carried(values[index], label, region.where, counts))
        outputs = region.stage(trip, carry.start(), originals=carry.originals())
        if outputs is None:
            carry = Carry()
        elif not carry.settle(outputs, certain):
            return carry, outputs


def _limit(trace: Trace, bound: int | None) -> int | None:
    """Trips after which the loop stops and the call raises."""
    limits = [n for n in (trace.bound, trace.options.max_trips) if n is not None]
    limit = min(limits, default=None)
    return None if limit is None or (bound is not None and bound <= limit) else limit


def _run(
    trace: Trace, carry: Carry, outputs: Outputs, bound: int | None, limit: int | None
) -> tuple[list[Any], jax.Array]:
    """The arrays after the loop, and the number of trips."""
    promised = [n for n in (bound, trace.bound) if n is not None]
    if limit is not None and trace.bound is None:
        return _run_limited(trace, carry, outputs, limit)
    options = loops.LoopOptions(trace.options.loop_memory, min(promised, default=None))
    return loops.while_loop(lambda xs: xs[0], carry.step(outputs), carry.arrays(), options)


def _run_limited(
    trace: Trace, carry: Carry, outputs: Outputs, limit: int
) -> tuple[list[Any], jax.Array]:
    """The same with a counter, which ends a loop that would not end."""
    step = carry.step(outputs)
    options = loops.LoopOptions(trace.options.loop_memory, None)
    arrays, trips = loops.while_loop(
        lambda xs: xs[1] & (xs[0] < limit),
        lambda xs: [xs[0] + 1, *step(xs[1:])],
        [jnp.zeros((), jnp.int32), *carry.arrays()],
        options,
    )
    return arrays[1:], trips


def _check(trace: Trace, where: Where, limit: int, unfinished: jax.Array) -> None:
    def failure() -> Exception:
        return LoopLimitError(
            f"{told_place(where)}this loop made {limit} trips and its condition still holds; is "
            "the condition NaN or never false? Raise the limit (max_trips of hybridize, "
            "kuai.bounded), or end the loop"
        )

    def make(staged: Staged) -> reports.Report:
        return reports.Check(staged, failure)

    reports.add(trace, make, Staged("limit", where), unfinished.astype(jnp.int32))


def _note_unrolled(trips: int, where: Where) -> None:
    if trips == _MANY and current() is not None:
        warnings.warn(
            f"{told_place(where)}this loop does not depend on an array, so each trip is compiled "
            f"by itself: {trips} so far; loop over an array to compile it once",
            HybridizeWarning,
            stacklevel=users_level(),
        )
