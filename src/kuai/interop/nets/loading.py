"""Another system's weights into a net.

What the file calls a layer is found by `placing`, what it holds is turned by the layer's schema,
and nothing of the net changes before all of it fits.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kuai.core import weights as own_weights
from kuai.core.block import Block
from kuai.core.parameter import Holder
from kuai.core.tree import join
from kuai.errors import ArgumentError, CheckpointError
from kuai.interop.nets import flattening
from kuai.interop.nets.differences import ambiguous
from kuai.interop.nets.layer_names import differing
from kuai.interop.nets.matching import Fit, shapes_read
from kuai.interop.nets.names import Names, spellings
from kuai.interop.nets.placing import Placed, placed, placed_by_name
from kuai.interop.nets.schemas import SYSTEMS, meant
from kuai.interop.nets.table import Move, Moves
from kuai.interop.nets.units import Unit, units, with_ties_once
from kuai.interop.readers.reading import read
from kuai.interop.readers.weights import Weights

_KNOWN = (*SYSTEMS, "kuai")
_OF_KERAS = {"kernel", "recurrent_kernel", "embeddings", "moving_mean", "moving_variance"}
_OF_OTHERS = {"weight", "running_mean", "running_var", "_mean", "_variance", "weight_ih_l0"}


@dataclass
class Request:
    """What `Block.load` was asked for, as it documents."""

    strict: bool = True
    select: Any = None
    system: str | None = None
    mapping: Any = None
    sample: Any = None
    dry_run: bool = False
    key: str | None = None


def load(net: Block, path: Any, request: Request) -> Moves:
    """Load a file of any system, unless a dry run was asked for; what goes where."""
    weights = read(path, key=request.key)
    system = system_of(weights, request.system)
    if system == "kuai":
        return _load_own(net, weights, request)
    try:
        found = found_in(net, weights, system, request)
    except CheckpointError as error:
        told = _told_otherwise(weights, request.system)
        if not told:
            raise
        raise CheckpointError(f"{error}\n{told}") from None
    layers = [unit for unit, _ in found.pairs]
    theirs = flattening.order_of(system, weights)
    orders = flattening.orders(net, layers, theirs, request.sample, dict(_shapes(found)))
    plan = own_weights.plan(
        net, dict(_arrays(weights, found, orders)), {}, source=weights.path, select=request.select,
        strict=request.strict and not found.missing,
    )  # fmt: skip
    chosen = {id(holder) for _, _, holder, _ in plan.moves}
    moves = _table(net, weights, found, orders, chosen)
    if not request.dry_run:
        own_weights.carry_out(plan)
    return moves


def _load_own(net: Block, weights: Weights, request: Request) -> Moves:
    """Arrays under the net's own names, in its own layouts."""
    if request.mapping is not None:
        raise ArgumentError(
            f"load: {weights.path} has kuai's own names and layouts; mapping= is for files of "
            "other systems"
        )
    arrays = {n: weights[n] for n in weights if n not in weights.aliases}
    plan = own_weights.plan(
        net, arrays, weights.aliases, strict=request.strict, source=weights.path,
        select=request.select,
    )  # fmt: skip
    rows = [
        Move((name,), (array.shape,), (path,), (array.shape,), _cast({arrays[name].dtype}, holder))
        for name, path, holder, array in plan.moves
    ]
    if not request.dry_run:
        own_weights.carry_out(plan)
    moved = {name for name, *_ in plan.moves}
    left = [name for name in arrays if name not in moved]
    return Moves(weights.path, "kuai", type(net).__name__, rows, left, plan.missing)


def system_of(weights: Weights, told: str | None, where: str = "load") -> str:
    """Whose names and layouts the file has; `where` stands in messages.

    Raises:
        ArgumentError: the file does not say and the user did not, or they say different things.
    """
    wrote = {"tensorflow": "keras"}.get(weights.system, weights.system)
    if told is not None and told not in _KNOWN:
        raise ArgumentError(
            f"{where}: expected system to be one of {', '.join(_KNOWN)}, got {told!r}{meant(told)}"
        )
    if wrote not in _KNOWN:
        if told is None:
            raise ArgumentError(
                f"{where}: {weights.path} ({weights.format}) does not say which system's layers it "
                f"holds, and layouts differ; give system= as one of {', '.join(_KNOWN)}"
            )
        return told
    if told is not None and told != wrote:
        raise ArgumentError(
            f"{where}: expected a file of {told}, got one of {weights.system}: {weights.path} "
            f"({weights.format}); leave out system="
        )
    return wrote


def _told_otherwise(weights: Weights, told: str | None) -> str:
    """What to say of names that another system than the one that the user told of has."""
    words = {re.split(r"[./]", name)[-1]: name for name in reversed(list(weights))}
    theirs = next((words[word] for word in words if word in _OF_KERAS), None)
    others = next((words[word] for word in words if word in _OF_OTHERS), None)
    if told == "keras" and others and not theirs:
        return f"No layer of Keras has a name such as {others!r}: which system wrote the file?"
    if told in ("torch", "paddle", "gluon") and theirs and not others:
        return f"{theirs!r} is a name of Keras: give system='keras', if Keras wrote the file"
    return ""


