"""The signature cache of a compiled call.

Invariants a maintainer must not break:

* The fast path compares one integer, the structure epoch. Equal: nothing that a forward reads on a
  block has changed since the programs of this cache were found to fit.
* A program is used only while the fingerprint of every block that its trace called is the one that
  it was traced with.
* Blocks are held weakly: a cache keeps no net alive.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax

from kuai.core.binding import Unbound
from kuai.core.context import FORCED, TRAINING, context, epoch
from kuai.core.initialize import make_ready, materialize, named_below
from kuai.core.parameter import Holder
from kuai.core.signature import Template, split
from kuai.core.tree import Node, fingerprint, same_tokens
from kuai.hybrid.errors import UNCOMPILABLE, explained
from kuai.hybrid.program import Program

_KEPT_STRUCTURES = 8  # of the same blocks
_NONE: dict[Any, Any] = {}


@dataclass(eq=False)
class Structure:
    """A state of the blocks of a call, and the programs compiled for it."""

    roots: tuple[weakref.ref[Node], ...]
    tokens: list[Any]
    holders: list[Holder]
    programs: dict[Any, Program] = field(default_factory=dict)


class Compiled:
    """A call that runs as one compiled program for each signature.

    Args:
        call: a function of blocks and arrays.
        roots: blocks it calls that are not among its arguments, as far as known.
        name: for messages.
    """

    def __init__(self, call: Callable[..., Any], roots: tuple[Node, ...], name: str) -> None:
        self._call = call
        self._name = name
        self._known = [weakref.ref(root) for root in roots]
        self._loose: list[weakref.ref[Holder]] = []
        self._structures: list[Structure] = []
        self._fast: dict[int, dict[Any, Any]] = {}  # flags → types of the arguments → run
        self._epoch = -1
        self._lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(args, kwargs)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call with these arguments: the hot path."""
        if self._epoch == epoch.value and not kwargs:
            known = self._fast.get(context.flags, _NONE)
            run = known.get(type(args[0]) if len(args) == 1 else tuple(map(type, args)))
            if run is not None:
                try:
                    return run(args)
                except Unbound:
                    pass  # a new shape calls a block that was not called before
                except UNCOMPILABLE as error:
                    raise explained(error, self._name) from error
        if context.inline:
            return self._call(*args, **kwargs)
        return self._slow(args, kwargs)

    def _slow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        arrays: list[Any] = []
        nodes: list[Node] = []
        template = split((args, kwargs), arrays, nodes=nodes)
        with self._lock:
            try:
                return self._run(template, arrays, nodes, args, kwargs)
            except UNCOMPILABLE as error:
                raise explained(error, self._name) from error

    def _run(
        self, template: Template, arrays: list[Any], nodes: list[Node], args: Any, kwargs: Any
    ) -> Any:
        """Run the program for a signature, tracing until all that it reads are arguments."""
        while True:
            roots = self._roots(nodes)
            if context.scope is None:
                make_ready(roots, self._call, args, kwargs)
            now = epoch.value
            structure = self._structure(roots)
            key = (template, context.flags & (TRAINING | FORCED))
            program = structure.programs.get(key)
            if program is None:
                program = Program(self._call, template, structure.holders, roots)
            try:
                result = program.run(tuple(arrays), in_scope=context.scope is not None)
            except Unbound as unbound:
                self._extend(unbound)
                continue
            structure.programs[key] = program
            self._remember(now, args, kwargs, nodes, program)
            return result

    def _roots(self, nodes: list[Node]) -> list[Node]:
        known = [root for ref in self._known if (root := ref()) is not None]
        return list({id(node): node for node in [*nodes, *known]}.values())

    def _extend(self, unbound: Unbound) -> None:
        """Take blocks and holders that a trace met into account from now on."""
        if context.scope is not None and any(not holder.ready for holder in unbound.holders):
            raise unbound
        self._known += [weakref.ref(block) for block in unbound.blocks]
        named = named_below(unbound.blocks, unbound.holders)
        materialize(named)
        self._loose += [weakref.ref(holder) for path, holder in named if not path]

    def _remember(
        self, now: int, args: Any, kwargs: Any, nodes: list[Node], program: Program
    ) -> None:
        """Let the fast path take this call from here on.

        It knows a call by the types of its arguments, so it takes calls of arrays, and of blocks
        through `_ByBlocks`.
        """
        if kwargs or epoch.value != now or context.scope is not None:
            return
        if self._epoch != now:
            self._fast, self._epoch = {}, now
        known = self._fast.setdefault(context.flags, {})
        kind = type(args[0]) if len(args) == 1 else tuple(map(type, args))
        if all(isinstance(a, jax.Array) for a in args):
            known[kind] = program.run
        elif all(isinstance(a, (jax.Array, Node)) for a in args):
            known.setdefault(kind, _ByBlocks()).add(nodes, program)

    def _structure(self, roots: list[Node]) -> Structure:
        """The structure that the blocks have now, with what was compiled for it before."""
        holders, tokens = fingerprint(tuple(roots))
        loose = {h: ref for ref in self._loose if (h := ref()) is not None and h not in holders}
        holders += loose
        tokens += loose.values()
        references = tuple(map(weakref.ref, roots))
        alive = [s for s in self._structures if all(ref() is not None for ref in s.roots)]
        own = [s for s in alive if s.roots == references]
        for structure in own:
            if same_tokens(structure.tokens, tokens):
                return structure
        if len(own) == _KEPT_STRUCTURES:
            alive.remove(own[0])
        structure = Structure(references, tokens, holders)
        self._structures = [*alive, structure]
        return structure


class _ByBlocks:
    """The programs of calls whose arguments are arrays and blocks, by the blocks."""

    def __init__(self) -> None:
        self._programs: dict[tuple[int, ...], tuple[tuple[weakref.ref[Node], ...], Program]] = {}

    def add(self, nodes: list[Node], program: Program) -> None:
        self._programs[tuple(map(id, nodes))] = tuple(map(weakref.ref, nodes)), program

    def __call__(self, args: tuple[Any, ...]) -> Any:
        nodes = [a for a in args if isinstance(a, Node)]
        found = self._programs.get(tuple(map(id, nodes)))
        if found is None or any(
            ref() is not node for ref, node in zip(found[0], nodes, strict=True)
        ):
            raise Unbound([])
        return found[1].run(tuple(a for a in args if not isinstance(a, Node)))
