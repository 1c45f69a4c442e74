"""Shapes by abstract evaluation, then all values in one compiled program.

A value depends on the seed and on the parameter's path below the outermost block, and on nothing
else: not on the order of creation, nor on which other parameters are made with it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai import init as initializers
from kuai.core.binding import Unbound
from kuai.core.context import DryRun, Scope, context, entered, scoped
from kuai.core.parameter import Holder
from kuai.core.signature import split
from kuai.core.tree import Node, path_of, walk
from kuai.errors import ShapeError
from kuai.random import Stream, current_seed, streaming

CONCRETIZATION = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def initialize(
    block: Any, *, seed: int | None, init: Any, sample: Any, force: bool
) -> None:
    """`Block.initialize`, as it documents."""
    holders = walk(block).holders
    chosen = None if init is None else initializers.get(init)
    inputs = sample if isinstance(sample, tuple) else (sample,)
    if sample is not None and any(not holder.settled for holder in holders.values()):
        dry_run(block, inputs, {})
    born_seed = current_seed() if seed is None else seed
    for path, holder in holders.items():
        if holder.made and (force or not holder.ready):
            holder.bear(born_seed, path, chosen)
    materialize({path: h for path, h in holders.items() if not h.ready and h.settled})


def pending(roots: Iterable[Node]) -> dict[str, Holder]:
    """Path → holder of everything below `roots` whose values are not made yet."""
    return {
        path: holder for root in roots for path, holder in walk(root).holders.items() if not holder.ready
    }


def make_ready(roots: Iterable[Node], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Make the values that a call of `function` will need, if any are missing below `roots`.

    Shapes come from one abstract run of `function`. Where it branches on array values, and so has
    no abstract run, one run on the real arrays settles them; neither leaves a trace otherwise.
    """
    roots = list(roots)
    if not pending(roots):
        return
    dry_run(function, args, kwargs)
    materialize({path: h for path, h in pending(roots).items() if h.settled})


def dry_run(function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Run `function` only to settle shapes, abstractly where that can be."""
    arrays: list[Any] = []
    template = split((args, kwargs), arrays)

    def run(arrays: list[Any]) -> None:
        positional, keywords = template.join(arrays)
        function(*positional, **keywords)

    undo = DryRun()
    failed = True
    try:
        with streaming(Stream(0, 0)):
            try:
                _run_in(undo, _placeholder, lambda: jax.eval_shape(run, arrays))
            except CONCRETIZATION:
                _run_in(undo, None, lambda: run([jnp.asarray(array) for array in arrays]))
        failed = False
    finally:
        undo.finish(failed)


def _run_in(undo: DryRun, missing: Any, function: Callable[[], Any]) -> None:
    scope = Scope({}, missing)
    scope.dry_run = undo
    with scoped(scope), entered(inferring=missing is not None, inline=True):
        function()


def _placeholder(holder: Holder) -> jax.Array:
    """What an abstract run reads: the shape matters, the values do not."""
    if holder.ready or not holder.settled:
        return holder.concrete()
    return jnp.zeros(holder.shape, holder.dtype)  # type: ignore[arg-type]  # settled


def settle_here(block: Node, holders: list[Holder]) -> None:
    """Make values for a block in the middle of a call, now that its own shapes are known.

    Raises:
        Unbound: a trace is under way, whose maker has to make them and start again.
    """
    scope = context.scope
    if context.inferring:
        return
    if scope is not None and scope.dry_run is None:
        raise Unbound(holders, [block])
    root = context.stack[0] if context.stack else block
    materialize({path_of(root, holder) or "": holder for holder in holders})
    if scope is not None and scope.dry_run is not None:
        scope.dry_run.on_failure.extend(holder.clear for holder in holders)


def materialize(holders: dict[str, Holder]) -> None:
    """Make the values of settled holders in one compiled program.

    Args:
        holders: path → holder; the path is part of what decides the values.
    """
    if not holders:
        return
    with jax.ensure_compile_time_eval():
        arrays = _make(current_seed(), holders)
    for holder, array in zip(holders.values(), arrays, strict=True):
        holder.store(array)


def _make(seed: int, holders: dict[str, Holder]) -> list[jax.Array]:
    """The initial values, equal (initializer, shape, dtype) made together."""
    groups: dict[Any, list[int]] = {}
    seeds = np.empty((len(holders), 3), np.uint32)
    for index, (path, holder) in enumerate(holders.items()):
        born_seed, born_path = holder.birth or (seed, path)
        seeds[index] = (born_seed, *_hashed(born_path))
        recipe = (_initializer(holder), holder.shape, str(holder.dtype))
        groups.setdefault(recipe, []).append(index)
    recipes = tuple((recipe, len(places)) for recipe, places in groups.items())
    made = _program(recipes)([seeds[places] for places in groups.values()])
    arrays: list[Any] = [None] * len(holders)
    for places, values in zip(groups.values(), made, strict=True):
        for place, value in zip(places, values, strict=True):
            arrays[place] = value
    return arrays


def _initializer(holder: Holder) -> Any:
    return holder.init or holder.chosen_init or initializers.get(holder.default_init)


def _hashed(path: str) -> tuple[int, int]:
    digest = hashlib.blake2b(path.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


@functools.lru_cache(maxsize=256)
def _program(recipes: tuple[Any, ...]) -> Callable[..., Any]:
    """The compiled initializer for some (initializer, shape, dtype) groups of given sizes."""

    def make(seeds: list[jax.Array]) -> list[list[jax.Array]]:
        return [
            [_value(recipe, row) for row in rows]
            if count == 1
            else list(jax.vmap(functools.partial(_value, recipe))(rows))
            for (recipe, count), rows in zip(recipes, seeds, strict=True)
        ]

    return jax.jit(make)


def _value(recipe: tuple[Any, tuple[int, ...], str], row: jax.Array) -> jax.Array:
    init, shape, dtype = recipe
    key = jax.random.key(row[0])
    key = jax.random.fold_in(jax.random.fold_in(key, row[1]), row[2])
    value = jnp.asarray(init(key, shape, dtype), dtype)
    if value.shape != shape:
        raise ShapeError(f"initializer {init!r}: expected values of shape {shape}, got {value.shape}")
    return value
