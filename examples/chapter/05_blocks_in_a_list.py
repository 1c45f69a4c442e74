"""Exercise 1. Blocks kept in a Python list.

In Gluon, PyTorch and Paddle a plain list hides its blocks. The net computes, but its parameters are
not found: they are not initialized, not given to the optimizer, not moved to the device and not
saved, and nothing says so. Each system has a special list to use instead. In kuai a list is watched
from the moment it is put on a block.
"""

import jax.numpy as jnp

import kuai
from kuai import nn


class MySequential(kuai.Block):
    def __init__(self, *blocks):
        super().__init__()
        self.blocks_in_order = list(blocks)

    def forward(self, X):
        for block in self.blocks_in_order:
            X = block(X)
        return X


net = MySequential(nn.Dense(8, activation="relu"))
net.blocks_in_order.append(nn.Dense(1))  # later, in place: noticed as well
X = kuai.random.uniform((2, 20))
net(X)

gradients = kuai.grad(lambda net, X: jnp.square(net(X)).sum())(net, X)
for path, parameter in net.named_parameters():
    print(f"{path:26} {parameter.shape!s:10} gradient {gradients[path].shape}")
