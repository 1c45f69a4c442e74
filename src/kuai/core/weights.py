"""Saving and loading a block's arrays by path.

A tied array is stored once, under its first path; the further paths are aliases in the metadata.
Loading checks every name and shape before it changes anything.
"""

from __future__ import annotations

import difflib
import json
from typing import Any

import numpy as np

from kuai import files
from kuai.core.parameter import Holder, Shape, State
from kuai.core.tree import Node, walk
from kuai.errors import CheckpointError, DeferredInitError

_ALIASES = "kuai.aliases"


def save(block: Node, path: Any) -> None:
    """Write the block's holders, as `Block.save` documents."""
    found = walk(block)
    holders = _saved(found.holders)
    unmade = [name for name, holder in holders.items() if not holder.ready]
    if unmade:
        raise DeferredInitError(
            f"save: {', '.join(unmade[:5])}{' ...' if len(unmade) > 5 else ''} of "
            f"{type(block).__name__} have no values yet; call the net once, or initialize(sample=...)"
        )
    arrays = {name: np.asarray(holder.concrete()) for name, holder in holders.items()}
    files.write_arrays(path, arrays, {_ALIASES: json.dumps(found.aliases)})


def load(block: Node, path: Any, *, strict: bool) -> None:
    """Read into the block's holders, as `Block.load` documents."""
    arrays, metadata = files.read_arrays(path)
    assign(block, arrays, json.loads(metadata.get(_ALIASES, "{}")), strict=strict, source=str(path))


def assign(
    block: Node, arrays: dict[str, Any], aliases: dict[str, str], *, strict: bool, source: str
) -> None:
    """Set holders by path from arrays, all of them or none.

    Args:
        block: whose holders are set.
        arrays: path → array.
        aliases: further path → path in `arrays`, of arrays or of the blocks above them.
        strict: whether names missing on either side are an error.
        source: where the arrays come from, for messages.

    Raises:
        CheckpointError: names or shapes do not fit.
    """
    found = walk(block)
    holders = _saved(found.holders)
    names = {name: _source_name(name, arrays, aliases, found.aliases) for name in holders}
    missing = [name for name, source_name in names.items() if source_name is None]
    used = {name for name in names.values() if name is not None}
    unexpected = [name for name in arrays if name not in used]
    plan = [(holders[n], n, arrays[s]) for n, s in names.items() if s is not None]
    misfits = [f"{n}: expected {h.shape} {h.dtype}, got {a.shape} {a.dtype}" for h, n, a in plan if not _fits(h, a)]
    if misfits or (strict and (missing or unexpected)):
        raise CheckpointError(_report(type(block).__name__, source, missing, unexpected, misfits, strict))
    for holder, _, array in plan:
        holder.write(array.astype(holder.dtype))


def _saved(holders: dict[str, Holder]) -> dict[str, Holder]:
    return {p: h for p, h in holders.items() if not (isinstance(h, State) and not h.persistent)}


def _source_name(
    name: str, arrays: dict[str, Any], aliases: dict[str, str], own_aliases: dict[str, str]
) -> str | None:
    """The name under which the arrays have what the block calls `name`."""
    own = [name, *(alias for alias, first in own_aliases.items() if first == name)]
    for candidate in own:
        if candidate in arrays:
            return candidate
        head = candidate
        while head:
            if head in aliases and aliases[head] + candidate[len(head) :] in arrays:
                return aliases[head] + candidate[len(head) :]
            head = head.rpartition(".")[0]
    return None


def _fits(holder: Holder, array: Any) -> bool:
    known: Shape = holder.shape
    return len(known) == len(array.shape) and all(
        size is None or size == n for size, n in zip(known, array.shape, strict=True)
    )


def _report(
    block: str, source: str, missing: list[str], unexpected: list[str], misfits: list[str], strict: bool
) -> str:
    lines = [f"{source} does not fit {block}; nothing was changed."]
    if misfits:
        lines += ["Shapes that differ:", *(f"  {line}" for line in misfits)]
    if strict and missing:
        lines += ["Expected, and not in the file:", *(_with_near(name, unexpected) for name in missing)]
    if strict and unexpected:
        lines += ["In the file, and not expected:", *(_with_near(name, missing) for name in unexpected)]
    if strict and not misfits:
        lines.append("load(path, strict=False) takes the names that fit and leaves the others.")
    return "\n".join(lines)


def _with_near(name: str, others: list[str]) -> str:
    near = difflib.get_close_matches(name, others, n=1)
    return f"  {name}" + (f" (near: {near[0]})" if near else "")
