"""What a gradient is taken with respect to."""

from __future__ import annotations

import difflib
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.parameter import Holder, Parameter
from kuai.core.tree import Node, matches, walk
from kuai.errors import ArgumentError


def blocks_in(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Node]:
    """The blocks of a call: the function's own, then those among the arguments, each once."""
    owner = function if isinstance(function, Node) else getattr(function, "__self__", None)
    found = [item for item in (owner, *args, *kwargs.values()) if isinstance(item, Node)]
    return list({id(block): block for block in found}.values())


def trainable(block: Node) -> dict[str, Parameter]:
    """Path → parameter of all that training changes below `block`."""
    return {
        path: holder
        for path, holder in walk(block).holders.items()
        if isinstance(holder, Parameter) and holder.trainable
    }


class Targets:
    """The arrays that are differentiated, their places in the call, and the names of the result.

    Args:
        wrt: as in `kuai.value_and_grad`.
        roots: the blocks of the call.
        args: its positional arguments.
    """

    def __init__(self, wrt: Any, roots: list[Node], args: tuple[Any, ...]) -> None:
        self._several = isinstance(wrt, tuple) and not all(isinstance(w, type) for w in wrt)
        self._roots = roots
        self._args = args
        self._targets = [self._target(w) for w in (wrt if self._several else (wrt,))]
        self.values = [self._value(target) for target in self._targets]

    def _target(self, wrt: Any) -> Any:
        """A position, a holder, or dicts path → holder."""
        if isinstance(wrt, Holder):
            return wrt
        if isinstance(wrt, int) and not isinstance(wrt, bool):
            return self._argument(wrt)
        chosen: list[dict[str, Holder]] = []
        for root in self._roots:
            known = {holder for earlier in chosen for holder in earlier.values()}
            picked = self._selection(root, wrt)
            chosen.append({path: h for path, h in picked.items() if h not in known})
        if not any(chosen):
            raise ArgumentError(self._nothing(wrt))
        return chosen

    def _argument(self, position: int) -> Any:
        if not -len(self._args) <= position < len(self._args):
            raise ArgumentError(
                f"wrt={position}: expected the position of one of {len(self._args)} arguments"
            )
        argument = self._args[position]
        if isinstance(argument, Node):
            return [dict(trainable(argument))]
        _check_floating(argument, position)
        return position % len(self._args)

    def _selection(self, root: Node, wrt: Any) -> dict[str, Holder]:
        holders = walk(root).holders
        if isinstance(wrt, str) and wrt in holders:
            return {wrt: holders[wrt]}
        if isinstance(wrt, (type, tuple)):
            return {path: h for path, h in holders.items() if isinstance(h, wrt)}
        return {path: h for path, h in trainable(root).items() if matches(wrt, path, h)}

    def _nothing(self, wrt: Any) -> str:
        paths = [path for root in self._roots for path in trainable(root)]
        if wrt is None:
            return (
                "grad: expected a block with trainable parameters among the arguments, got none; "
                "pass the net as an argument, unfreeze it, or name an argument by wrt=position"
            )
        near = difflib.get_close_matches(str(wrt), paths, n=3) or paths[:5]
        return f"grad: wrt={wrt!r} selects no parameter; there are {', '.join(near) or 'none'}"

    def _value(self, target: Any) -> Any:
        if isinstance(target, int):
            return jax.tree.map(jnp.asarray, self._args[target])
        if isinstance(target, Holder):
            return target.read()
        return [{path: holder.read() for path, holder in chosen.items()} for chosen in target]

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
                    bound.update({holder: arrays[path] for path, holder in chosen.items()})
        return bound, positional

    def named(self, gradients: list[Any]) -> Any:
        """The gradients as the user gets them."""
        results = [
            _one_or_all(gradient) if isinstance(target, list) else gradient
            for target, gradient in zip(self._targets, gradients, strict=True)
        ]
        return tuple(results) if self._several else results[0]


def _one_or_all(gradients: list[Any]) -> Any:
    return gradients[0] if len(gradients) == 1 else tuple(gradients)


def _check_floating(argument: Any, position: int) -> None:
    for leaf in jax.tree.leaves(argument):
        dtype = jnp.asarray(leaf).dtype
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise ArgumentError(
                f"wrt={position}: expected a floating argument, got {dtype}; cast it with .astype"
            )
