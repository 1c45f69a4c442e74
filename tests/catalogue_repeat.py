"""`nn.Repeat` in its configurations, for the catalogue."""

from __future__ import annotations

import numpy as np

from kuai import nn
from tests.entry import Entry
from tests.oracles import batch_norm, dense

N = 3


def hidden(arrays, x, prefix):
    """x + W tanh(V x)."""
    inside = np.tanh(dense(arrays, x, f"{prefix}block.0."))
    return x + dense(arrays, inside, f"{prefix}block.1.")


def normed(arrays, x, prefix):
    start = f"{prefix}block."
    own = {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
    return x + batch_norm(own, x, training=True)


def repeated(layer, prefixes):
    def oracle(arrays, x):
        for prefix in prefixes:
            x = layer(arrays, x, prefix)
        return x

    return oracle


def residuals(torch):
    """The layers of torch that compute the same."""

    class Residuals(torch.nn.Module):
        def __init__(self):
            super().__init__()
            pairs = [(torch.nn.Linear(6, 4), torch.nn.Linear(4, 6)) for _ in range(N)]
            self.layers = torch.nn.ModuleList(map(torch.nn.ModuleList, pairs))

        def forward(self, x):
            for first, second in self.layers:
                x = x + second(torch.tanh(first(x)))
            return x

    return Residuals()


EACH = [f"{i}." for i in range(N)]
NAMES = {
    f"{i}.block.{j}.{name}": f"layers.{i}.{j}.{name}{'.T' if name == 'weight' else ''}"
    for i in range(N)
    for j in (0, 1)
    for name in ("weight", "bias")
}

REPEATS = [
    Entry(
        "Repeat",
        lambda: nn.Repeat(lambda: nn.Residual(nn.Dense(4, activation="tanh"), nn.Dense(6)), N),
        repeated(hidden, EACH),
        peer=residuals,
        names=NAMES,
        mixed="refused",
    ),
    Entry(
        "Repeat with State",
        lambda: nn.Repeat(nn.Residual(nn.BatchNorm()), 2, unroll=2),
        repeated(normed, EACH[:2]),
        inputs=((8, 6),),  # with 5 a variance is small, and its rounding large
        output=(8, 6),
        training=True,
        state=tuple(f"{p}block.running_{what}" for p in EACH[:2] for what in ("mean", "var")),
        batch=None,
    ),
]
