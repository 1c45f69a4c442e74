"""Which functions converted code follows, and what it calls instead of them."""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from typing import Any

from kuai.core.tree import Node
from kuai.hybrid.convert import bound, converted_code
from kuai.hybrid.places import is_library_file
from kuai.hybrid.trace import current

_converted: weakref.WeakSet[Any] = weakref.WeakSet()  # functions made by conversion
_KEPT = "_kuai_conversion"  # on a function: (weak reference to it, its conversion)


def is_followed(function: types.FunctionType) -> bool:
    return function not in _converted and not is_library_file(function.__code__.co_filename)


def converted(function: Any) -> Any:
    """Mark a function that is the result of conversion, where it is made."""
    _converted.add(function)
    trace = current()
    for cell in function.__closure__ or ():
        if trace is not None and not trace.is_made_here(cell):
            trace.made(cell)
    return function


def follow(function: Any) -> Any:
    """What to call instead of a function: its conversion, where it is the user's own.

    A block, a class and what a library made stay what they are.
    """
    if isinstance(function, types.FunctionType):
        return _followed(function) if is_followed(function) else function
    if isinstance(function, types.MethodType):
        plain = function.__func__
        if isinstance(plain, types.FunctionType) and is_followed(plain):
            return types.MethodType(_followed(plain), function.__self__)
        return function
    if isinstance(function, functools.partial):
        return functools.partial(follow(function.func), *function.args, **function.keywords)
    return _followed_object(function)


def _followed_object(function: Any) -> Any:
    """An object with a `__call__` of the user's."""
    if isinstance(function, (Node, type, types.BuiltinFunctionType)):
        return function
    call = inspect.getattr_static(type(function), "__call__", None)
    if isinstance(call, types.FunctionType) and is_followed(call):
        return types.MethodType(_followed(call), function)
    return function


def _followed(function: types.FunctionType) -> Any:
    trace = current()
    if trace is None:
        return function
    trace.guards.function(function)
    conversion = converted_code(function)
    if conversion.code is None:
        trace.guards.escapes(function)
        return function
    return _bound(function, conversion.code, trace.hooks)


def _bound(function: types.FunctionType, code: types.CodeType, hooks: Any) -> Any:
    """The converted function; the same object for the same function, as caches of JAX need it."""
    original, new = function.__dict__.get(_KEPT, (None, None))  # functools.wraps may have copied it
    if original is None or original() is not function or not _is_current(new, function, code):
        new = converted(bound(function, code, hooks))
        function.__dict__[_KEPT] = weakref.ref(function), new
    return new


def _is_current(new: types.FunctionType, function: types.FunctionType, code: Any) -> bool:
    """Whether a conversion still has the code and the defaults of the original."""
    return (
        new.__code__ is code
        and new.__defaults__ is function.__defaults__
        and new.__kwdefaults__ is function.__kwdefaults__
    )
