"""Gradients of functions of blocks and arrays."""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.automatic import Automatic
from kuai.core.binding import bound_call, commit
from kuai.core.context import following
from kuai.core.initialize import ready, retried
from kuai.core.modes import transform_mode
from kuai.core.parameter import Holder
from kuai.core.pullback import vjp as vjp
from kuai.core.signature import Template, split
from kuai.core.targets import Targets, blocks_in, by_path
from kuai.core.unbound import explained
from kuai.errors import ArgumentError, DtypeError, ShapeError


@explained(argnums="wrt", argnames="wrt")
def value_and_grad(
    function: Callable[..., Any], *, wrt: Any = None, has_aux: bool = False
) -> Callable[..., Any]:
    """Make a function that returns the value of `function` and its gradient.

    Train mode is on inside. The whole is compiled from the second call of a signature on, where it
    can be.

    Args:
        function: returns a scalar; or (scalar, aux) with `has_aux`. A Block, a function that takes
            blocks and arrays, or a method of a block.
        wrt: with respect to what. Default: the trainable parameters of the blocks among the
            arguments. Otherwise the position of an argument, a selection of parameters (glob,
            regular expression, predicate (path, parameter), of trainable ones; or a type of holder,
            frozen ones too), an exact path or a holder (also a `Constant` or a floating `State`),
            or a tuple of these, which gives a tuple of gradients.
        has_aux: whether `function` returns something else beside the scalar.

    Returns:
        A function of the same arguments that returns (value, gradients), or
        ((value, aux), gradients). Gradients of parameters are a dict path → array; with several
        blocks among the arguments, a tuple of dicts in their order.

    Raises:
        ArgumentError: `function` is not callable; when called, `wrt` selects nothing or makes no
            sense, or the function returns no (scalar, aux) with `has_aux`.
        ShapeError: when called, the value is no scalar.
        DtypeError: when called, the value or what is differentiated is not real and floating.

    Example:
        >>> net = nn.Dense(1, init="ones").initialize(sample=jnp.ones((1, 2)))
        >>> loss, grads = kuai.value_and_grad(lambda net, x: net(x).sum())(net, jnp.ones((3, 2)))
        >>> float(loss), sorted(grads)
        (6.0, ['bias', 'weight'])
        >>> kuai.grad(lambda net, x: net(x).sum(), wrt=1)(net, jnp.ones((1, 2)))
        Array([[1., 1.]], dtype=float32)
    """
    if not callable(function):
        raise ArgumentError(
            f"grad: expected a function or a block, got {type(function).__name__}; pass the "
            "function itself, not its result"
        )

    compiling = _compiling(function, wrt, has_aux)

    @functools.wraps(function, updated=())
    def transformed(*args: Any, **kwargs: Any) -> Any:
        with transform_mode():
            value, gradients = compiling(*args, **kwargs)
        return value, by_path(gradients)

    transformed._kuai_automatic = compiling  # type: ignore[attr-defined]  # for kuai.explain
    return transformed


def _compiling(function: Callable[..., Any], wrt: Any, has_aux: bool) -> Automatic:
    """The gradient that compiles by itself: one for a function, however often it is asked for."""
    kept = _kept(function)
    key = type(wrt), wrt if isinstance(wrt, Hashable) else None, has_aux
    if key not in kept or not isinstance(wrt, Hashable):

        def differentiate(*args: Any, **kwargs: Any) -> Any:
            return _differentiate(function, wrt, has_aux, args, kwargs)

        name = f"the gradient of {getattr(function, '__qualname__', type(function).__name__)}"
        kept[key] = Automatic(differentiate, name)
    return kept[key]


def _kept(function: Callable[..., Any]) -> dict[Any, Automatic]:
    """The gradients of a function, which stand on it; `functools.wraps` may copy them elsewhere."""
    if not isinstance(function, types.FunctionType):
        return {}
    owner, kept = function.__dict__.get(_GRADIENTS, (None, {}))
    if owner is None or owner() is not function:
        owner, kept = weakref.ref(function), {}
        function.__dict__[_GRADIENTS] = owner, kept
    return kept


_GRADIENTS = "_kuai_gradients"


@explained(argnums="wrt", argnames="wrt")
def grad(
    function: Callable[..., Any], *, wrt: Any = None, has_aux: bool = False
) -> Callable[..., Any]:
    """Make a function that returns the gradient of `function`.

    Args:
        function: as for `value_and_grad`.
        wrt: as for `value_and_grad`.
        has_aux: as for `value_and_grad`.

    Returns:
        A function of the same arguments that returns the gradients, or (gradients, aux).

    Raises:
        ArgumentError: as for `value_and_grad`; so for its other errors.

    Example:
        >>> cube = kuai.grad(lambda x: x**3, wrt=0)
        >>> float(cube(2.0)), float(kuai.grad(cube, wrt=0)(2.0))
        (12.0, 12.0)
    """
    both = value_and_grad(function, wrt=wrt, has_aux=has_aux)

    @functools.wraps(function, updated=())
    def transformed(*args: Any, **kwargs: Any) -> Any:
        value, gradients = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    transformed._kuai_automatic = both._kuai_automatic  # type: ignore[attr-defined]  # as above
    return transformed


def _differentiate(function: Any, wrt: Any, has_aux: bool, args: Any, kwargs: Any) -> Any:
    roots = blocks_in(function, args, kwargs)
    ready(roots, function, args, kwargs)

    def attempt() -> Any:
        targets = Targets(wrt, roots, args)
        run, finish = _pure(targets, function, args, kwargs, has_aux)
        (value, aux), gradients = jax.value_and_grad(run, has_aux=True)(targets.values)
        return value, lambda: finish(aux), targets.named(gradients)

    value, finish, gradients = retried(roots, attempt)
    extra = finish()
    return ((value, extra) if has_aux else value), gradients


def _pure(targets: Targets, function: Any, args: Any, kwargs: Any, has_aux: bool) -> Any:
    """`function` of the target values: (scalar, arrays), and what makes effects of the arrays."""
    written: list[Holder] = []
    templates: list[Template] = []

    def run(values: Any) -> Any:
        bound, positional = targets.bind(values, args)
        result, writes = bound_call(lambda: following(function)(*positional, **kwargs), bound)
        value, extra = _value_and_aux(result) if has_aux else (result, None)
        arrays: list[Any] = []
        templates[:] = [split(extra, arrays, floats_traced=False)]
        written[:] = writes
        return _scalar(value), (arrays, list(writes.values()))

    def finish(aux: Any) -> Any:
        arrays, values = aux
        commit(dict(zip(written, values, strict=True)))
        return templates[0].join(arrays)

    return run, finish


def _value_and_aux(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            f"grad: with has_aux=True the function must return (scalar, aux), got "
            f"{type(result).__name__}; return both, or drop has_aux"
        )
    return result


def _scalar(value: Any) -> jax.Array:
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"grad: expected a scalar, got {type(value).__name__}; return the loss, and anything "
            "else as aux with has_aux=True"
        ) from None
    if array.shape != ():
        raise ShapeError(
            f"grad: expected a scalar, got shape {array.shape}; reduce it with .sum() or .mean(), "
            "or use block.vjp for the gradient of an array"
        )
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise DtypeError(
            f"grad: expected a real floating value, got {array.dtype}; cast it with .astype, or "
            "take the real part of a complex one"
        )
    return array
