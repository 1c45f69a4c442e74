"""`replicate`: many instances of one block."""

from __future__ import annotations

import copy
from typing import Any

from kuai.core.block import Block
from kuai.core.parameter import Holder
from kuai.core.sequential import Sequential
from kuai.core.steps import as_block
from kuai.core.tree import walk
from kuai.errors import ArgumentError


def replicate(block: Any, n: Any, *, share: bool = False) -> Sequential:
    """Many instances of one block, one after the other.

    Args:
        block: the pattern. It is not among the instances, unless `share`.
        n: how many, at least 1.
        share: True: the same block n times, one set of parameters. False: instances of their own,
            whose values are made anew, independently.

    Returns:
        A `Sequential` of them.

    Raises:
        ArgumentError: `n` is not a positive integer.
        RegistrationError: `block` is neither a block nor a function.

    Example:
        >>> net = kuai.replicate(nn.Dense(4), 3)
        >>> len(net.parameters()), len(kuai.replicate(nn.Dense(4), 3, share=True).parameters())
        (6, 2)
    """
    pattern = as_block(block, "replicate")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ArgumentError(
            f"replicate: expected a number of instances of at least 1, got {n!r}; give a count"
        )
    if share:
        return Sequential(*[pattern] * n)
    return Sequential(*[fresh(pattern) for _ in range(n)])


def fresh(block: Block) -> Block:
    """A copy whose made values will be made anew."""
    twin = copy.deepcopy(block)
    for holder in walk(twin).holders.values():
        _forget(holder)
    return twin


def _forget(holder: Holder) -> None:
    if holder.made:
        holder.clear()
        holder.birth = None
