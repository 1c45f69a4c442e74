"""The chapter's nets and some more in Gluon; `tests.real_nets.shared` tells how to run this."""

from __future__ import annotations

from typing import Any

import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import nn, rnn

from tests.real_nets import shared
from tests.real_nets.shared import CLASSES

ENDING = ".params"


class MLP(nn.Block):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Dense(width, activation="relu")
        self.out = nn.Dense(CLASSES)

    def forward(self, X: Any) -> Any:
        return self.out(self.hidden(X))


class MySequential(nn.Block):
    def add(self, block: Any) -> None:
        self._children[block.name] = block

    def forward(self, X: Any) -> Any:
        for block in self._children.values():
            X = block(X)
        return X


class FixedHiddenMLP(nn.Block):
    def __init__(self) -> None:
        super().__init__()
        self.rand_weight = self.params.get_constant(
            "rand_weight", nd.random.uniform(shape=(20, 20))
        )
        self.dense = nn.Dense(20)

    def forward(self, X: Any) -> Any:
        X = self.dense(X)
        X = nd.relu(nd.dot(X, self.rand_weight.data()) + 1)
        X = self.dense(X)
        while X.abs().sum() > 1:
            X = X / 2
        return X.sum()


class NestMLP(nn.Block):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = chain(
            nn.Sequential(), nn.Dense(width, activation="relu"), nn.Dense(8, activation="relu")
        )
        self.dense = nn.Dense(6, activation="relu")

    def forward(self, X: Any) -> Any:
        return self.dense(self.net(X))


class Recurrent(nn.Block):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.rnn = layer
        self.head = nn.Dense(2, flatten=False)

    def forward(self, X: Any) -> Any:
        return self.head(self.rnn(X))


def chain(net: Any, *blocks: Any) -> Any:
    for block in blocks:
        net.add(block)
    return net


def nets(width: int) -> dict[str, Any]:
    def dense() -> list[Any]:
        return [nn.Dense(width, activation="relu"), nn.Dense(CLASSES)]

    return {
        "net": chain(nn.Sequential(), *dense()),
        "mlp": MLP(width),
        "my_sequential": chain(MySequential(), *dense()),
        "fixed_hidden": FixedHiddenMLP(),
        "chimera": chain(nn.Sequential(), NestMLP(width), nn.Dense(20), FixedHiddenMLP()),
        "convolution": chain(
            nn.Sequential(),
            nn.Conv2D(4, 3, padding=1),
            nn.BatchNorm(),
            nn.Activation("relu"),
            nn.Flatten(),
            nn.Dense(2),
        ),
        "lstm": Recurrent(rnn.LSTM(4, 2, bidirectional=True, layout="NTC")),
        "gru": Recurrent(rnn.GRU(4, layout="NTC")),
    }


def fill(net: Any, x: np.ndarray, numbers: shared.Numbers) -> None:
    net.initialize()
    output(net, x)
    for name, parameter in net.collect_params().items():
        parameter.set_data(nd.array(numbers.of(name, parameter.shape)))


def output(net: Any, x: np.ndarray) -> np.ndarray:
    return net(nd.array(shared.channels_first(x))).asnumpy()


def become_gradients(net: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output and the gradient of the input; each parameter becomes its gradient."""
    X = nd.array(shared.channels_first(x))
    X.attach_grad()
    # MXNet differentiates a recurrent layer in train mode only; BatchNorm needs the other.
    train_mode = isinstance(net, Recurrent)
    with autograd.record(train_mode=train_mode):
        y = net(X)
        loss = (y * nd.array(shared.factors(y.shape))).sum()
    loss.backward(train_mode=train_mode)
    for parameter in net.collect_params().values():
        if parameter.grad_req != "null":
            parameter.set_data(parameter.grad())
    return y.asnumpy(), shared.channels_last(X.grad.asnumpy())


def save(net: Any, path: str) -> None:
    net.save_parameters(path)


def load(net: Any, path: str, _: np.ndarray) -> None:
    net.load_parameters(path)


if __name__ == "__main__":
    shared.main(__name__)
