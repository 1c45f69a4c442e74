"""What to say when a weights file and a block do not fit: all at once, near names suggested."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

LEAVE_OUT = "load(path, strict=False) takes the names that fit and leaves the others."


def report(
    block: str,
    source: str,
    missing: list[str],
    unexpected: list[str],
    misfits: list[str],
    *,
    remedy: str | None = None,
    shown: Mapping[str, str] | None = None,
) -> str:
    """The message of a `CheckpointError`.

    Args:
        block: its class.
        source: the file.
        missing: names that the block has and the file has not.
        unexpected: the reverse.
        misfits: lines about arrays that differ.
        remedy: what to do; default what `Block.load` offers, which helps with names alone.
        shown: name that is missing → how it is told; default as it is.
    """
    lines = [f"{source} does not fit {block}; nothing was changed."]
    if misfits:
        lines += ["Arrays that differ:", *(f"  {line}" for line in misfits)]
    if missing:
        near = [_with_near(name, unexpected, shown or {}) for name in missing]
        lines += ["Expected, and not in the file:", *near]
    if unexpected:
        near = [_with_near(name, missing, {}) for name in unexpected]
        lines += ["In the file, and not expected:", *near]
    if remedy is None:
        remedy = "" if misfits else LEAVE_OUT
    if remedy:
        lines.append(remedy)
    return "\n".join(lines)


def _with_near(name: str, others: list[str], shown: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, others, n=1)
    return f"  {shown.get(name, name)}" + (f" (near: {near[0]})" if near else "")
