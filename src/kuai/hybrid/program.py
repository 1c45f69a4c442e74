"""One compiled program: a call with its blocks' arrays taken out as arguments.

Invariants a maintainer must not break:

* A program takes (arrays of its holders, [seed, key count], arrays of the call) and is pure. What
  the call wrote and how many keys it drew come back with the output, as `Effects`.
* The traced function reaches the blocks only while it is traced. Every array that it reads from a
  holder is an argument: a holder or block that was not foreseen stops the trace (`Unbound`), joins
  the arguments, and the trace starts again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from kuai import random
from kuai.core.binding import Unbound, bound_call, commit
from kuai.core.context import context, entered
from kuai.core.parameter import Holder
from kuai.core.signature import Template, split
from kuai.core.tree import Node, walk


class About:
    """The static part of `Effects`, told by identity."""

    __slots__ = ("draws", "holders", "template")

    def __init__(self, template: Template, holders: list[Holder], draws: int) -> None:
        self.template = template
        self.holders = holders
        self.draws = draws


class Effects:
    """What a program returns when a plain tree of arrays does not say it all.

    Args:
        arrays: the arrays of the output.
        written: new values of holders.
        about: template of the output, the written holders, number of keys drawn.
    """

    __slots__ = ("about", "arrays", "written")

    def __init__(self, arrays: list[Any], written: list[Any], about: About) -> None:
        self.arrays = arrays
        self.written = written
        self.about = about

    def apply(self) -> Any:
        """Let the writes take effect and give the output."""
        commit(dict(zip(self.about.holders, self.written, strict=True)))
        return self.about.template.join(self.arrays)


jax.tree_util.register_pytree_node(
    Effects,
    lambda effects: ((effects.arrays, effects.written), effects.about),
    lambda about, children: Effects(*children, about),
)


class Program:
    """A jitted call for one set of static arguments, one mode, and one structure of its blocks.

    Args:
        call: the function or block to run.
        template: the call's arguments without their arrays.
        holders: whose arrays the program takes.
        roots: the blocks that they stand on; a call of any other block stops the trace.
    """

    def __init__(
        self, call: Callable[..., Any], template: Template, holders: list[Holder], roots: list[Node]
    ) -> None:
        self.holders = holders
        self.draws = 0
        self.jitted = jax.jit(_traced(call, template, holders, _ids(roots)))

    def run(self, inputs: Any, in_scope: bool = False) -> Any:
        """Run on the arrays of a call: the hot path, written flat.

        Args:
            inputs: a tuple of arrays.
            in_scope: whether holders are read as they are bound in this thread.
        """
        if in_scope:
            arrays: list[Any] = [holder.read() for holder in self.holders]
        else:
            arrays = [holder._array for holder in self.holders]
        if self.draws:
            return self._with_keys(arrays, inputs)
        try:
            result = self.jitted(arrays, None, inputs)
        except _NeedsKeysError:
            self.draws = 1
            return self._with_keys(arrays, inputs)
        return result.apply() if type(result) is Effects else result

    def _with_keys(self, arrays: list[Any], inputs: Any) -> Any:
        """Run with the next keys of the stream. Each signature may draw another number of them."""
        reserved = self.draws
        ticket = np.array(random.take(reserved), np.uint32)
        result = self.jitted(arrays, ticket, inputs)
        drawn = result.about.draws if type(result) is Effects else 0
        if drawn != reserved:
            random.take(drawn - reserved)
            self.draws = max(drawn, 1)
        return result.apply() if type(result) is Effects else result


class _NeedsKeysError(Exception):
    """A trace without a stream of keys draws one."""


def _ids(roots: list[Node]) -> frozenset[int]:
    return frozenset(id(block) for root in roots for block in walk(root).blocks.values())


def _traced(
    call: Callable[..., Any], template: Template, holders: list[Holder], known: frozenset[int]
) -> Callable[..., Any]:
    """The pure function of arrays that is compiled, in the mode and the place of this moment."""
    here = {"training": context.training, "forced": context.forced, "stack": context.stack}

    def run(arrays: list[jax.Array], ticket: jax.Array | None, inputs: Any) -> Any:
        args, kwargs = template.join(inputs)
        stream = _stream(ticket)
        visited: dict[int, Node] = {}
        with entered(compiling=True, inline=True, visited=visited, **here):
            output, writes = bound_call(
                lambda: call(*args, **kwargs),
                dict(zip(holders, arrays, strict=True)),
                stream=stream,
                missing=lambda holder: _unforeseen(holder, known),
            )
            outside = _outside(known)
        if outside:
            raise Unbound([], outside)
        return _packed(output, writes, stream.draws)

    return run


def _stream(ticket: jax.Array | None) -> random.Stream:
    if ticket is None:
        return random.KeylessStream(_NeedsKeysError())
    return random.Stream(ticket[0], ticket[1])


def _unforeseen(holder: Holder, known: frozenset[int]) -> jax.Array:
    if not holder.settled:
        holder.concrete()
    raise Unbound([holder], _outside(known))


def _outside(known: frozenset[int]) -> list[Node]:
    """The blocks called in this trace that are not below the roots of the program."""
    return [block for key, block in (context.visited or {}).items() if key not in known]


def _packed(output: Any, writes: dict[Holder, Any], draws: int) -> Any:
    if not writes and not draws and _is_plain(output):
        return output
    arrays: list[Any] = []
    template = split(output, arrays, floats_traced=False)
    return Effects(arrays, list(writes.values()), About(template, list(writes), draws))


def _is_plain(output: Any) -> bool:
    """Whether `jax.jit` gives back the very same tree."""
    leaves = jax.tree.leaves(output, is_leaf=lambda leaf: leaf is None)
    return all(isinstance(leaf, jax.Array) for leaf in leaves)
