"""Initial values: what they follow from, and the compiled program that makes them.

A value depends on the seed and on the parameter's path below the outermost block, and on nothing
else: not on the order of creation, nor on which other parameters are made with it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kuai import init as initializers
from kuai.core.follows import Follows
from kuai.core.parameter import Holder
from kuai.errors import ArgumentError, DtypeError, ShapeError


class Birth(NamedTuple):
    """What the values of a holder follow from.

    Attributes:
        place: path for messages.
        holder: whose shape and dtype count.
        seed, path: decide the values.
        init: initializer; None leaves the choice to the holder's default.
    """

    place: str
    holder: Holder
    seed: int
    path: str
    init: Any


def values_of(births: list[Birth]) -> list[jax.Array]:
    """The initial values, equal (initializer, shape, dtype) made together."""
    first = [birth for birth in births if not isinstance(birth.init, Follows)]
    made = dict(zip([birth.holder for birth in first], _independent(first), strict=True))
    for birth in births:
        if isinstance(birth.init, Follows):
            source = birth.init.source
            value = made[source] if source in made else source.concrete()
            made[birth.holder] = birth.init.value(value, birth.holder.dtype)
    return [made[birth.holder] for birth in births]


def _independent(births: list[Birth]) -> list[jax.Array]:
    if not births:
        return []
    groups: dict[Any, list[int]] = {}
    for index, birth in enumerate(births):
        groups.setdefault(_recipe(birth), []).append(index)
    seeds = np.array([(birth.seed, *_hashed(birth.path)) for birth in births], np.uint32)
    recipes = tuple((recipe, len(places)) for recipe, places in groups.items())
    try:
        with jax.ensure_compile_time_eval():
            made = _program(recipes)([seeds[places] for places in groups.values()])
    except Exception:
        _blame(births)
        raise
    arrays: list[Any] = [None] * len(births)
    for places, stack in zip(groups.values(), made, strict=True):
        for place, value in zip(places, _rows(stack, len(places)), strict=True):
            arrays[place] = value
    return arrays


def _rows(stack: jax.Array, count: int) -> list[jax.Array]:
    """The values of a group, taken apart outside the program, which XLA would repeat for each."""
    if count == 1:
        return [stack]
    return [jax.lax.dynamic_index_in_dim(stack, np.int32(i), 0, False) for i in range(count)]


def _recipe(birth: Birth) -> tuple[Any, tuple[int, ...], str]:
    init = birth.init or initializers.get(birth.holder.default_init)
    return init, birth.holder.shape, str(birth.holder.dtype)  # type: ignore[return-value]  # settled


def _blame(births: list[Birth]) -> None:
    """Raise what went wrong for the first holder that has no values, with its path."""
    for birth in births:
        try:
            jax.eval_shape(lambda b=birth: _value(_recipe(b), jnp.zeros(3, jnp.uint32)))
        except (ArgumentError, DtypeError, ShapeError) as error:
            raise type(error)(f"{birth.place}: {error}") from error
        except Exception as error:
            error.add_note(f"in the initializer of {birth.place}")
            raise


def _hashed(path: str) -> tuple[int, int]:
    digest = hashlib.blake2b(path.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


@functools.lru_cache(maxsize=256)
def _program(recipes: tuple[Any, ...]) -> Callable[..., Any]:
    """The compiled initializer for some (initializer, shape, dtype) groups of given sizes."""

    def make(seeds: list[jax.Array]) -> list[jax.Array]:
        return [
            _value(recipe, rows[0])
            if count == 1
            else jax.vmap(functools.partial(_value, recipe))(rows)
            for (recipe, count), rows in zip(recipes, seeds, strict=True)
        ]

    return jax.jit(make)


def _value(recipe: tuple[Any, tuple[int, ...], str], row: jax.Array) -> jax.Array:
    init, shape, dtype = recipe
    key = jax.random.key(row[0])
    key = jax.random.fold_in(jax.random.fold_in(key, row[1]), row[2])
    value = jnp.asarray(init(key, shape, jnp.dtype(dtype)))
    if value.shape != shape:
        raise ShapeError(
            f"initializer {init!r}: expected values of shape {shape}, got {value.shape}; return "
            "an array of the shape that it is called with"
        )
    return value.astype(dtype)
