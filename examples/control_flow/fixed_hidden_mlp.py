"""The chapter's FixedHiddenMLP, trained through its while loop.

It is to tell whether two rows of numbers rise or fall on the whole: +0.75 or -0.75. Its `while`
halves the numbers until their sum is small, so how often it runs depends on the data and on the
parameters that are being trained. `kuai.hybrid` makes the whole step one program.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import kuai
from kuai import nn

ANSWER = 0.75


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


@kuai.hybrid
def step(net, X, answer, rate):
    """Gradient descent on the squared error of one answer."""
    error = kuai.value_and_grad(lambda net: jnp.square(net(X) - answer))
    loss, gradients = error(net)
    for path, parameter in net.named_parameters():
        parameter.array = parameter.array - rate * gradients[path]
    return loss


def rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of noisy rows that rise or fall: (count, 2, 20), and the answers: (count,)."""
    generator = np.random.default_rng(seed)
    signs = generator.choice([-1.0, 1.0], count)
    slopes = signs[:, None, None] * np.linspace(-1, 1, 20)
    noise = generator.normal(0, 0.5, (count, 2, 20))
    return (slopes + noise).astype(np.float32), (ANSWER * signs).astype(np.float32)


def share_right(net, X, answers) -> float:
    given = np.array([net(x) for x in X])
    return float(np.mean(np.sign(given) == np.sign(answers)))


def main(steps: int = 2000) -> tuple[float, float]:
    kuai.seed(0)
    net = FixedHiddenMLP().initialize(sample=jnp.ones((2, 20))).hybridize()
    X, answers = map(jnp.asarray, rows(steps, seed=0))
    held_out = tuple(map(jnp.asarray, rows(200, seed=1)))
    before = share_right(net, *held_out)
    for x, answer in zip(X, answers, strict=True):
        step(net, x, answer, 0.01)
    after = share_right(net, *held_out)
    print(f"right answers on new rows: {before:.0%} before training, {after:.0%} after")
    print(net.explain())
    return before, after


if __name__ == "__main__":
    main()
