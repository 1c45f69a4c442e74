"""The sequential block, written at home: a dict on self is all the registration there is."""

import kuai
from kuai import nn


class MySequential(kuai.Block):
    def __init__(self, *blocks):
        super().__init__()
        self.steps = {str(index): block for index, block in enumerate(blocks)}

    def forward(self, X):
        for block in self.steps.values():
            X = block(X)
        return X


net = MySequential(nn.Dense(256, activation="relu"), nn.Dense(10))
Y = net(kuai.random.uniform((2, 20)))

print("output", Y.shape)
print(Y)
print("parameters", [path for path, _ in net.named_parameters()])
