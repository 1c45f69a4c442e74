"""Which arrays of a net a training step changes, and which it only reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.parameter import Constant, Holder, Parameter, State
from kuai.core.stack import Place, storage, together
from kuai.core.targets import trainable
from kuai.core.tree import Node, fingerprint, same_tokens, walk
from kuai.errors import ArgumentError


class Plan:
    """The holders of a net in one structure, in the order in which programs take their arrays.

    Args:
        net: whose values have been made.

    Attributes:
        paths: of the trained parameters; "layers.*.weight" for those of equal layers together.
        parameters: that the optimizer changes; a stack for those of equal layers.
        states: that forward changes, and a step hands on.
        rest: what else forward may read.
        programs: compiled for this structure.

    Raises:
        ArgumentError: there is nothing to train.
    """

    def __init__(self, net: Node) -> None:
        self.tokens = tokens_of(net)
        self.blocks = frozenset(map(id, walk(net).blocks.values()))
        trained = {path: h for path, h in trainable(net).items() if h.ready}
        if not trained:
            raise ArgumentError(
                f"Trainer: expected {type(net).__name__} to have trainable parameters, got "
                f"{_instead(walk(net).holders)}"
            )
        self.parameters, places = together(trained)
        self.paths = stacked_paths(places)
        known = set(trained.values())
        others = [h for h in walk(net).holders.values() if h.ready and h not in known]
        self.states = _homes(h for h in others if _is_lasting_state(h))
        self.rest = _homes(h for h in others if not _is_lasting_state(h))
        self.programs: dict[Any, Any] = {}

    def fits(self, tokens: list[Any]) -> bool:
        return same_tokens(self.tokens, tokens)

    def named(self, values: list[Any]) -> dict[str, Any]:
        """Path → value: what optax sees of the parameters."""
        return dict(zip(self.paths, values, strict=True))

    def listed(self, named: dict[str, Any]) -> list[Any]:
        return [named[path] for path in self.paths]


def _instead(holders: dict[str, Holder]) -> str:
    """What a net has where nothing can be trained, and what to do about it."""
    frozen = [path for path, holder in holders.items() if isinstance(holder, Parameter)]
    constants = [path for path, holder in holders.items() if isinstance(holder, Constant)]
    if frozen:
        return f"frozen ones alone ({_some(frozen)}); call unfreeze()"
    if constants:
        return (
            f"constants alone ({_some(constants)}): an array put on a block is one; write "
            "kuai.Parameter(array) for an array to be trained"
        )
    return "none; add a layer with parameters"


def _some(paths: list[str]) -> str:
    return ", ".join([*paths[:3], *(["..."] if len(paths) > 3 else [])])


def stacked_paths(places: tuple[tuple[str, Place], ...]) -> list[str]:
    """The path of each array of a bundle; a star where those of its rows differ."""
    paths: dict[int, list[str]] = {}
    for path, place in places:
        paths.setdefault(place.array, []).append(path)
    names = [_common(paths[array]) for array in sorted(paths)]
    alone = len(set(names)) == len(names)
    return names if alone else [paths[array][-1] for array in sorted(paths)]


def _common(paths: list[str]) -> str:
    steps = [path.split(".") for path in paths]
    usual = max(map(len, steps))  # a row that is tied to something before has that one's path
    same = zip(*(s for s in steps if len(s) == usual), strict=True)
    return ".".join(names[0] if len(set(names)) == 1 else "*" for names in same)


def _homes(holders: Iterable[Holder]) -> list[Holder]:
    return list(dict.fromkeys(map(storage, holders)))


def tokens_of(net: Node) -> list[Any]:
    """What is the same as long as a plan of the net holds."""
    holders, tokens = fingerprint((net,))
    return [*tokens, *(holder.ready for holder in holders)]


def _is_lasting_state(holder: Holder) -> bool:
    """States that only this call needs are not handed on: their shape follows the batch."""
    return isinstance(holder, State) and holder.persistent


def lent(holders: list[Any]) -> list[jax.Array]:
    """The holders' arrays, to be donated: a copy of those that a reader may still have."""
    arrays = [holder.lend() for holder in holders]
    for array in arrays:
        if array is None:
            return _with_copies(holders, arrays)
    return arrays


def _with_copies(holders: list[Any], arrays: list[Any]) -> list[jax.Array]:
    read = [h.concrete() for h, array in zip(holders, arrays, strict=True) if array is None]
    copies = iter(copied(read))
    return [next(copies) if array is None else array for array in arrays]


@jax.jit
def copied(arrays: list[jax.Array]) -> list[jax.Array]:
    """Copies of arrays, all made in one program."""
    return list(map(jnp.copy, arrays))
