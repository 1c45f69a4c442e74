"""Checking gradients against finite differences, for whoever writes a block's backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai import random
from kuai.core.autograd import value_and_grad
from kuai.core.binding import functional
from kuai.core.block import Block
from kuai.core.context import context, entered
from kuai.core.modes import eager
from kuai.core.targets import trainable
from kuai.core.tree import matches, walk
from kuai.errors import ArgumentError, DtypeError, GradientError

__all__ = ["GradientReport", "check_gradient"]

_KEY = 0


@dataclass(frozen=True)
class GradientReport:
    """What `check_gradient` compared.

    Args:
        arrays: number of parameters and inputs.
        elements: number of their elements that were moved one by one.
        largest_error: largest |gradient - finite difference| found.
    """

    arrays: int
    elements: int
    largest_error: float


def check_gradient(
    block: Block,
    *inputs: Any,
    wrt: Any = None,
    eps: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-7,
    seed: int = 0,
    elements: int = 64,
) -> GradientReport:
    """Compare the gradient of a block with central finite differences in float64.

    ∂f/∂x ≈ (f(x + ε) - f(x - ε)) / 2ε, where f is a random projection of the output. The block is
    copied in float64 and itself left as it is; every evaluation draws the same random numbers. The
    gradient is taken both by `kuai.value_and_grad` and by `block.vjp`, in train mode unless
    `kuai.eval_mode()` or a pinned mode says otherwise.

    Args:
        block: any block; one without values gets them in the copy only.
        inputs: of a call; floating ones are differentiated too.
        wrt: what is checked: a position among `inputs`; a glob, regular expression or predicate
            (path, None) over the paths of trainable parameters; a tuple of these; default all.
        eps: ε, times max(1, |x|).
        rtol: allowed error relative to the finite difference.
        atol: allowed error beside that, times the size of f.
        seed: of the projection, the random numbers drawn, and the choice of elements.
        elements: how many elements of an array are moved one by one; of a larger array that many
            are chosen, and all of it is moved once along a random direction.

    Returns:
        What was compared.

    Raises:
        GradientError: a gradient differs; says which element, and what to look at.
        ArgumentError: `block` is no block, or there is nothing to check.
        DtypeError: the output has no floating array.

    Example:
        >>> kuai.testing.check_gradient(nn.Dense(2, "tanh"), jnp.ones((3, 4))).arrays
        3
    """
    if not isinstance(block, Block):
        raise ArgumentError(f"check_gradient: expected a block, got {type(block).__name__}")
    mode = {"training": context.training if context.forced else True, "forced": context.forced}
    with jax.enable_x64(True), entered(**mode), eager():
        subject = _Subject(block, inputs, seed)
        chosen = _chosen(subject, wrt)
        found = subject.gradients()
        checker = _Checker(subject, eps, rtol, atol, elements, seed)
        for place in chosen:
            checker.check(place, {way: gradients[place] for way, gradients in found.items()})
    return GradientReport(len(chosen), checker.elements, checker.largest_error)


class _Subject:
    """A float64 copy of a block with its inputs, as a scalar function of named arrays.

    Attributes:
        name: the block's class.
        arrays: place ("dense.weight", "input 0", "input 1 ['a']") → float64 array.
        operators: the blocks below that define their own backward.
    """

    def __init__(self, block: Block, inputs: tuple[Any, ...], seed: int) -> None:
        self.name = type(block).__name__
        with random.streaming(random.Stream(_KEY, 0)):
            self._block = block.copy().initialize(sample=inputs or None).astype(jnp.float64)
        self._inputs = jax.tree.map(_wide, inputs)
        self._key = jax.random.key(seed)
        self._rng = np.random.default_rng(seed)
        self._apply, self._params, self._state = functional(self._block)
        self._weights = jax.tree.map(self._weight, self._output({}))
        self.arrays = {
            **{path: self._params[path] for path in trainable(self._block)},
            **self._named(),
        }
        self.operators = [
            f"{path or 'itself'} ({type(b).__name__})"
            for path, b in walk(self._block).blocks.items()
            if hasattr(type(b), "backward")
        ]
        if all(weight is None for weight in jax.tree.leaves(self._weights, is_leaf=_is_none)):
            raise DtypeError(f"check_gradient: expected {self.name} to put out a floating array")

    def _named(self) -> dict[str, jax.Array]:
        leaves = jax.tree_util.tree_leaves_with_path(self._inputs)
        return {_place(path): leaf for path, leaf in leaves if _is_floating(leaf)}

    def _weight(self, leaf: Any) -> Any:
        return jnp.asarray(self._rng.standard_normal(leaf.shape)) if _is_floating(leaf) else None

    def _output(self, changed: dict[str, jax.Array]) -> Any:
        params = {path: changed.get(path, array) for path, array in self._params.items()}
        inputs = jax.tree_util.tree_map_with_path(
            lambda path, leaf: changed.get(_place(path), leaf), self._inputs
        )
        return self._apply(params, self._state, *inputs, key=self._key, training=context.training)[
            0
        ]

    def value(self, changed: dict[str, jax.Array]) -> float:
        """The projection of the output with some arrays replaced."""
        return float(_project(self._weights, self._output(changed)))

    def gradients(self) -> dict[str, dict[str, jax.Array]]:
        """Way → place → gradient."""
        return {"value_and_grad": self._by_value_and_grad(), "vjp": self._by_vjp()}

    def _by_value_and_grad(self) -> dict[str, jax.Array]:
        places = [place for place in self.arrays if place.startswith("input ")]

        def loss(net: Block, arrays: dict[str, jax.Array]) -> Any:
            inputs = jax.tree_util.tree_map_with_path(
                lambda path, leaf: arrays.get(_place(path), leaf), self._inputs
            )
            return _project(self._weights, net(*inputs))

        twin = self._block.copy()
        wrt = tuple(position for position, some in enumerate((trainable(twin), places)) if some)
        with random.streaming(random.KeyStream(self._key)):
            _, parts = value_and_grad(loss, wrt=wrt)(twin, {p: self.arrays[p] for p in places})
        return {place: gradient for part in parts for place, gradient in part.items()}

    def _by_vjp(self) -> dict[str, jax.Array]:
        with random.streaming(random.KeyStream(self._key)):
            _, backward = self._block.copy().vjp(*self._inputs)
        params, *inputs = backward(self._weights)
        leaves = jax.tree_util.tree_leaves_with_path(tuple(inputs))
        return {**params, **{_place(path): leaf for path, leaf in leaves}}


class _Checker:
    """Compares gradients of a subject's arrays with finite differences."""

    def __init__(
        self, subject: _Subject, eps: float, rtol: float, atol: float, limit: int, seed: int
    ) -> None:
        self._subject = subject
        self._eps, self._rtol = eps, rtol
        self._atol = atol * max(1.0, abs(subject.value({})))
        self._limit = limit
        self._rng = np.random.default_rng(seed)
        self.elements = 0
        self.largest_error = 0.0

    def check(self, place: str, gradients: dict[str, jax.Array]) -> None:
        """Compare the gradients of one array.

        Raises:
            GradientError: one of them differs.
        """
        array = np.asarray(self._subject.arrays[place])
        for step, where in self._steps(array):
            expected = self._difference(place, array, step)
            for way, gradient in gradients.items():
                got = float(np.sum(np.asarray(gradient) * step))
                self._compare(f"{place}{where}", way, expected, got)

    def _steps(self, array: np.ndarray) -> Iterator[tuple[np.ndarray, str]]:
        """Directions to move an array in: along each chosen element, and along all together."""
        everywhere = range(array.size)
        few = array.size <= self._limit
        chosen = everywhere if few else self._rng.choice(array.size, self._limit, replace=False)
        for flat in chosen:
            step = np.zeros(array.shape)
            index = tuple(int(i) for i in np.unravel_index(int(flat), array.shape))
            step[index] = 1.0
            self.elements += 1
            yield step, str(list(index)) if index else ""
        if not few:
            yield (
                self._rng.standard_normal(array.shape) / np.sqrt(array.size),
                " along a random direction",
            )

    def _difference(self, place: str, array: np.ndarray, step: np.ndarray) -> float:
        eps = self._eps * max(1.0, float(np.max(np.abs(array * (step != 0)))))
        up, down = (
            self._subject.value({place: jnp.asarray(array + sign * eps * step)}) for sign in (1, -1)
        )
        return (up - down) / (2 * eps)

    def _compare(self, where: str, way: str, expected: float, got: float) -> None:
        error = abs(got - expected)
        if error <= self._atol + self._rtol * abs(expected):
            self.largest_error = max(self.largest_error, error)
            return
        own = self._subject.operators
        place = (
            f"the backward of {', '.join(own)}"
            if own
            else "stop_gradient, casts and kinks in forward"
        )
        raise GradientError(
            f"{self._subject.name}: gradient of {where} by {way}: expected {expected:.9g} (finite "
            f"differences), got {got:.9g}; {_hint(expected, got)}; look at {place}"
        )


