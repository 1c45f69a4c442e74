"""A recurrent net over sequences of unequal lengths: as many steps as the longest of the batch.

Each sequence begins with one of four symbols, which the net is to name at the end: up to
twenty-four random symbols later, so it has to remember. The lengths are an array, and so
`range(lengths.max())` is a loop of the program: what stands behind the end of the sequences costs
nothing and changes nothing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

import kuai
from kuai import nn

SYMBOLS, LONGEST = 4, 25


class GatedCell(kuai.Block):
    """One step: how much of the state to keep, and what to put in its place."""

    def __init__(self, size: int):
        super().__init__()
        self.gate = nn.Dense(size)
        self.candidate = nn.Dense(size, activation="tanh")

    def forward(self, x, state):
        both = jnp.concatenate([x, state], axis=-1)
        keep = nn.sigmoid(self.gate(both) + 2)
        return keep * state + (1 - keep) * self.candidate(both)


class DynamicRNN(kuai.Block):
    """Symbols (batch, time) and lengths (batch,) → logits (batch, symbols)."""

    def __init__(self, size: int = 32):
        super().__init__()
        self.size = size
        self.cell = GatedCell(size)
        self.out = nn.Dense(SYMBOLS)

    def forward(self, symbols, lengths):
        x = jax.nn.one_hot(symbols, SYMBOLS)
        state = jnp.zeros((symbols.shape[0], self.size))
        for t in range(lengths.max()):
            inside = (t < lengths)[:, None]
            state = jnp.where(inside, self.cell(x[:, t], state), state)
        return self.out(state)


def sequences(count: int, seed: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """((symbols, lengths), first symbols); behind the end stands what is no symbol."""
    generator = np.random.default_rng(seed)
    symbols = generator.integers(0, SYMBOLS, (count, LONGEST)).astype(np.int32)
    lengths = generator.integers(5, LONGEST + 1, count).astype(np.int32)
    first = symbols[:, 0].copy()
    symbols[np.arange(LONGEST) >= lengths[:, None]] = -1
    return (symbols, lengths), first


def main(epochs: int = 20, examples: int = 2048) -> tuple[DynamicRNN, float]:
    kuai.seed(0)
    net = DynamicRNN()
    trainer = kuai.Trainer(
        net, optax.adam(1e-2), kuai.losses.softmax_cross_entropy, metrics=["accuracy"]
    )
    trainer.fit(sequences(examples, seed=0), epochs=epochs, batch_size=64, progress=False)
    accuracy = trainer.evaluate(sequences(512, seed=1), batch_size=64)["accuracy"]
    print(f"first symbol remembered in {accuracy:.0%} of new sequences")
    show_trips(net.hybridize())
    return net, accuracy


def show_trips(net: DynamicRNN) -> None:
    """Batches of short sequences take fewer steps, in the same program."""
    (symbols, lengths), _ = sequences(64, seed=2)
    for longest in (25, 10):
        net(jnp.asarray(symbols), jnp.minimum(jnp.asarray(lengths), longest))
        print(f"longest of a batch {longest}:", net.explain().signatures[0].staged[0])


if __name__ == "__main__":
    main()
