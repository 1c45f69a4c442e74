"""The signature cache of a compiled call, and when a call is compiled at all.

Invariants a maintainer must not break:

* The fast path compares one integer, the structure epoch, and the guards of one program. Equal:
  nothing that a forward reads has changed since the program was found to fit.
* A program is used only while the fingerprint of every block that its trace called is the one that
  it was traced with.
* Blocks are held weakly: a cache keeps no net alive.
"""

from __future__ import annotations

import operator
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from kuai.core.arrange import gather
from kuai.core.automatic import compiles_by_itself
from kuai.core.binding import Unbound, bound_call
from kuai.core.context import CASTING, FORCED, TRAINING, context, entered, epoch, following
from kuai.core.initialize import make_ready, materialize, named_below
from kuai.core.parameter import Holder
from kuai.core.signature import Template, split
from kuai.core.silence import muted
from kuai.core.tree import Node, fingerprint, same_tokens
from kuai.errors import HybridizeWarning
from kuai.hybrid.errors import explained, is_uncompilable, shortened
from kuai.hybrid.operators import new_trace
from kuai.hybrid.places import users_level
from kuai.hybrid.program import Program
from kuai.hybrid.trace import Options
from kuai.hybrid.verify import verified

_KEPT_STRUCTURES = 8  # of the same blocks
_KEPT_PROGRAMS = 8  # of the same signature, for other values of what they read from outside
_STORM = 16  # compilations of one signature after which a warning says why
_SEEN = 1024  # signatures whose first call is remembered
_NONE: dict[Any, Any] = {}


@dataclass(eq=False)
class Structure:
    """A state of the blocks of a call, and the programs compiled for it."""

    roots: tuple[weakref.ref[Node], ...]
    tokens: list[Any]
    holders: list[Holder]
    programs: dict[Any, list[Program]] = field(default_factory=dict)


