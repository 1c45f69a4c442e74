"""Exercise 3. A function that makes many instances of one block and chains them."""

import kuai
from kuai import nn


def chain(block, count):
    """One copy after the other, each with parameters of its own."""
    return nn.Sequential([block.copy() for _ in range(count)])


def count_of(net):
    return sum(parameter.array.size for parameter in net.parameters())


pattern = nn.Residual(nn.Dense(16, activation="relu"), nn.Dense(20))
X = kuai.random.uniform((2, 20))

by_hand = chain(pattern, 3)
own = kuai.replicate(pattern, 3)
shared = kuai.replicate(pattern, 3, share=True)

for name, net in [("by hand", by_hand), ("replicate", own), ("replicate, share=True", shared)]:
    print(f"{name:22} output {net(X).shape}, {count_of(net)} numbers to train")
