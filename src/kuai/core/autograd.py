"""Gradients of functions of blocks and arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core import extensions
from kuai.core.binding import Unbound, bound_call, commit
from kuai.core.context import context
from kuai.core.initialize import make_ready, materialize
from kuai.core.modes import transform_mode
from kuai.core.parameter import Holder
from kuai.core.targets import Targets, blocks_in, trainable
from kuai.core.tree import Node, walk
from kuai.errors import DtypeError, ShapeError


def value_and_grad(
    function: Callable[..., Any], *, wrt: Any = None, has_aux: bool = False
) -> Callable[..., Any]:
    """Make a function that returns the value of `function` and its gradient.

    Train mode is on inside. Hybridized blocks run compiled inside; `kuai.hybrid` compiles a whole
    step.

    Args:
        function: returns a scalar; or (scalar, aux) with `has_aux`. A Block, a function that takes
            blocks and arrays, or a method of a block.
        wrt: with respect to what. Default: the trainable parameters of the blocks among the
            arguments. Otherwise the position of an argument, a selection of parameters (glob,
            regular expression, type, predicate (path, parameter)), an exact path or a holder, or a
            tuple of these, which gives a tuple of gradients.
        has_aux: whether `function` returns something else beside the scalar.

    Returns:
        A function of the same arguments that returns (value, gradients), or
        ((value, aux), gradients). Gradients of parameters are a dict path → array; with several
        blocks among the arguments, a tuple of dicts in their order.

    Raises:
        ShapeError: when called, if the value is no scalar.
        ArgumentError: when called, if `wrt` selects nothing.

    Example:
        >>> net = nn.Dense(1, init="ones").initialize(sample=jnp.ones((1, 2)))
        >>> loss, grads = kuai.value_and_grad(lambda net, x: net(x).sum())(net, jnp.ones((3, 2)))
        >>> float(loss), sorted(grads)
        (6.0, ['bias', 'weight'])
        >>> kuai.grad(lambda net, x: net(x).sum(), wrt=1)(net, jnp.ones((1, 2)))
        Array([[1., 1.]], dtype=float32)
    """

    @functools.wraps(function, updated=())
    def transformed(*args: Any, **kwargs: Any) -> Any:
        with transform_mode():
            return _differentiate(function, wrt, has_aux, args, kwargs)

    return transformed


def grad(function: Callable[..., Any], *, wrt: Any = None, has_aux: bool = False) -> Callable[..., Any]:
    """Make a function that returns the gradient of `function`.

    Args:
        function, wrt, has_aux: as for `value_and_grad`.

    Returns:
        A function of the same arguments that returns the gradients, or (gradients, aux).

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

    return transformed


def _differentiate(function: Any, wrt: Any, has_aux: bool, args: Any, kwargs: Any) -> Any:
    roots = blocks_in(function, args, kwargs)
    _ready(roots, function, args, kwargs)
    while True:
        targets = Targets(wrt, roots, args)
        run, finish = _pure(targets, function, args, kwargs, _scalar(has_aux))
        try:
            (value, aux), gradients = jax.value_and_grad(run, has_aux=True)(targets.values)
        except Unbound as unbound:
            _make_unbound(roots, unbound)
            continue
        extra = finish(aux)
        return ((value, extra) if has_aux else value), targets.named(gradients)


def _pure(targets: Targets, function: Any, args: Any, kwargs: Any, shape_result: Any) -> Any:
    """`function` as a function of the target values, giving (scalar, (extra, writes))."""
    written: list[Holder] = []

    def run(values: Any) -> Any:
        bound, positional = targets.bind(values, args)
        result, writes = bound_call(lambda: function(*positional, **kwargs), bound)
        written[:] = writes
        value, extra = shape_result(result)
        return value, (extra, list(writes.values()))

    def finish(aux: Any) -> Any:
        extra, values = aux
        commit(dict(zip(written, values, strict=True)))
        return extra

    return run, finish


def _scalar(has_aux: bool) -> Callable[[Any], Any]:
    def shape_result(result: Any) -> Any:
        value, extra = result if has_aux else (result, None)
        array = jnp.asarray(value)
        if array.shape != ():
            raise ShapeError(
                f"grad: expected a scalar, got shape {array.shape}; reduce it with .sum() or "
                ".mean(), or use block.vjp for the gradient of an array"
            )
        if not jnp.issubdtype(array.dtype, jnp.inexact):
            raise DtypeError(f"grad: expected a floating value, got {array.dtype}; cast it with .astype")
        return array, extra

    return shape_result


def vjp(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, Callable[..., Any]]:
    """The output of `block` and its backward function, as `Block.vjp` documents them."""
    with transform_mode():
        output, pullback = extensions.run_transform(block, _pullback, inputs, keywords)
    return output, functools.partial(_backward, pullback)


def _pullback(block: Any, *inputs: Any, **keywords: Any) -> tuple[Any, Any]:
    _ready([block], block, inputs, keywords)
    params = trainable(block)
    while True:
        written: list[Holder] = []

        def run(values: dict[str, jax.Array], inputs: Any) -> Any:
            bound = {params[path]: value for path, value in values.items()}
            output, writes = bound_call(lambda: block(*inputs, **keywords), bound)
            written[:] = writes
            return output, list(writes.values())

        try:
            values = {path: holder.read() for path, holder in params.items()}
            output, pullback, writes = jax.vjp(run, values, inputs, has_aux=True)
        except Unbound as unbound:
            _make_unbound([block], unbound)
            params = trainable(block)
            continue
        commit(dict(zip(written, writes, strict=True)))
        return output, pullback


def _backward(pullback: Any, gradient: Any) -> tuple[Any, ...]:
    """Gradients (parameters by path, then each input; None for an input without one)."""
    params, inputs = _apply_pullback(pullback, gradient)
    return params, *(None if _has_float0(item) else item for item in inputs)


@jax.jit
def _apply_pullback(pullback: Any, gradient: Any) -> Any:
    return pullback(gradient)


def _has_float0(gradient: Any) -> bool:
    return any(leaf.dtype == jax.dtypes.float0 for leaf in jax.tree.leaves(gradient))


def _ready(roots: list[Node], function: Any, args: Any, kwargs: Any) -> None:
    if context.scope is None:
        make_ready(roots, function, args, kwargs)


def _make_unbound(roots: list[Node], unbound: Unbound) -> None:
    """Give values to holders that a trace found without; an enclosing trace does it for its own."""
    if context.scope is not None:
        raise unbound
    paths = {holder: path for root in roots for path, holder in walk(root).holders.items()}
    materialize({paths.get(h, ""): h for h in unbound.holders if not h.ready and h.settled})
