"""A traced function without its debug callbacks, for a pass that runs it a second time.

What a person prints in a loop belongs to the trips of the loop. The way back through a loop repeats
trips, and a repeated trip must not be seen.

JAX has no public names for these primitives and effects, so they are told by the names they carry.
A test asks for each of them in the trace of a `jax.debug` call, and fails first when one moves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

PRIMITIVES = frozenset({"debug_callback", "debug_print"})
EFFECTS = frozenset({"DebugEffect", "OrderedDebugEffect"})


def is_debug(effect: Any) -> bool:
    return type(effect).__name__ in EFFECTS


def silently(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function without its debug callbacks. It and its arguments are traced."""
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    silent = silenced(traced)
    flat = jax.core.eval_jaxpr(silent.jaxpr, silent.consts, *jax.tree.leaves(args))
    return jax.tree.unflatten(jax.tree.structure(shapes), flat)


def silenced(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The same function, debug callbacks left out at every depth."""
    return _silenced(closed, {})


def _silenced(value: Any, done: dict[int, Any]) -> Any:
    """A jaxpr without debug callbacks; what is no jaxpr, or calls none, is given back as it is.

    Args:
        value: a parameter of an equation.
        done: jaxprs met → their silent forms, so that one used twice is still compiled once.
    """
    if isinstance(value, tuple | list):
        return type(value)(_silenced(item, done) for item in value)
    if not isinstance(value, Jaxpr | ClosedJaxpr) or not any(map(is_debug, value.effects)):
        return value
    if id(value) not in done:
        done[id(value)] = _silent_jaxpr(value, done)
    return done[id(value)]


def _silent_jaxpr(value: Jaxpr | ClosedJaxpr, done: dict[int, Any]) -> Jaxpr | ClosedJaxpr:
    if isinstance(value, ClosedJaxpr):
        return ClosedJaxpr(_silenced(value.jaxpr, done), value.consts)
    equations = [_silent(e, done) for e in value.eqns if e.primitive.name not in PRIMITIVES]
    return value.replace(eqns=equations, effects=_without_debug(value.effects))


def _silent(equation: JaxprEqn, done: dict[int, Any]) -> JaxprEqn:
    if not any(map(is_debug, equation.effects)):
        return equation
    params = {name: _silenced(value, done) for name, value in equation.params.items()}
    return equation.replace(params=params, effects=_without_debug(equation.effects))


def _without_debug(effects: Any) -> frozenset[Any]:
    return frozenset(effect for effect in effects if not is_debug(effect))
