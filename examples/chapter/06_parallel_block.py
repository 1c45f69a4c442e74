"""Exercise 2. A block of two nets, their outputs concatenated: written at home, then ready-made."""

import jax.numpy as jnp

import kuai
from kuai import nn


class Parallel(kuai.Block):
    def __init__(self, net1, net2):
        super().__init__()
        self.net1 = net1
        self.net2 = net2

    def forward(self, X):
        return jnp.concatenate([self.net1(X), self.net2(X)], axis=-1)


X = kuai.random.uniform((2, 20))
net1, net2 = nn.Dense(3), nn.Dense(4)

mine = Parallel(net1, net2)(X)
ready_made = nn.Parallel(net1, net2)(X)

print("outputs", net1(X).shape, "and", net2(X).shape, "-> together", mine.shape)
print("nn.Parallel gives the same:", bool((mine == ready_made).all()))
