"""The same Python in NumPy float64: the oracle of the forwards, which knows nothing of JAX.

A module of forwards is executed a second time from its source, with `jax.numpy` answered by NumPy;
so helpers, decorators, closures and classes of the module come along as they are written.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import operator
from collections.abc import Callable
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import jax
import numpy as np

STEP = 1e-6  # of central differences: errors of STEP² and 1e-16 / STEP


def _anew(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The in-place form of an operation that gives a new array, as a method."""
    return lambda array, other: operation(array, other)


class Immutable(np.ndarray):
    """A NumPy array with the habits of jax.Array: nothing changes it, `.at` gives a copy."""

    def _refuse(self, *_: Any) -> None:
        raise TypeError("the array is immutable; use x = x.at[i].set(v)")

    __iadd__: Any = _anew(operator.add)
    __isub__: Any = _anew(operator.sub)
    __imul__: Any = _anew(operator.mul)
    __itruediv__: Any = _anew(operator.truediv)
    __ipow__: Any = _anew(operator.pow)
    __imatmul__: Any = _anew(operator.matmul)
    __setitem__: Any = _refuse

    @property
    def at(self) -> At:
        return At(self)


class At:
    """`array.at`, `array.at[index]`, and what is done there."""

    def __init__(self, array: np.ndarray, index: Any = None) -> None:
        self.array, self.index = array, index

    def __getitem__(self, index: Any) -> At:
        return At(self.array, index)

    def set(self, value: Any) -> Any:
        copy = np.array(self.array)
        copy[self.index] = value
        return frozen(copy)

    def add(self, value: Any) -> Any:
        return self.set(self.array[self.index] + value)


def frozen(array: Any) -> Immutable:
    return np.asarray(array).view(Immutable)


def _made(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function that makes an array of nothing, so that `.at` works on it too."""
    return lambda *args, **kwargs: frozen(function(*args, **kwargs))


class StandIn(SimpleNamespace):
    """A module with some names replaced, and those of another for the rest."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rest, name)


def _relu(x: Any) -> Any:
    return np.maximum(x, 0.0)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


JNP = StandIn(_rest=np, **{name: _made(getattr(np, name)) for name in ("zeros", "ones", "full")})
NN = SimpleNamespace(relu=_relu, sigmoid=_sigmoid, tanh=np.tanh)
JAX = SimpleNamespace(numpy=JNP, nn=NN, Array=np.ndarray)


def _import(name: str, globals_: Any, locals_: Any, names: Any = (), level: int = 0) -> Any:
    """`__import__` with NumPy in the place of JAX."""
    if name.partition(".")[0] == "jax":
        return JAX
    found = builtins.__import__(name, globals_, locals_, names, level)
    return StandIn(_rest=found, nn=NN) if name == "kuai" and names else found


@functools.cache
def _compiled(file: str) -> CodeType:
    return compile(ast.parse(Path(file).read_text()), file, "exec")


@functools.cache
def namespace(file: str, name: str) -> dict[str, Any]:
    """The names of a module of forwards, executed with NumPy."""
    builtin = {**vars(builtins), "__import__": _import}
    names: dict[str, Any] = {"__name__": name, "__builtins__": builtin}
    exec(_compiled(file), names)
    return names


def counterpart(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of the same name in its module's NumPy form."""
    names = namespace(inspect.getfile(function), function.__module__)
    result: Callable[..., Any] = names[function.__name__]
    return result


def run(function: Callable[..., Any], *inputs: Any) -> Any:
    """Call the NumPy form of a module's function on float64 arrays."""
    return counterpart(function)(*(frozen(np.asarray(x, np.float64)) for x in inputs))


def total(output: Any) -> float:
    """The sum of all numbers in an output."""
    return float(sum(np.sum(np.asarray(leaf)) for leaf in jax.tree.leaves(output)))


def gradients(function: Callable[..., Any], *inputs: Any) -> list[np.ndarray]:
    """Central differences of the sum of the outputs with respect to each input.

    The differences to either side must agree: no branch and no number of trips changes there, or
    the derivative would not exist.
    """
    here = total(run(function, *inputs))
    results = []
    for position, x in enumerate(inputs):
        result = np.zeros(np.shape(x))
        for index in np.ndindex(result.shape):
            above, below = (_moved(function, inputs, position, index, s) for s in (STEP, -STEP))
            sides = (above - here) / STEP, (here - below) / STEP
            np.testing.assert_allclose(*sides, rtol=1e-3, atol=1e-3)
            result[index] = (above - below) / (2 * STEP)
        results.append(result)
    return results


def _moved(
    function: Callable[..., Any], inputs: Any, position: int, index: Any, step: float
) -> float:
    moved = [np.array(x, np.float64) for x in inputs]
    moved[position][index] += step
    return total(run(function, *moved))
