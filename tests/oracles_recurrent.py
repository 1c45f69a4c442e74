"""What recurrent layers compute, in float64 NumPy, from the formulas and with nothing of kuai."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.oracles import Arrays, sigmoid

Step = Callable[[Arrays, str, np.ndarray, list[np.ndarray]], list[np.ndarray]]


def sums(a: Arrays, at: str, x: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inputs = x @ a[f"{at}input_weight"] + a.get(f"{at}bias", 0.0)
    return inputs, hidden @ a[f"{at}recurrent_weight"] + a.get(f"{at}recurrent_bias", 0.0)


def rnn_step(activation: Callable[[Any], Any] = np.tanh) -> Step:
    def step(a, at, x, state):
        return [activation(sum(sums(a, at, x, state[0])))]

    return step


def lstm_step(a, at, x, state):
    hidden, cell = state
    i, f, g, o = np.split(sum(sums(a, at, x, hidden)), 4, -1)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(cell), cell]


def gru_step(a, at, x, state):
    inputs, across = sums(a, at, x, state[0])
    (r, z, n), (u, v, m) = np.split(inputs, 3, -1), np.split(across, 3, -1)
    reset, update = sigmoid(r + u), sigmoid(z + v)
    return [(1 - update) * np.tanh(n + reset * m) + update * state[0]]


def over_time(
    step: Step, states: int, a: Arrays, at: str, x: np.ndarray, *, reverse: bool = False
) -> np.ndarray:
    """Outputs (batch, time, units) of a cell that starts from zeros."""
    units = a[f"{at}recurrent_weight"].shape[0]
    state = [np.zeros((len(x), units))] * states
    outputs = np.zeros((*x.shape[:2], units))
    order = range(x.shape[1])
    for t in reversed(order) if reverse else order:
        state = step(a, at, x[:, t], state)
        outputs[:, t] = state[0]
    return outputs
