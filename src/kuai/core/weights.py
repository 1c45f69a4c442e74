"""Saving and loading a block's arrays by path.

A tied array is stored once, under its first path; the further paths are aliases in the metadata.
Loading checks every name and shape before it changes anything.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from kuai import files
from kuai.core.misfits import report
from kuai.core.parameter import Holder, State
from kuai.core.registry import registered
from kuai.core.tree import Node, canonical, nothing_selected, selected, walk
from kuai.errors import ArgumentError, CheckpointError, DeferredInitError, FileFormatError

_ALIASES = "kuai.aliases"
ENDS = {  # of other systems' files
    ".pt": "torch",
    ".pth": "torch",
    ".bin": "torch",
    ".weights.h5": "keras",
    ".keras": "keras",
    ".pdparams": "paddle",
    ".params": "gluon",
}


def save(block: Node, path: Any, select: Any, **foreign: Any) -> None:
    """Write the block's holders, as `Block.save` documents."""
    found = walk(block)
    holders = _chosen(block, "save", _saved(found.holders), select)
    unmade = [name for name, holder in holders.items() if not holder.ready]
    if unmade:
        raise DeferredInitError(
            f"save: {', '.join(unmade[:5])}{' ...' if len(unmade) > 5 else ''} of "
            f"{type(block).__name__} have no values yet; call the net once, or "
            "initialize(sample=...)"
        )
    system = foreign.pop("system")
    if foreign["like"] is not None and select is not None:
        raise ArgumentError("save: like= writes all arrays of a file; leave out select=")
    if system not in (None, "kuai") or foreign["like"] is not None:
        registered.save_foreign(block, path, system=system, paths=set(holders), **foreign)
        return
    if any(value is not None for value in foreign.values()):
        raise ArgumentError(
            f"save: {', '.join(name for name, v in foreign.items() if v is not None)} is for files "
            "of other systems; give system= too"
        )
    if system is None:
        _check_end(path)
    arrays = {name: np.asarray(holder.concrete()) for name, holder in holders.items()}
    files.write_arrays(path, arrays, {_ALIASES: json.dumps(found.aliases)})


def _check_end(path: Any) -> None:
    """Refuse to write kuai's own format under a name that says another system's."""
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""
    end = next((end for end in ENDS if str(name).lower().endswith(end)), None)
    if end is not None:
        raise ArgumentError(
            f"save: {path} ends as a file of {ENDS[end]} does, and without system= it would be "
            f"kuai's own; give system={ENDS[end]!r}, or a name that ends in .safetensors"
        )


def _chosen(block: Node, where: str, holders: dict[str, Holder], select: Any) -> dict[str, Holder]:
    chosen = dict(selected(holders, select))
    if select is not None and not chosen:
        name = f"{type(block).__name__}.{where}"
        raise ArgumentError(nothing_selected(name, select, list(holders)))
    return chosen


def load(block: Node, path: Any, *, strict: bool, select: Any, **foreign: Any) -> Any:
    """Read into the block's holders, as `Block.load` documents; None once they are set."""
    is_foreign = any(value is not None and value is not False for value in foreign.values())
    if is_foreign or not files.is_own(path):
        return registered.load_foreign(block, path, strict=strict, select=select, **foreign)
    arrays, metadata = files.read_arrays(path)
    aliases = _aliases(str(path), metadata.get(_ALIASES, "{}"))
    assign(block, arrays, aliases, strict=strict, source=str(path), select=select)
    return None


def _aliases(path: str, text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(first, str) for first in found.values()):
        raise FileFormatError(
            f"{path}: expected the aliases of tied arrays as a JSON object of paths, got "
            f"{text[:40]!r}; the file is damaged: write it again"
        )
    return found


