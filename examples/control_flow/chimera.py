"""The chapter's chimera: a nest of blocks, one of them with a loop, trained by the Trainer.

The Trainer runs many steps a call, so here the `while` of FixedHiddenMLP is a loop within its loop.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax

import kuai
from kuai import nn


class NestMLP(kuai.Block):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Dense(64, activation="relu"), nn.Dense(32, activation="relu"))
        self.dense = nn.Dense(16, activation="relu")

    def forward(self, X):
        return self.dense(self.net(X))


class FixedHiddenMLP(kuai.Block):
    def __init__(self):
        super().__init__()
        self.rand_weight = kuai.Constant(kuai.random.uniform((20, 20)))
        self.dense = nn.Dense(20)

    def forward(self, X):
        X = self.dense(X)
        X = nn.relu(X @ self.rand_weight + 1)
        X = self.dense(X)
        while jnp.abs(X).sum() > 1:
            X /= 2
        return X.sum()


def pairs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows of noise, (count, 2, 20), and answers: 0.5 where it is loud, -0.5 where quiet.

    No linear function tells them apart: both kinds are zero in the mean.
    """
    generator = np.random.default_rng(seed)
    loud = generator.choice([False, True], count)
    noise = generator.normal(size=(count, 2, 20)) * np.where(loud, 1.5, 0.5)[:, None, None]
    return noise.astype(np.float32), np.where(loud, 0.5, -0.5).astype(np.float32)


def squared_error(output, target):
    return jnp.square(output - target).mean()


def main(epochs: int = 5, examples: int = 2000) -> tuple[float, float]:
    kuai.seed(0)
    chimera = nn.Sequential(NestMLP(), nn.Dense(20), FixedHiddenMLP())
    trainer = kuai.Trainer(chimera, optax.adam(3e-4), squared_error)
    held_out = pairs(200, seed=1)
    before = trainer.evaluate(held_out, batch_size=1)["loss"]
    trainer.fit(pairs(examples, seed=0), epochs=epochs, batch_size=1, progress=False)
    after = trainer.evaluate(held_out, batch_size=1)["loss"]
    print(f"squared error on new pairs: {before:.3f} before training, {after:.3f} after")
    return before, after


if __name__ == "__main__":
    main()
