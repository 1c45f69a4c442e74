"""Where the arrays of repeated layers stand: in stacks for programs, apart for plain Python."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from kuai.core.context import epoch
from kuai.core.likeness import Likeness, likeness
from kuai.core.parameter import Holder
from kuai.core.stack import Rows, Stack
from kuai.core.tree import Node, walk

_lock = threading.RLock()


def gather(roots: Iterable[Node]) -> None:
    """Before a program takes the arrays below `roots`: those of equal layers become stacks."""
    blocks = {id(block): block for root in roots for block in walk(root).blocks.values()}
    repeats: list[Any] = [block for block in blocks.values() if block._kuai_repeats]
    with _lock:
        for block in reversed(repeats):  # the stacks of inner ones are rows of the outer ones'
            if block._kuai.gathered_at != epoch.value:
                _gather(block, blocks)
                block._kuai.gathered_at = epoch.value


def release(roots: Iterable[Node], *, foreign: bool = False) -> None:
    """Before plain Python reads the arrays below `roots` often: out of their stacks.

    Args:
        roots: blocks.
        foreign: only out of the stacks of blocks that do not stand below `roots`.
    """
    with _lock:
        for root in roots:
            found = walk(root)
            known = set(map(id, found.blocks.values()))
            for holder in found.holders.values():
                stacks = _above(holder)
                if not foreign or any(id(stack.owner()) not in known for stack in stacks):
                    for stack in reversed(stacks):
                        stack.release()


def planned(root: Node) -> Rows:
    """What row of which stack each holder below `root` will be when a program runs."""
    rows: Rows = {}
    repeats: list[Any] = [block for block in walk(root).blocks.values() if block._kuai_repeats]
    for block in reversed(repeats):
        alike = stacked(block, rows)
        for place in alike.places if alike.equal else []:
            stack = Stack(place, block)
            rows.update({row: (stack, index) for index, row in enumerate(place)})
    return rows


def stacked(block: Any, rows: Rows | None = None) -> Likeness:
    """What the layers of a block have in common, where one of them may stand for all."""
    layers = block._kuai_blocks()
    if not block._kuai_scans or len(layers) < 2:
        return Likeness(apart="they are few, or told to run one by one")
    return likeness(layers, rows)


def _gather(block: Any, present: dict[int, Node]) -> None:
    alike = stacked(block)
    before: list[Stack] = block._kuai.stacks
    stacks = [_stack_of(rows, block) for rows in (alike.places if alike.equal else [])]
    for stack in before:
        if stack not in stacks:
            stack.release()
    block._kuai.stacks = stacks or before  # empty ones: the layers may be equal again
    for stack in stacks:
        if not stack.whole and _are_free(stack, present):
            stack.gather()


def _stack_of(rows: tuple[Holder, ...], block: Any) -> Stack:
    """The stack of some rows: the one they had before, so that programs know it again."""
    return next((s for s in block._kuai.stacks if s.rows == rows), None) or Stack(rows, block)


def _are_free(stack: Stack, present: dict[int, Node]) -> bool:
    """Whether all rows have arrays to gather, taken out of stacks that nobody needs here."""
    if not all(row.ready for row in stack.rows):
        return False
    others: set[Any] = {row.row[0] for row in stack.rows if row.row is not None}
    others.discard(stack)
    if any(id(other.owner()) in present for other in others):
        return False
    for other in others:
        other.release()
    return True


def _above(holder: Holder) -> list[Any]:
    stacks = []
    while holder.row is not None:
        holder = holder.row[0]
        stacks.append(holder)
    return stacks
