"""The chapter's nets and some more in PyTorch; `tests.real_nets.shared` tells how to run this."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tests.real_nets import shared
from tests.real_nets.shared import CLASSES, FEATURES

ENDING = ".pt"


class MLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(FEATURES, width)
        self.out = nn.Linear(width, CLASSES)

    def forward(self, X: Any) -> Any:
        return self.out(functional.relu(self.hidden(X)))


class MySequential(nn.Module):
    def __init__(self, *modules: Any) -> None:
        super().__init__()
        for index, module in enumerate(modules):
            self._modules[str(index)] = module

    def forward(self, X: Any) -> Any:
        for module in self.children():
            X = module(X)
        return X


class FixedHiddenMLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rand_weight", torch.rand((20, 20)))
        self.linear = nn.Linear(20, 20)

    def forward(self, X: Any) -> Any:
        X = self.linear(X)
        X = functional.relu(X @ self.rand_weight + 1)
        X = self.linear(X)
        while X.abs().sum() > 1:
            X /= 2
        return X.sum()


class NestMLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, 8), nn.ReLU()
        )
        self.linear = nn.Linear(8, 6)

    def forward(self, X: Any) -> Any:
        return functional.relu(self.linear(self.net(X)))


class Recurrent(nn.Module):
    def __init__(self, rnn: Any, width: int) -> None:
        super().__init__()
        self.rnn = rnn
        self.head = nn.Linear(width, 2)

    def forward(self, X: Any) -> Any:
        return self.head(self.rnn(X)[0])


def nets(width: int) -> dict[str, nn.Module]:
    def layers() -> list[nn.Module]:
        return [nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, CLASSES)]

    found = {
        "net": nn.Sequential(*layers()),
        "mlp": MLP(width),
        "my_sequential": MySequential(*layers()),
        "fixed_hidden": FixedHiddenMLP(),
        "chimera": nn.Sequential(NestMLP(width), nn.Linear(6, 20), FixedHiddenMLP()),
        "convolution": nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(80, 2),
        ),
        "lstm": Recurrent(nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True), 8),
        "gru": Recurrent(nn.GRU(3, 4, batch_first=True), 4),
        "transformer": nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    }
    return {name: net.eval() for name, net in found.items()}


def fill(net: Any, _: np.ndarray, numbers: shared.Numbers) -> None:
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.tensor(numbers.of(name, tensor.shape)))


def output(net: Any, x: np.ndarray) -> np.ndarray:
    return net(torch.tensor(shared.channels_first(x))).detach().numpy()


def become_gradients(net: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output and the gradient of the input; each parameter becomes its gradient."""
    X: Any = torch.tensor(shared.channels_first(x), requires_grad=True)
    y = net(X)
    (y * torch.tensor(shared.factors(y.shape))).sum().backward()
    for parameter in net.parameters():
        parameter.data = parameter.grad
    return y.detach().numpy(), shared.channels_last(X.grad.numpy())


def save(net: Any, path: str) -> None:
    torch.save(net.state_dict(), path)


def load(net: Any, path: str, _: np.ndarray) -> None:
    net.load_state_dict(torch.load(path, weights_only=True), strict=True)


if __name__ == "__main__":
    shared.main(__name__)
