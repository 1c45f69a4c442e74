"""A multilayer perceptron from ready-made blocks."""

import kuai
from kuai import nn

net = nn.Sequential(nn.Dense(256, activation="relu"), nn.Dense(10))

X = kuai.random.uniform((2, 20))
Y = net(X)  # the input's width is known here, so the parameters are made here

print(net)
print("input", X.shape, "-> output", Y.shape)
print(Y)
