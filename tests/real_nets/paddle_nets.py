"""The chapter's nets and some more in Paddle; `tests.real_nets.shared` tells how to run this."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

from tests.real_nets import shared
from tests.real_nets.shared import CLASSES, FEATURES

ENDING = ".pdparams"


class MLP(nn.Layer):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(FEATURES, width)
        self.out = nn.Linear(width, CLASSES)

    def forward(self, X: Any) -> Any:
        return self.out(functional.relu(self.hidden(X)))


class MySequential(nn.Layer):
    def __init__(self, *layers: Any) -> None:
        super().__init__()
        for index, layer in enumerate(layers):
            self.add_sublayer(str(index), layer)

    def forward(self, X: Any) -> Any:
        for layer in self._sub_layers.values():
            X = layer(X)
        return X


class FixedHiddenMLP(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rand_weight", paddle.uniform((20, 20)))
        self.linear = nn.Linear(20, 20)

    def forward(self, X: Any) -> Any:
        X = self.linear(X)
        X = functional.relu(paddle.matmul(X, self.rand_weight) + 1)
        X = self.linear(X)
        while X.abs().sum() > 1:
            X = X / 2
        return X.sum()


class NestMLP(nn.Layer):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, 8), nn.ReLU()
        )
        self.linear = nn.Linear(8, 6)

    def forward(self, X: Any) -> Any:
        return functional.relu(self.linear(self.net(X)))


class Recurrent(nn.Layer):
    def __init__(self, rnn: Any, width: int) -> None:
        super().__init__()
        self.rnn = rnn
        self.head = nn.Linear(width, 2)

    def forward(self, X: Any) -> Any:
        return self.head(self.rnn(X)[0])


def nets(width: int) -> dict[str, Any]:
    def layers() -> list[Any]:
        return [nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, CLASSES)]

    found = {
        "net": nn.Sequential(*layers()),
        "mlp": MLP(width),
        "my_sequential": MySequential(*layers()),
        "fixed_hidden": FixedHiddenMLP(),
        "chimera": nn.Sequential(NestMLP(width), nn.Linear(6, 20), FixedHiddenMLP()),
        "convolution": nn.Sequential(
            nn.Conv2D(3, 4, 3, padding=1),
            nn.BatchNorm2D(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(80, 2),
        ),
        "lstm": Recurrent(nn.LSTM(3, 4, 2, direction="bidirect"), 8),
        "gru": Recurrent(nn.GRU(3, 4), 4),
        "transformer": nn.TransformerEncoderLayer(8, 2, 16),
    }
    for net in found.values():
        net.eval()
    return found


def fill(net: Any, _: np.ndarray, numbers: shared.Numbers) -> None:
    for name, tensor in net.state_dict().items():
        tensor.set_value(numbers.of(name, tensor.shape))


def output(net: Any, x: np.ndarray) -> np.ndarray:
    return net(paddle.to_tensor(shared.channels_first(x))).numpy()


def become_gradients(net: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output and the gradient of the input; each parameter becomes its gradient."""
    if isinstance(net, Recurrent):
        net.train()  # Paddle differentiates recurrent layers in no other mode
    X = paddle.to_tensor(shared.channels_first(x), stop_gradient=False)
    y = net(X)
    (y * paddle.to_tensor(shared.factors(y.shape))).sum().backward()
    for parameter in net.parameters():
        if not parameter.stop_gradient:
            parameter.set_value(parameter.grad)
    return y.numpy(), shared.channels_last(X.grad.numpy())


def save(net: Any, path: str) -> None:
    paddle.save(net.state_dict(), path)


def load(net: Any, path: str, _: np.ndarray) -> None:
    missing, unexpected = net.set_state_dict(paddle.load(path))
    if missing or unexpected:
        raise ValueError(f"{path}: missing {missing}, unexpected {unexpected}")


if __name__ == "__main__":
    shared.main(__name__)
