"""What converted code calls: one object with all operators, `HOOKS`."""

from __future__ import annotations

import operator
import sys
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.initialize import CONCRETIZATION
from kuai.errors import BranchError, HybridizeError, RaiseError
from kuai.hybrid import reports
from kuai.hybrid.branch import and_, branch, choose, not_, or_, truth
from kuai.hybrid.calls import call
from kuai.hybrid.comparisons import decide, in_, is_, is_not, iterate, not_in
from kuai.hybrid.following import converted, follow
from kuai.hybrid.guards import Guards
from kuai.hybrid.leaves import is_traced
from kuai.hybrid.places import Where, told_place
from kuai.hybrid.reads import (
    attribute,
    changing,
    escaping,
    imported,
    item,
    made,
    matched,
    outside,
    rebinding,
    setting,
)
from kuai.hybrid.repeat import each, repeat
from kuai.hybrid.text import joined_text
from kuai.hybrid.trace import Options, Staged, Trace, current
from kuai.hybrid.undefined import NOTHING, Nothing, Undefined, used

Thunk = Callable[[], Any]


def values(*reads: Thunk) -> tuple[Any, ...]:
    """The values of variables, some of which may not have one."""
    return tuple(map(_value, reads))


def _value(read: Thunk) -> Any:
    try:
        return read()
    except NameError:  # a variable that has no value yet, or none any more
        return Undefined(read.__code__.co_freevars[0])


def nothing() -> Nothing:
    return NOTHING


def returned(value: Any) -> Any:
    return used(value)


def final(result: Any, done: Any, total: bool, where: Where) -> Any:
    """What a function returns that may return early.

    Args:
        result: the value of the return that was met.
        done: whether one was met.
        total: whether every way through the function ends in one.
        where: the function.
    """
    if isinstance(result, Nothing):
        return None
    if is_traced(done) and not total:
        raise BranchError(
            f"{told_place(where)}depending on an array this function returns a value or None; "
            "return a value on every path"
        )
    return used(result)


def _compared(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Where], Any]:
    """A comparison, which may be a method of a user's class."""

    def run(a: Any, b: Any, _: Where) -> Any:
        escaping(a, b)
        return compare(a, b)

    return run


_OPERATORS: dict[str, Callable[[Any, Any, Where], Any]] = {
    "Is": is_,
    "IsNot": is_not,
    "In": in_,
    "NotIn": not_in,
    **{
        name: _compared(compare)
        for name, compare in {
            "Lt": operator.lt,
            "LtE": operator.le,
            "Gt": operator.gt,
            "GtE": operator.ge,
            "Eq": operator.eq,
            "NotEq": operator.ne,
        }.items()
    },
}


def chain(left: Any, first: str, right: Any, *rest: Any) -> Any:
    """`left < right < ...`; `rest` ends with the place."""
    *more, where = rest
    result = _OPERATORS[first](left, right, where)
    if not more:
        return result
    (name, value), *others = more

    def later() -> Any:
        return chain(right, name, value(), *others, where)

    return and_(result, later, where)


def compare(kind: str, a: Any, b: Any, where: Where) -> Any:
    """`a < b` and the like."""
    return _OPERATORS[kind](a, b, where)


def check(test: Any, message: Thunk, where: Where) -> None:
    """`assert test, message`; of an array it raises after the call."""
    trace = current()
    if not is_traced(test) or trace is None:
        if not used(test):
            told = message()
            raise AssertionError() if told is None else AssertionError(told)
        return
    told = message()

    def failure() -> Exception:
        error = AssertionError(told) if told is not None else AssertionError()
        error.add_note(f"{told_place(where)}this assert failed in a compiled call")
        return error

    trace.staged[Staged("assert", where)] = None
    failed = jnp.logical_not(truth(test, where)).astype(jnp.int32)
    reports.add(trace, lambda s: reports.Check(s, failure), Staged("assert", where), failed)


def raising(where: Where) -> None:
    """Before a `raise`."""
    trace = current()
    if trace is not None and trace.depth:
        raise RaiseError(
            f"{told_place(where)}`raise` under a condition on arrays cannot be compiled: a program "
            "cannot raise in the middle; write `assert condition, message`, which raises after the "
            "call, or check the values before it"
        )


def caught() -> None:
    """At the start of every `except`: errors of the compilation are not the user's to handle."""
    error = sys.exc_info()[1]
    if isinstance(error, (HybridizeError, *CONCRETIZATION, jax.errors.UnexpectedTracerError)):
        raise error


HOOKS = types.SimpleNamespace(
    and_=and_,
    attribute=attribute,
    branch=branch,
    call=call,
    caught=caught,
    chain=chain,
    changing=changing,
    check=check,
    choose=choose,
    compare=compare,
    converted=converted,
    decide=decide,
    each=each,
    final=final,
    imported=imported,
    item=item,
    iterate=iterate,
    joined_text=joined_text,
    made=made,
    matched=matched,
    not_=not_,
    nothing=nothing,
    or_=or_,
    outside=outside,
    raising=raising,
    rebinding=rebinding,
    repeat=repeat,
    returned=returned,
    setting=setting,
    values=values,
)


def new_trace(options: Options) -> Trace:
    """What a trace that begins now records in."""
    guards = Guards()
    trace = Trace(options, guards, follow, HOOKS)
    guards.made_here = trace.is_made_here
    return trace
