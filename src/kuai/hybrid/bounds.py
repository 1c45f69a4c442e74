"""Promises about loops: `kuai.bounded`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kuai.core.context import context
from kuai.errors import ArgumentError


@contextmanager
def bounded(trips: int) -> Iterator[None]:
    """Promise that each loop on arrays inside makes at most so many trips.

    The compiled loop then stores exactly that many carries for its gradient, which is quicker to
    compile and to run than a loop without a bound. A loop that would go on raises after the call.
    Plain Python runs the loop as it is.

    Args:
        trips: the most trips.

    Raises:
        ArgumentError: `trips` is no positive integer.
        LoopLimitError: after a compiled call, if a loop had to go on.

    Example:
        >>> @kuai.hybrid
        ... def halve(x):
        ...     with kuai.bounded(10):
        ...         while x > 1:
        ...             x = x / 2
        ...     return x
        >>> float(halve(jnp.float32(20.0)))
        0.625
    """
    if isinstance(trips, bool) or not isinstance(trips, int) or trips < 1:
        raise ArgumentError(f"kuai.bounded: expected a positive integer, got {trips!r}")
    trace = context.trace
    if trace is None:
        yield
        return
    outer, trace.bound = trace.bound, trips
    try:
        yield
    finally:
        trace.bound = outer
