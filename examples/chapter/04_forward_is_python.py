"""Code in forward: a constant, one layer used twice, a loop on a value; then all of it nested.

The whole is compiled as it stands, its loop and its gradient included; examples/control_flow trains
it.
"""

import jax.numpy as jnp

import kuai
from kuai import nn


class FixedHiddenMLP(kuai.Block):
    def __init__(self):
        super().__init__()
        self.rand_weight = kuai.Constant(kuai.random.uniform((20, 20)))  # saved, never trained
        self.dense = nn.Dense(20)

    def forward(self, X):
        X = self.dense(X)
        X = nn.relu(X @ self.rand_weight + 1)
        X = self.dense(X)  # the same parameters once more
        while jnp.abs(X).sum() > 1:
            X /= 2
        return X.sum()


class NestMLP(kuai.Block):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Dense(64, activation="relu"), nn.Dense(32, activation="relu"))
        self.dense = nn.Dense(16, activation="relu")

    def forward(self, X):
        return self.dense(self.net(X))


X = kuai.random.uniform((2, 20))

net = FixedHiddenMLP()
print("FixedHiddenMLP:", net(X))
print("trained:", [path for path, _ in net.named_parameters()])

chimera = nn.Sequential(NestMLP(), nn.Dense(20), FixedHiddenMLP())
print("chimera:       ", chimera(X))

chimera.hybridize()  # one program from here on, the while in it
print("hybridized:    ", chimera(X))
loop = chimera.explain().signatures[0].staged[0]
print(f"its {loop.kind} in line {loop.line} made {loop.trips} trips")

loss, gradients = kuai.value_and_grad(lambda net, X: net(X))(chimera, X)
print("its gradient, through the while:")
for path, gradient in gradients.items():
    print(f"  {path:22} {gradient.shape}")
