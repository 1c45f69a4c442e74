"""What the tests of initial values share."""

from __future__ import annotations

import jax.numpy as jnp

import kuai
from kuai import nn

X = jnp.ones((2, 3))


class Halving(kuai.Block):
    """The chapter's FixedHiddenMLP in small: it branches on the values of an array."""

    def __init__(self):
        self.dense = nn.Dense(3)

    def forward(self, x):
        x = self.dense(self.dense(x))
        while jnp.abs(x).sum() > 1:
            x = x / 2
        return x.sum()
