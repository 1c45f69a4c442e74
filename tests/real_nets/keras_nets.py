"""The chapter's nets and some more in Keras; `tests.real_nets.shared` tells how to run this."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np
from keras import layers, ops

from tests.real_nets import shared
from tests.real_nets.shared import CLASSES, FEATURES

ENDING = ".weights.h5"


class MLP(keras.Model):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = layers.Dense(width, activation="relu")
        self.out = layers.Dense(CLASSES)

    def call(self, X: Any) -> Any:
        return self.out(self.hidden(X))


class MySequential(keras.Model):
    def __init__(self, *blocks: Any) -> None:
        super().__init__()
        self.modules = list(blocks)

    def call(self, X: Any) -> Any:
        for module in self.modules:
            X = module(X)
        return X


class FixedHiddenMLP(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.rand_weight = self.add_weight(shape=(20, 20), trainable=False)
        self.dense = layers.Dense(20)

    def build(self, shape: Any) -> None:
        self.dense.build(shape)

    def compute_output_spec(self, X: Any) -> Any:
        """A `Sequential` asks for shapes before there are values to loop over."""
        return keras.KerasTensor((), X.dtype)

    def call(self, X: Any) -> Any:
        X = self.dense(X)
        X = ops.relu(ops.matmul(X, self.rand_weight) + 1)
        X = self.dense(X)
        while ops.sum(ops.abs(X)) > 1:
            X = X / 2
        return ops.sum(X)


class NestMLP(keras.Model):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = keras.Sequential(
            [layers.Dense(width, activation="relu"), layers.Dense(8, activation="relu")]
        )
        self.dense = layers.Dense(6, activation="relu")

    def call(self, X: Any) -> Any:
        return self.dense(self.net(X))


class Recurrent(keras.Model):
    def __init__(self, *rnn: Any) -> None:
        super().__init__()
        self.rnn = list(rnn)
        self.head = layers.Dense(2)

    def call(self, X: Any) -> Any:
        for layer in self.rnn:
            X = layer(X)
        return self.head(X)


class FeedForward(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.up = layers.Dense(16, activation="relu")
        self.down = layers.Dense(8)

    def call(self, X: Any) -> Any:
        return self.down(self.up(X))


class EncoderLayer(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.attention = layers.MultiHeadAttention(2, 4)
        self.attention_norm = layers.LayerNormalization()
        self.feed_forward = FeedForward()
        self.feed_forward_norm = layers.LayerNormalization()

    def call(self, X: Any) -> Any:
        X = self.attention_norm(X + self.attention(X, X))
        return self.feed_forward_norm(X + self.feed_forward(X))


def nets(width: int) -> dict[str, Any]:
    def dense() -> list[Any]:
        return [layers.Dense(width, activation="relu"), layers.Dense(CLASSES)]

    def lstm() -> Any:
        return layers.Bidirectional(layers.LSTM(4, return_sequences=True))

    return {
        "net": keras.Sequential([keras.Input((FEATURES,)), *dense()]),
        "mlp": MLP(width),
        "my_sequential": MySequential(*dense()),
        "fixed_hidden": FixedHiddenMLP(),
        "chimera": keras.Sequential([NestMLP(width), layers.Dense(20), FixedHiddenMLP()]),
        "convolution": keras.Sequential(
            [
                layers.Conv2D(4, 3, padding="same"),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Flatten(),
                layers.Dense(2),
            ]
        ),
        "lstm": Recurrent(lstm(), lstm()),
        "gru": Recurrent(layers.GRU(4, return_sequences=True)),
        "transformer": EncoderLayer(),
    }


def fill(net: Any, x: np.ndarray, numbers: shared.Numbers) -> None:
    net(x)
    for weight in net.weights:
        weight.assign(numbers.of(weight.path, weight.shape))


def output(net: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(net(x))


def become_gradients(net: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output and the gradient of the input; each parameter becomes its gradient."""
    fixed = [weight.value for weight in net.non_trainable_variables]

    def of_outputs(trained: Any, X: Any) -> Any:
        y, _ = net.stateless_call(trained, fixed, X)
        return (y * shared.factors(y.shape)).sum(), y

    trained = [weight.value for weight in net.trainable_variables]
    differentiate = jax.grad(of_outputs, argnums=(0, 1), has_aux=True)
    (gradients, of_x), y = differentiate(trained, x)
    for index, gradient in enumerate(gradients):
        net.trainable_variables[index].assign(gradient)
    return np.asarray(y), np.asarray(of_x)


def save(net: Any, path: str) -> None:
    net.save_weights(path)


def load(net: Any, path: str, x: np.ndarray) -> None:
    net(x)
    net.load_weights(path)


if __name__ == "__main__":
    shared.main(__name__)
