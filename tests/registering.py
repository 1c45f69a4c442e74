"""What the tests of registration share."""

from __future__ import annotations

import jax.numpy as jnp

import kuai


def paths(block: kuai.Block) -> list[str]:
    return [path for path, _ in block.named_parameters()]


def p(size: int = 1) -> kuai.Parameter:
    return kuai.Parameter(jnp.zeros(size))


class Bare(kuai.Block):
    """A block without an __init__ of its own."""


def bare(**attributes: object) -> kuai.Block:
    block = Bare()
    for name, value in attributes.items():
        setattr(block, name, value)
    return block
