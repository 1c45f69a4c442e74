"""When values are made: shapes by abstract evaluation, then all values in one compiled program.

Invariants a maintainer must not break:

* A run that only settles shapes leaves nothing behind but shapes, and those only if it succeeds.
* Values are stored after all of them could be made.
* No trace makes values of its own: it stops (`Unbound`), its maker makes them, and it starts again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp

from kuai import init as initializers
from kuai.core.arrange import gather, release
from kuai.core.binding import Unbound
from kuai.core.birth import Birth, values_of
from kuai.core.context import DryRun, Scope, context, entered, following, scoped
from kuai.core.parameter import Holder
from kuai.core.registry import registered
from kuai.core.signature import split
from kuai.core.silence import muted
from kuai.core.tree import Node, walk
from kuai.errors import ArgumentError, HybridizeError
from kuai.random import Stream, checked_seed, current_seed, streaming

CONCRETIZATION = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def initialize(block: Any, *, seed: int | None, init: Any, sample: Any, force: bool) -> None:
    """`Block.initialize`, as it documents."""
    chosen = None if init is None else initializers.get(init)
    born_seed = current_seed() if seed is None else checked_seed(seed, "initialize")
    if sample is not None:
        with sample_explained("initialize", sample):
            dry_run(block, sample if isinstance(sample, tuple) else (sample,), {})
    wanted = {
        path: holder
        for path, holder in walk(block).holders.items()
        if holder.made and (force or not holder.ready)
    }
    births = [
        Birth(path, holder, born_seed, path, holder.init or chosen)
        for path, holder in wanted.items()
        if holder.settled
    ]
    arrays = values_of(births)
    for path, holder in wanted.items():
        holder.bear(born_seed, path, chosen)
    _store(births, arrays)


@contextmanager
def sample_explained(where: str, sample: Any) -> Iterator[None]:
    """Say so where a run failed that was given a shape in place of arrays.

    Raises:
        ArgumentError: the run failed, and the sample reads like a shape.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(sample, tuple) or not sample or not all(map(_is_size, sample)):
            raise
        raise ArgumentError(
            f"{where}: expected an array as a sample, got {sample}, which reads like a shape; give "
            f"jnp.zeros({sample})"
        ) from error


def _is_size(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)


def pending(roots: Iterable[Node]) -> list[tuple[str, Holder]]:
    """(path, holder) of everything below `roots` whose values are not made yet, each once."""
    found: dict[Holder, str] = {}
    for root in roots:
        for path, holder in walk(root).holders.items():
            if not holder.ready:
                found.setdefault(holder, path)
    return [(path, holder) for holder, path in found.items()]


def make_ready(roots: Iterable[Node], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Make the values that a call of `function` will need, if any are missing below `roots`.

    Shapes come from one abstract run of `function`. Where it branches on array values, and so has
    no abstract run, one run on the real arrays settles them; neither leaves a trace otherwise.
    """
    roots = list(roots)
    if not pending(roots):
        return
    dry_run(function, args, kwargs)
    materialize(pending(roots))


def make_ready_inside(
    roots: Iterable[Node], function: Callable[..., Any], args: Any, kwargs: Any
) -> None:
    """`make_ready` for a transform that is called where a scope is already in force."""
    roots = list(roots)
    if any(not holder.settled for _, holder in pending(roots)):
        dry_run(function, args, kwargs)
    for root in roots:
        settle_here(root, [holder for _, holder in pending([root]) if holder.settled])


def dry_run(function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Run `function` only to settle shapes, abstractly where that can be, and in silence."""
    arrays: list[Any] = []
    template = split((args, kwargs), arrays)

    def run(arrays: list[Any]) -> None:
        positional, keywords = template.join(arrays)
        following(function)(*positional, **keywords)

    undo = DryRun()
    failed = True
    outer = context.scope.dry_run if context.scope is not None else None
    try:
        with streaming(Stream(0, 0)), muted():
            try:
                _run_in(undo, _placeholder, lambda: jax.eval_shape(run, arrays))
            except (HybridizeError, *CONCRETIZATION):
                _run_in(undo, None, lambda: run([jnp.asarray(array) for array in arrays]))
        failed = False
    finally:
        undo.finish(failed)
        if outer is not None and not failed:
            outer.on_failure += undo.on_failure


def _run_in(undo: DryRun, missing: Any, function: Callable[[], Any]) -> None:
    scope = Scope({}, missing)
    scope.dry_run = undo
    abstract = missing is not None
    trace = registered.make_trace() if abstract else None
    with scoped(scope), entered(inferring=abstract, inline=True, trace=trace):
        function()


def _placeholder(holder: Holder) -> jax.Array:
    """What an abstract run reads: the shape matters, the values do not."""
    if holder.ready or not holder.settled:
        return holder.concrete()
    return jnp.zeros(holder.shape, holder.dtype)


def settle_here(block: Node, holders: list[Holder]) -> None:
    """Make values for a block in the middle of a call, now that its own shapes are known.

    Raises:
        Unbound: a trace is under way, whose maker has to make them and start again.
    """
    scope = context.scope
    if context.inferring or not holders:
        return
    root = context.stack[0] if context.stack else block
    if scope is not None and scope.dry_run is None:
        raise Unbound(holders, [root])
    materialize(named_below([root, block], holders))
    if scope is not None and scope.dry_run is not None:
        scope.dry_run.on_failure.extend(holder.clear for holder in holders)


def named_below(roots: Iterable[Node], holders: Iterable[Holder]) -> list[tuple[str, Holder]]:
    """(path, holder) with the path below the first of `roots` that has the holder, else ""."""
    paths: dict[Holder, str] = {}
    for root in roots:
        for path, holder in walk(root).holders.items():
            paths.setdefault(holder, path)
    return [(paths.get(holder, ""), holder) for holder in holders]


def materialize(named: Iterable[tuple[str, Holder]]) -> None:
    """Make the missing values of settled holders in one compiled program.

    Args:
        named: (path, holder); the path is part of what decides the values.
    """
    births = [_birth(path, h) for path, h in named if h.settled and not h.ready]
    _store(births, values_of(births))


def _birth(path: str, holder: Holder) -> Birth:
    seed, born_path = holder.birth or (current_seed(), path)
    return Birth(path, holder, seed, born_path, holder.init or holder.chosen_init)


def _store(births: list[Birth], arrays: list[jax.Array]) -> None:
    for birth, array in zip(births, arrays, strict=True):
        birth.holder.store(array)


def ready(roots: list[Node], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Make the values that a transform of `function` will need, as far as they can be foreseen."""
    make = make_ready if context.scope is None else make_ready_inside
    make(roots, function, args, kwargs)
    if context.scope is None:
        place = gather if _compiles(roots, function) else release
        place(roots)


def _compiles(roots: Iterable[Any], function: Any) -> bool:
    """Whether a transform in plain Python will meet compiled programs."""
    blocks = (block for root in roots for block in walk(root).blocks.values())
    return hasattr(function, "_kuai_compiled") or any(b.hybridized for b in blocks)  # type: ignore[attr-defined]  # Blocks


def retried(roots: list[Node], attempt: Callable[[], Any]) -> Any:
    """What `attempt` returns, after every value that it turns out to need has been made.

    Raises:
        Unbound: an enclosing trace has to make them.
    """
    while True:
        try:
            return attempt()
        except Unbound as unbound:
            if context.scope is not None or all(holder.ready for holder in unbound.holders):
                raise
            materialize(named_below([*roots, *unbound.blocks], unbound.holders))
