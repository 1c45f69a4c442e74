"""What to say of a call whose arguments are not those that the function or class takes.

Python's own words name a class that the user never wrote, and no argument that it takes. They are
looked at once a call has failed, so that calls which succeed cost nothing.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from kuai.errors import SignatureError

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NONE: Mapping[str, str] = types.MappingProxyType({})
_F = TypeVar("_F", bound=Callable[..., Any])


def explained(**meant: str) -> Callable[[_F], _F]:
    """A decorator: misspelt, foreign and missing arguments of a function are told as kuai's errors.

    Args:
        **meant: another system's name of an argument → the name here.
    """

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                _check_function(function, args, kwargs, error, meant)
                raise

        return cast("_F", call)

    return decorate


def _check_function(
    function: Callable[..., Any], args: Any, kwargs: Any, error: TypeError, meant: Mapping[str, str]
) -> None:
    """Check a call of a function, or of a method: one whose first parameter is `self`."""
    where = function.__name__
    if args and next(iter(inspect.signature(function).parameters), None) == "self":
        where = f"{type(args[0]).__name__}.{where}"
        function, args = types.MethodType(function, args[0]), args[1:]
    check_bound(where, function, args, kwargs, error, meant)


def check_bound(
    where: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: TypeError,
    meant: Mapping[str, str] = _NONE,
) -> None:
    """Check whether a call failed for its arguments, rather than by what went on inside.

    Args:
        where: what the user called.
        function: what runs, without a first `self` where it has one.
        args: what it was given by place.
        kwargs: what it was given by name.
        error: what came out.
        meant: other names of arguments → the names here.

    Raises:
        SignatureError: it did.
    """
    text = None if has_run(function, error) else misfit(function, args, kwargs, meant)
    if text is not None:
        raise SignatureError(f"{where}: {text}") from None


def misfit(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    meant: Mapping[str, str] = _NONE,
    name: str = "",
) -> str | None:
    """What a function takes, what it was given, and what to do; None where that fits.

    Args:
        function: as in `check_bound`, like what follows.
        args: by place.
        kwargs: by name.
        meant: other names of arguments → the names here.
        name: stands before what it takes.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        takes = list(signature.parameters.values())
        expected = f"the arguments {name}{_told(takes)}" if takes else "no arguments"
        return f"expected {expected}, got {_misfits(takes, args, kwargs, meant)}"
    return None


def _told(parameters: Any) -> str:
    """Parameters in parentheses, without annotations."""
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return str(inspect.Signature(plain))


def has_run(function: Callable[..., Any], error: TypeError) -> bool:
    """Whether the function itself ran: a decorator may have handed it other arguments."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    return trace is not None


def _misfits(
    takes: list[inspect.Parameter],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    meant: Mapping[str, str],
) -> str:
    """What came, and what to do about it."""
    places = [each.name for each in takes if each.kind in _BY_PLACE]
    names = [each.name for each in takes if each.kind in _BY_NAME]
    kinds = {each.kind for each in takes}
    open_ended = inspect.Parameter.VAR_KEYWORD in kinds
    unknown = [] if open_ended else [name for name in kwargs if name not in names]
    given = [*places[: len(args)], *kwargs]
    twice = [name for name in places[: len(args)] if name in kwargs]
    required = [each for each in takes if each.default is each.empty and each.kind not in _REST]
    missing = [each.name for each in required if each.name not in given]
    surplus = inspect.Parameter.VAR_POSITIONAL not in kinds and len(args) > len(places)

    got = [f"{name}, which it does not take" for name in unknown]
    got += [f"no {name}" for name in missing]
    got += [f"{name} twice, by place and by name" for name in twice]
    got += [f"{len(args)} by place, where it takes {len(places)}"] * surplus
    remedies = [text for name in unknown if (text := _near(name, names, meant))]
    others = inspect.Parameter.KEYWORD_ONLY in kinds
    remedies += ["write the others by name"] * (surplus and others)
    return "; ".join([", and ".join(got), *remedies])


def _near(name: str, names: list[str], meant: Mapping[str, str]) -> str:
    if name in meant:
        return f"here it is {meant[name]}="
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else ""
