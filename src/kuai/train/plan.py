"""Which arrays of a net a training step changes, and which it only reads."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.parameter import Constant, Holder, Parameter, State
from kuai.core.targets import trainable
from kuai.core.tree import Node, fingerprint, same_tokens, walk
from kuai.errors import ArgumentError


class Plan:
    """The holders of a net in one structure, in the order in which programs take their arrays.

    Args:
        net: whose values have been made.

    Attributes:
        paths: of the trained parameters.
        parameters: that the optimizer changes.
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
        self.paths = sorted(trained)
        self.parameters: list[Parameter] = [trained[path] for path in self.paths]
        others = [
            h for h in walk(net).holders.values() if h.ready and h not in set(self.parameters)
        ]
        self.states: list[Holder] = [h for h in others if _is_lasting_state(h)]
        self.rest: list[Holder] = [h for h in others if not _is_lasting_state(h)]
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