def found_in(net: Block, weights: Weights, system: str, request: Request) -> Placed:
    """The layers' places, by the listing of the net that explains the file."""
    once = units(net, system)
    unknown = [str(unit) for unit in once if not unit.alternatives]
    if unknown:
        raise CheckpointError(
            f"{system} has no layer like {', '.join(unknown)}; nothing was changed. Read the file "
            "with kuai.interop.read, and give such a layer its arrays by hand"
        )
    spelled = spellings(weights, system, request.mapping)
    name = type(net).__name__
    listings = list(_listings(net, system, once))
    attempt = _Attempt(listings, weights, name)
    found = attempt.by_name(spelled) or attempt.by_order(spelled)  # names say more than an order
    if found is not None:
        return found
    lenient = with_ties_once(once)
    if lenient is not None:
        with contextlib.suppress(CheckpointError):
            return placed(lenient, spelled, weights, name)
    if request.select is None and request.strict:
        return placed(once, spelled, weights, name)
    chosen = {id(holder) for _, holder in net.named_holders(request.select)}
    layers = lenient or once
    wanted = [unit for unit in layers if chosen & {id(h) for h in unit.holders.values()}]
    return placed_by_name(wanted or layers, layers, spelled, weights, name, strict=request.strict)


@dataclass
class _Attempt:
    """The ways to place the layers of a net, which either explain the whole file or give None.

    Args:
        listings: of the net's layers.
        weights: the file.
        net: the net's class, for messages.
    """

    listings: list[list[Unit]]
    weights: Weights
    net: str

    def by_name(self, spelled: list[Names]) -> Placed | None:
        """By the places of Keras's layers and by their names, where a file has both.

        Raises:
            CheckpointError: they say different things, and either may be meant.
        """
        if not self.weights.metadata.get("named"):
            return self._first(spelled, is_named=True)
        by_place = self._first(spelled[:1], is_named=True)
        by_own = self._first(spelled[1:], is_named=True) if spelled[1:] else None
        if by_place is None or by_own is None:
            return by_place or by_own
        apart = differing(by_place.pairs, by_place.names, by_own.pairs, by_own.names)
        if apart:
            raise CheckpointError(ambiguous(self.net, self.weights.path, apart))
        return by_place

    def by_order(self, spelled: list[Names]) -> Placed | None:
        """By all that may say which layer is which."""
        return self._first(spelled, is_named=False)

    def _first(self, spelled: list[Names], *, is_named: bool) -> Placed | None:
        for layers in self.listings:
            with contextlib.suppress(CheckpointError):
                return placed(layers, spelled, self.weights, self.net, is_named=is_named)
        return None


def _listings(net: Block, system: str, once: list[Unit]) -> Iterator[list[Unit]]:
    """A net's layers: a shared one at all of its places, or once; in Keras's models, or layers."""
    every = units(net, system, again=True)
    if len(every) > len(once):
        yield every
    yield once
    models = units(net, system, models=True)
    if [unit.name for unit in models] != [unit.name for unit in once]:
        yield models


def _arrays(
    weights: Weights, found: Placed, orders: dict[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """(path, array) of all that the file gives."""
    for unit, place in found.pairs:
        for fit in place.fits:
            arrays = fit.part.read(*(weights[found.names[name].own] for name in fit.names))
            for path, array in zip(fit.part.ours, arrays, strict=True):
                order = orders.get(unit.path)
                yield join(unit.path, path), _in_order(fit, path, array, order)


def _shapes(found: Placed) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(path, shape) of all that the file gives."""
    for unit, place in found.pairs:
        for fit in place.fits:
            for path, shape in zip(fit.part.ours, shapes_read(fit, found.names) or (), strict=True):
                yield join(unit.path, path), shape


def _in_order(fit: Fit, path: str, array: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    has_rows = order is not None and path in flattening.rows_of(fit.unit.block)
    return array[order] if has_rows else array


def _table(
    net: Block,
    weights: Weights,
    found: Placed,
    orders: dict[str, np.ndarray],
    chosen: set[int],
) -> Moves:
    """What would be loaded into the chosen holders."""
    moves = Moves(weights.path, weights.system, type(net).__name__)
    for unit, place in found.pairs:
        for fit in place.fits:
            if any(id(unit.holders[path]) in chosen for path in fit.part.ours):
                moves.rows.append(_move(weights, found.names, fit, orders))
    moved = {name for row in moves.rows for name in row.theirs}
    moves.passed_over = [name for name in weights if name not in moved]
    given = {
        id(unit.holders[path])
        for unit, place in found.pairs
        for fit in place.fits
        for path in fit.part.ours
    }
    moves.missing = [
        join(unit.path, path)
        for unit in found.missing
        for path, holder in unit.holders.items()
        if id(holder) not in given
    ]
    return moves


def _move(weights: Weights, names: Names, fit: Fit, orders: dict[str, np.ndarray]) -> Move:
    theirs = tuple(names[name].own for name in fit.names)
    ours = tuple(join(fit.unit.path, path) for path in fit.part.ours)
    rows = set(flattening.rows_of(fit.unit.block)) & set(fit.part.ours)
    is_reordered = fit.unit.path in orders and bool(rows)
    cast = _cast({weights.dtypes[name] for name in theirs}, fit.unit.holders[fit.part.ours[0]])
    how = ", ".join(filter(None, (fit.part.how, "rows reordered" * is_reordered, cast)))
    shapes = tuple(weights.shapes[name] for name in theirs)
    return Move(theirs, shapes, ours, tuple(shapes_read(fit, names) or ()), how)


def _cast(dtypes: set[Any], holder: Holder) -> str:
    """What happens to the numbers of a file, in words; "" where they stay as they are."""
    others = sorted({str(dtype) for dtype in dtypes} - {str(np.dtype(holder.dtype))})
    return f"{' and '.join(others)} to {holder.dtype}" if others else ""