def _hint(expected: float, got: float) -> str:
    """What a wrong gradient's ratio to the right one suggests."""
    if not np.isfinite(got):
        return "it is not finite"
    if got == 0:
        return "no gradient arrives there"
    ratio = expected / got
    if abs(ratio + 1) < 1e-3:
        return "the sign is wrong"
    if abs(ratio) < 1e-6:
        return "it should be zero"
    return f"it lacks a factor of {ratio:.6g}"


def _chosen(subject: _Subject, wrt: Any) -> list[str]:
    """The places of the arrays that `wrt` selects."""
    if wrt is None:
        chosen = list(subject.arrays)
    else:
        several = wrt if isinstance(wrt, tuple) else (wrt,)
        admitted = [_admits(one) for one in several]
        chosen = [place for place in subject.arrays if any(admits(place) for admits in admitted)]
    if not chosen:
        raise ArgumentError(
            f"check_gradient: wrt={wrt!r} selects nothing of {subject.name}; there are "
            f"{', '.join(subject.arrays) or 'neither parameters nor floating inputs'}"
        )
    return chosen


def _admits(wrt: Any) -> Callable[[str], bool]:
    if isinstance(wrt, int) and not isinstance(wrt, bool):
        return lambda place: place == f"input {wrt}" or place.startswith(f"input {wrt} ")
    if not (callable(wrt) or isinstance(wrt, str) or hasattr(wrt, "search")):
        raise ArgumentError(
            "check_gradient: expected wrt to be a position, a glob, a regular expression or a "
            f"predicate (path, array), got {type(wrt).__name__}"
        )
    return lambda place: not place.startswith("input ") and matches(wrt, place, None)


def _place(path: Any) -> str:
    """The name of an input: "input 0", or "input 0 ['a'][1]" inside a structure."""
    position, *rest = path
    return f"input {position.idx}{' ' if rest else ''}{jax.tree_util.keystr(tuple(rest))}"


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _is_floating(leaf: Any) -> bool:
    if not isinstance(leaf, (jax.Array, np.ndarray, np.generic, float)):
        return False
    return bool(jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating))


def _wide(leaf: Any) -> Any:
    return jnp.asarray(leaf, jnp.float64) if _is_floating(leaf) else leaf


def _project(weights: Any, output: Any) -> Any:
    pairs = zip(jax.tree.leaves(weights, is_leaf=_is_none), jax.tree.leaves(output), strict=True)
    return sum(jnp.sum(w * leaf.astype(w.dtype)) for w, leaf in pairs if w is not None)
