"""What a program tells of its run beside its results: trip counts, failed checks.

A report is written like a `State`, so that branches, loops and transforms carry it; what a program
writes to it at last is its value for the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.context import context
from kuai.core.parameter import State
from kuai.errors import HybridizeError
from kuai.hybrid.places import told_place
from kuai.hybrid.trace import Staged, Trace


class Report(State):
    """An int32 scalar that starts at zero in every call.

    Args:
        staged: the loop or check that it tells of.
    """

    __slots__ = ("staged", "value")

    anew = True

    def __init__(self, staged: Staged) -> None:
        super().__init__(np.int32(0), persistent=False)
        self.staged = staged
        self.value: Any = None

    def concrete(self) -> jax.Array:
        return jnp.zeros((), jnp.int32)

    def store(self, array: jax.Array, *, lent: bool = False) -> None:  # noqa: ARG002  # as Holder's
        self.value = array


class Trips(Report):
    """The trips that a loop made in the last call."""

    __slots__ = ()


class Check(Report):
    """A condition that must hold: positive once it did not.

    Args:
        staged: the check.
        failure: gives the error to raise.
    """

    __slots__ = ("failure",)

    def __init__(self, staged: Staged, failure: Callable[[], Exception]) -> None:
        super().__init__(staged)
        self.failure = failure

    def store(self, array: jax.Array, *, lent: bool = False) -> None:  # noqa: ARG002  # as Holder's
        if int(array) > 0:
            raise self.failure()


def add(trace: Trace, make: Callable[[Staged], Report], staged: Staged, amount: jax.Array) -> None:
    """Add to a report of this trace, where the program stands.

    Raises:
        HybridizeError: it stands in a function that JAX was given, and is a check: nothing that
            happens in there comes out beside its results.
    """
    if trace.in_function_of_jax():
        if make is not Trips:
            raise HybridizeError(
                f"{told_place(staged.where)}a check ({staged.kind}) stands in a function given to "
                "JAX (scan, vmap, checkpoint, jit ...), which cannot tell that it failed; return "
                "the condition and assert it outside, or write the loop in Python"
            )
        return
    report = trace.reports.get(staged)
    if report is None:
        report = trace.reports[staged] = make(staged)
    if context.scope is not None:
        context.scope.write(report, report.read() + amount)
