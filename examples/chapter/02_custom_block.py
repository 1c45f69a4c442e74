"""A block of one's own: layers on self, the computation in forward."""

import kuai
from kuai import nn


class MLP(kuai.Block):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Dense(256, activation="relu")
        self.out = nn.Dense(10)

    def forward(self, X):
        return self.out(self.hidden(X))


net = MLP()
Y = net(kuai.random.uniform((2, 20)))

print("output", Y.shape)
print(Y)
for path, parameter in net.named_parameters():
    print(f"{path:14} {parameter.shape}")
