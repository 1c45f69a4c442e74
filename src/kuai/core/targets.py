"""What a gradient is taken with respect to."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.parameter import Holder, Parameter
from kuai.core.stack import Arrays, Bundle, apart, bindings, leaves_of, read
from kuai.core.tree import Node, matches, walk
from kuai.errors import ArgumentError, DtypeError


def blocks_in(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Node]:
    """The blocks of a call: the function's own, then those among the arguments, each once."""
    if isinstance(function, functools.partial):
        return blocks_in(function.func, (*function.args, *args), {**function.keywords, **kwargs})
    owner = function if isinstance(function, Node) else getattr(function, "__self__", None)
    return list({id(block): block for block in _blocks((owner, args, kwargs))}.values())


def _blocks(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _blocks(item)


def trainable(block: Node) -> dict[str, Parameter]:
    """Path → parameter of all that training changes below `block`.

    A parameter whose shape nothing has settled yet took no part in any call, and has no gradient.
    """
    return {
        path: holder
        for path, holder in walk(block).holders.items()
        if isinstance(holder, Parameter) and holder.trainable and holder.settled
    }


class Targets:
    """The arrays that are differentiated, their places in the call, and the names of the result.

    Args:
        wrt: as in `kuai.value_and_grad`.
        roots: the blocks of the call.
        args: its positional arguments.
    """

    def __init__(self, wrt: Any, roots: list[Node], args: tuple[Any, ...]) -> None:
        self._several = isinstance(wrt, tuple)
        self._roots = roots
        self._args = args
        self._targets = [self._target(w) for w in (wrt if self._several else (wrt,))]
        self.values = [self._value(target) for target in self._targets]

    def _target(self, wrt: Any) -> Any:
        """A position, a holder, or dicts path → holder."""
        if isinstance(wrt, Holder):
            _check_floating(wrt.dtype, f"{type(wrt).__name__} of shape {wrt.shape}")
            return wrt
        if isinstance(wrt, int) and not isinstance(wrt, bool):
            return self._argument(wrt)
        _check_kind(wrt)
        return self._chosen([(root, self._selection(root, wrt)) for root in self._roots], wrt)

    def _argument(self, position: int) -> Any:
        if not -len(self._args) <= position < len(self._args):
            raise ArgumentError(
                f"grad: wrt={position}: expected a position below {len(self._args)}, the number of "
                "positional arguments"
            )
        argument = self._args[position]
        blocks = list({id(block): block for block in _blocks(argument)}.values())
        if blocks:
            return self._chosen([(block, dict(trainable(block))) for block in blocks], position)
        _check_argument(argument, position)
        return position % len(self._args)

    def _chosen(self, picked: list[tuple[Node, dict[str, Holder]]], wrt: Any) -> Any:
        """The picked holders of each block, each holder once, at its first block."""
        chosen: list[dict[str, Holder]] = []
        known: set[Holder] = set()
        for _, holders in picked:
            chosen.append({path: h for path, h in holders.items() if h not in known})
            known.update(holders.values())
        if not known:
            raise ArgumentError(self._nothing(wrt))
        return chosen

    def _selection(self, root: Node, wrt: Any) -> dict[str, Holder]:
        found = walk(root)
        path = found.aliases.get(wrt, wrt) if isinstance(wrt, str) else None
        if path in found.holders:
            _check_floating(found.holders[path].dtype, wrt)
            return {wrt: found.holders[path]}
        if isinstance(wrt, type):
            return {
                p: h
                for p, h in found.holders.items()
                if isinstance(h, wrt) and _is_floating(h.dtype)
            }
        return {p: h for p, h in trainable(root).items() if matches(wrt, p, h)}

    def _nothing(self, wrt: Any) -> str:
        paths = [path for root in self._roots for path in trainable(root)]
        if not paths:
            return (
                "grad: expected a block with trainable parameters among the arguments, got none; "
                "pass the net as an argument, unfreeze it, or name an argument by wrt=position"
            )
        near = difflib.get_close_matches(str(wrt), paths, n=3) or paths[:5]
        return f"grad: wrt={wrt!r} selects no parameter; there are {', '.join(near)}"

    def _value(self, target: Any) -> Any:
        if isinstance(target, int):
            return jax.tree.map(jnp.asarray, self._args[target])
        if isinstance(target, Holder):
            return target.read()
        return [read(chosen) for chosen in target]

    def bind(self, values: list[Any], args: tuple[Any, ...]) -> tuple[dict[Holder, Any], list[Any]]:
        """Holders bound to target values, and the arguments with target values in place."""
        bound: dict[Holder, Any] = {}
        positional = list(args)
        for target, value in zip(self._targets, values, strict=True):
            if isinstance(target, int):
                positional[target] = value
            elif isinstance(target, Holder):
                bound[target] = value
            else:
                for chosen, arrays in zip(target, value, strict=True):
                    _bind(bound, chosen, arrays)
        return bound, positional

    def named(self, gradients: list[Any]) -> Any:
        """The gradients as the user gets them, but for bundles, which `by_path` takes apart."""
        results = [
            _one_or_all(gradient) if isinstance(target, list) else gradient
            for target, gradient in zip(self._targets, gradients, strict=True)
        ]
        return tuple(results) if self._several else results[0]


def _bind(bound: dict[Holder, Any], chosen: dict[str, Holder], arrays: Arrays) -> None:
    for home, array in bindings(chosen, arrays).items():
        for row in leaves_of(home):  # bound by an earlier target: the last one counts
            bound.pop(row, None)
        bound[home] = array


def by_path(gradients: Any) -> Any:
    """Gradients as `Targets.named` gives them, with dicts by path in the place of bundles."""
    if type(gradients) is dict:  # most often; a search of the tree would slow it down
        return gradients
    return jax.tree.map(lambda g: apart(g) if _is_bundle(g) else g, gradients, is_leaf=_is_bundle)


def _is_bundle(value: Any) -> bool:
    return isinstance(value, Bundle)


def _one_or_all(gradients: list[Any]) -> Any:
    return gradients[0] if len(gradients) == 1 else tuple(gradients)


def _is_floating(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.floating))


def _check_floating(dtype: Any, what: str) -> None:
    if not _is_floating(dtype):
        raise DtypeError(
            f"grad: wrt={what}: expected a real floating dtype, got {dtype}; cast it with .astype"
        )


def _check_argument(argument: Any, position: int) -> None:
    for leaf in jax.tree.leaves(argument):
        if not isinstance(leaf, (jax.Array, np.ndarray, np.generic, float, int, complex)):
            raise ArgumentError(
                f"grad: wrt={position}: expected an argument of arrays, got {type(leaf).__name__}; "
                "name the position of an array, counted from 0"
            )
        _check_floating(jnp.asarray(leaf).dtype, str(position))


def _check_kind(wrt: Any) -> None:
    if wrt is None or isinstance(wrt, (str, re.Pattern, type)):
        return
    if isinstance(wrt, Node) or not callable(wrt):
        raise ArgumentError(
            "grad: wrt: expected a position, a path, a glob, a regular expression, a type, a "
            f"predicate (path, parameter), a holder, or a tuple of these, got "
            f"{type(wrt).__name__}; "
            'for one sub-block give a glob such as "encoder.*"'
        )