class Compiled:
    """A call that runs as one compiled program for each signature.

    Args:
        call: a function of blocks and arrays.
        roots: blocks it calls that are not among its arguments, as far as known.
        name: for messages.
        options: how it is compiled; None: by itself, from the second call of a signature on, and
            as plain Python where it cannot be.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        roots: tuple[Node, ...],
        name: str,
        options: Options | None = None,
    ) -> None:
        self._call = call
        self._name = name
        self._auto = options is None
        self.options = options or Options(fallback="eager")
        self.plain_because: str | None = None
        self.compilations: list[str] = []  # why each program was compiled
        self._known = [weakref.ref(root) for root in roots]
        self._loose: list[weakref.ref[Holder]] = []
        self._structures: list[Structure] = []
        self._fast: dict[int, dict[Any, Any]] = {}  # flags → types of the arguments → run
        self._epoch = -1
        self._seen: set[Any] = set()
        self._counts: dict[Any, int] = {}
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
                    pass  # a new shape calls a block that was not called before, or a guard fails
                except Exception as error:  # noqa: BLE001  # raised again, unless it may be told
                    return self._failed(error, args, kwargs)
        if context.inline or self.plain_because is not None:
            return following(self._call)(*args, **kwargs)
        return self._slow(args, kwargs)

    def programs(self) -> list[Program]:
        """Every program that is kept, for `explain`."""
        kept = [s.programs.values() for s in self._structures]
        return [program for lists in kept for programs in lists for program in programs]

    # ---- the slow path

    def _slow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._auto and not compiles_by_itself():
            return self._call(*args, **kwargs)
        arrays: list[Any] = []
        nodes: list[Node] = []
        template = split((args, kwargs), arrays, nodes=nodes)
        if self._auto and any(isinstance(array, jax.core.Tracer) for array in arrays):
            return self._in_raw_transform(args, kwargs)
        if self._auto and self._stays_plain(template, arrays, nodes):
            return self._call(*args, **kwargs)
        with self._lock:
            try:
                return self._run(template, arrays, nodes, args, kwargs)
            except Exception as error:  # noqa: BLE001  # raised again, unless it may be told
                return self._failed(error, args, kwargs)

    def _in_raw_transform(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A part of somebody else's program: converted, and no program of its own."""
        with entered(inline=True, trace=new_trace(self.options)):
            return following(self._call)(*args, **kwargs)

    def _stays_plain(self, template: Template, arrays: list[Any], nodes: list[Any]) -> bool:
        """Whether a call that compiles by itself does not do so now."""
        off = any(node._kuai.hybrid is None for node in nodes)
        return off or self._is_first(template, arrays)

    def _is_first(self, template: Template, arrays: list[Any]) -> bool:
        """Whether this signature was never called: a single call does not pay for compiling."""
        shapes = tuple((np.shape(array), str(getattr(array, "dtype", float))) for array in arrays)
        signature = template, context.flags, shapes
        if signature in self._seen:
            return False
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen.add(signature)
        return True

    def _failed(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Raise what stopped the compilation, or go on as plain Python after a warning."""
        if not is_uncompilable(error):
            shortened(error)
            if isinstance(error, AssertionError) and context.scope is None:
                self._fail_natively(args, kwargs)
            raise error
        told = explained(error, self._name)
        shortened(error)
        if self.options.fallback != "eager":
            if told is error:
                raise error
            raise told from error
        self._give_up(str(told))
        return self._in_plain_python(args, kwargs)

    def _fail_natively(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Let the assert that failed raise in plain Python, with its own line and message."""
        try:
            with muted(), entered(inline=True):
                bound_call(lambda: self._call(*args, **kwargs), {})
        except AssertionError as native:
            raise native from None

    def _in_plain_python(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with entered(inline=True):
            return self._call(*args, **kwargs)

    def _give_up(self, reason: str) -> None:
        self.plain_because = reason
        self._fast, self._epoch = {}, -1
        warnings.warn(
            f"{self._name} runs as plain Python, uncompiled: {reason}",
            HybridizeWarning,
            stacklevel=users_level(),
        )

    def _run(
        self, template: Template, arrays: list[Any], nodes: list[Node], args: Any, kwargs: Any
    ) -> Any:
        """Run the program for a signature, tracing until all that it reads are arguments."""
        while True:
            roots = self._roots(nodes)
            if context.scope is None:
                make_ready(roots, self._call, args, kwargs)
                gather(roots)
            now = epoch.value
            structure = self._structure(roots)
            key = (template, context.flags & (TRAINING | FORCED), context.compute_dtype)
            program, reason = self._fitting(structure, key)
            fresh = program is None
            if program is None:
                program = Program(self._call, template, structure.holders, roots, self.options)
            start = time.perf_counter()
            try:
                result = self._result(program, tuple(arrays), args, kwargs, fresh)
            except Unbound as unbound:
                self._extend(unbound)
                continue
            if fresh:
                program.compile_s = time.perf_counter() - start
                structure.programs.setdefault(key, []).insert(0, program)
                del structure.programs[key][_KEPT_PROGRAMS:]
                self._count(template, reason)
            self._remember(now, args, kwargs, program)
            return result

    def _fitting(self, structure: Structure, key: Any) -> tuple[Program | None, str]:
        """The program whose guards hold, or why a new one is needed."""
        programs = structure.programs.get(key, [])
        for program in programs:
            if program.guards.hold():
                return program, ""
        if programs:
            return None, programs[0].guards.reason() or "what it reads from outside changed"
        new = structure.programs or len(self._structures) < 2
        return None, "a new signature" if new else "a block changed"

    def _result(self, program: Program, arrays: Any, args: Any, kwargs: Any, fresh: bool) -> Any:
        if context.scope is not None:
            return program.run_in_scope(arrays)
        if any(isinstance(array, jax.core.Tracer) for array in arrays):
            return program.run_in_scope(arrays)  # in a raw transform: there is nothing to compare
        verify = self.options.verify
        if verify == "always" or (verify != "never" and fresh):
            return verified(program, arrays, self._call, args, kwargs, verify, self._name)
        return program.run(arrays)

    def _count(self, template: Template, reason: str) -> None:
        """Note a compilation; too many of one signature are told."""
        self.compilations.append(reason)
        if len(self._counts) >= _SEEN:
            self._counts.clear()
        self._counts[template] = self._counts.get(template, 0) + 1
        if self._counts[template] != _STORM:
            return
        told = (
            f"the same call was compiled {_STORM} times, the last time because of: {reason}; keep "
            "what changes in kuai.State or pass it as an argument"
        )
        if self._auto:
            self._give_up(told)
        else:
            warnings.warn(f"{self._name}: {told}", HybridizeWarning, stacklevel=users_level())

    def _roots(self, nodes: list[Node]) -> list[Node]:
        self._known = [ref for ref in self._known if ref() is not None]
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

    def _remember(self, now: int, args: Any, kwargs: Any, program: Program) -> None:
        """Let the fast path take this call from here on.

        It knows a call by the types of its arguments, so it takes calls of arrays, and of blocks
        through `_ByBlocks`.
        """
        if kwargs or epoch.value != now or context.scope is not None:
            return
        if self.options.verify == "always" or self.plain_because is not None:
            return
        if context.flags & CASTING:
            return
        if self._epoch != now:
            self._fast, self._epoch = {}, now
        known = self._fast.setdefault(context.flags, {})
        kind = type(args[0]) if len(args) == 1 else tuple(map(type, args))
        if all(isinstance(a, jax.Array) for a in args):
            known[kind] = _guarded(program)
        elif all(isinstance(a, (jax.Array, Node)) for a in args):
            if kind not in known:
                known[kind] = _ByBlocks(args)
            known[kind].add(args, program)

    def _structure(self, roots: list[Node]) -> Structure:
        """The structure that the blocks have now, with what was compiled for it before."""
        holders, tokens = fingerprint(tuple(roots))
        self._loose = [ref for ref in self._loose if ref() is not None]
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


def _guarded(program: Program) -> Callable[[tuple[Any, ...]], Any]:
    """A program that runs while what it read from outside is what it was."""
    guards, run_program = program.guards, program.run

    def run(args: tuple[Any, ...]) -> Any:
        for guard in guards.merged:  # as `guards.hold` does, which would be one more call
            if not guard.holds():
                raise Unbound([])
        return run_program(args)

    return run if guards else run_program


class _ByBlocks:
    """The programs of calls whose arguments are arrays and blocks, by the blocks.

    Args:
        args: of one of these calls; the blocks of all are in the same places.
    """

    def __init__(self, args: tuple[Any, ...]) -> None:
        places = [place for place, arg in enumerate(args) if isinstance(arg, Node)]
        self._blocks = _picker(places)
        self._arrays = _picker([place for place in range(len(args)) if place not in places])
        self._programs: dict[tuple[int, ...], tuple[list[weakref.ref[Node]], Any]] = {}

    def add(self, args: tuple[Any, ...], program: Program) -> None:
        blocks = self._blocks(args)
        self._programs[(*map(id, blocks),)] = [*map(weakref.ref, blocks)], _guarded(program)

    def __call__(self, args: tuple[Any, ...]) -> Any:
        blocks = self._blocks(args)
        found = self._programs.get((*map(id, blocks),))
        if found is None:
            raise Unbound([])
        for ref, block in zip(found[0], blocks, strict=True):
            if ref() is not block:  # another block, at the place in memory of one that is gone
                raise Unbound([])
        return found[1](self._arrays(args))


def _picker(places: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """What takes the items at these places of a tuple: a tuple too."""
    if len(places) > 1:
        return operator.itemgetter(*places)
    return operator.itemgetter(slice(places[0], places[0] + 1) if places else slice(0))