@dataclass
class Plan:
    """Which array goes into which holder, and what does not fit.

    Attributes:
        moves: (name in the file, path, holder, the array in the holder's dtype).
        missing: paths that the file has nothing for.
        unexpected: names in the file that go nowhere.
        misfits: a line about each array that does not fit its holder.
    """

    moves: list[tuple[str, str, Holder, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)


def assign(
    block: Node,
    arrays: dict[str, Any],
    aliases: dict[str, str],
    *,
    strict: bool,
    source: str,
    select: Any = None,
    remedy: str | None = None,
) -> None:
    """Set holders by path from arrays, all of them or none; as `plan`, which says what fits."""
    carry_out(
        plan(block, arrays, aliases, strict=strict, source=source, select=select, remedy=remedy)
    )


def carry_out(found: Plan) -> None:
    """Set the holders of a plan."""
    for _, _, holder, array in found.moves:
        holder.write(array)


def plan(
    block: Node,
    arrays: dict[str, Any],
    aliases: dict[str, str],
    *,
    strict: bool,
    source: str,
    select: Any = None,
    remedy: str | None = None,
) -> Plan:
    """Which arrays go into which of a block's holders.

    Args:
        block: whose holders are set.
        arrays: path → array.
        aliases: further path → path in `arrays`, of arrays or of the blocks above them.
        strict: whether names missing on either side are an error.
        source: where the arrays come from, for messages.
        select: which holders; nothing else is missing, and names of others in `arrays` are passed
            over.
        remedy: what to do where they do not fit; default what `Block.load` offers.

    Raises:
        CheckpointError: names, shapes or kinds of dtype do not fit.
    """
    found = _planned(block, arrays, aliases, select)
    if found.misfits or (strict and (found.missing or found.unexpected)):
        missing, unexpected = (found.missing, found.unexpected) if strict else ([], [])
        name, misfits = type(block).__name__, found.misfits
        raise CheckpointError(report(name, source, missing, unexpected, misfits, remedy=remedy))
    return found


def _planned(block: Node, arrays: dict[str, Any], aliases: dict[str, str], select: Any) -> Plan:
    found = walk(block)
    saved = _saved(found.holders)
    chosen = _chosen(block, "load", saved, select)
    offered = _offered(arrays, found.aliases)
    plan = Plan()
    used: set[str] = set()
    for name, holder in chosen.items():
        sources = offered.get(name) or [canonical(name, aliases)]
        if sources[0] not in arrays:
            plan.missing.append(name)
            continue
        used.update(sources)
        plan.misfits += _misfits(name, holder, {source: arrays[source] for source in sources})
        array = arrays[sources[0]].astype(holder.dtype)
        plan.moves.append((sources[0], name, holder, array))
    passed_over = saved.keys() - chosen.keys()
    known = {name for first in passed_over for name in offered.get(first, ())}
    plan.unexpected = [name for name in arrays if name not in used | known]
    return plan


def _offered(arrays: dict[str, Any], own_aliases: dict[str, str]) -> dict[str, list[str]]:
    """The block's own path → the names of that array in the file.

    There are several where the block ties what the file does not.
    """
    offered: dict[str, list[str]] = {}
    for name in arrays:
        offered.setdefault(canonical(name, own_aliases), []).append(name)
    return offered


def _saved(holders: dict[str, Holder]) -> dict[str, Holder]:
    return {p: h for p, h in holders.items() if not (isinstance(h, State) and not h.persistent)}


def _misfits(name: str, holder: Holder, arrays: dict[str, Any]) -> list[str]:
    """What is wrong with the arrays for one holder, a line each."""
    (first, array), *others = arrays.items()
    lines = []
    if not _fits(holder, array):
        got = f"{array.shape} {array.dtype}"
        lines.append(f"{name}: expected {holder.shape} {holder.dtype}, got {got}")
    for other, same in others:
        if array.dtype != same.dtype or array.tobytes() != same.tobytes():
            lines.append(f"{name}: tied here, but {first} and {other} differ in the file; untie it")
    return lines


def _fits(holder: Holder, array: Any) -> bool:
    sizes = len(holder.shape) == len(array.shape) and all(
        size is None or size == n for size, n in zip(holder.shape, array.shape, strict=True)
    )
    return sizes and _same_kind(array, holder.dtype)


def _same_kind(array: Any, dtype: Any) -> bool:
    """Whether casting to `dtype` keeps what the numbers mean; integers must fit."""
    kinds = (jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating)
    if not any(jnp.issubdtype(array.dtype, k) and jnp.issubdtype(dtype, k) for k in kinds):
        return array.dtype == dtype
    exact = jnp.issubdtype(dtype, jnp.integer) and array.dtype != dtype
    return not exact or np.array_equal(array.astype(dtype), array)
