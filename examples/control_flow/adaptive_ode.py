"""A differential equation solved with steps of adaptive length; it learns a coefficient.

A pendulum swings with friction c: x'' = -c x' - sin x. An embedded pair of Runge-Kutta formulas
(Bogacki and Shampine, orders 3 and 2) estimates the error of each step. A step whose error is too
large is rejected and tried again at a shorter length: a branch in a while loop in a for loop, and
the friction is learnt from places seen at given times, through all three.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax

import kuai

FRICTION = 0.3  # of the pendulum that is observed
TIMES = np.linspace(0.5, 10.0, 20, dtype=np.float32)


class Pendulum(kuai.Block):
    """Angle and speed at the start (batch, 2) → angles at the times (batch, times).

    Args:
        friction: to begin with.
        tolerance: error allowed in a step.
    """

    def __init__(self, friction: float, tolerance: float = 1e-4):
        super().__init__()
        self.friction = kuai.Parameter(jnp.asarray(friction))
        self.tolerance = tolerance
        self.accepted = kuai.State(jnp.zeros((), jnp.int32))
        self.rejected = kuai.State(jnp.zeros((), jnp.int32))

    def slope(self, y):
        angle, speed = y[:, 0], y[:, 1]
        return jnp.stack([speed, -self.friction * speed - jnp.sin(angle)], axis=-1)

    def attempt(self, y, h):
        """One step of length h: (y after it, estimate of its error)."""
        k1 = self.slope(y)
        k2 = self.slope(y + h / 2 * k1)
        k3 = self.slope(y + 3 * h / 4 * k2)
        new = y + h * (2 * k1 + 3 * k2 + 4 * k3) / 9
        k4 = self.slope(new)
        error = h * (-5 * k1 + 6 * k2 + 8 * k3 - 9 * k4) / 72
        return new, jnp.abs(error).max()

    def forward(self, y):
        t, h = jnp.zeros(()), jnp.asarray(0.5)
        angles = jnp.zeros((y.shape[0], len(TIMES)))
        for index, end in enumerate(jnp.asarray(TIMES)):
            while t < end:
                length = jnp.minimum(h, end - t)
                new, error = self.attempt(y, length)
                if error <= self.tolerance:
                    y = new
                    t = jnp.where(length < h, end, t + length)
                    self.accepted += 1
                else:
                    self.rejected += 1
                growth = 0.9 * jnp.cbrt(self.tolerance / jnp.maximum(error, 1e-12))
                h = length * jnp.clip(growth, 0.2, 5.0)
            angles = angles.at[:, index].set(y[:, 0])
        return angles


def starts(count: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.uniform([-2.0, -1.0], [2.0, 1.0], (count, 2)).astype(np.float32)


def main(epochs: int = 100) -> Pendulum:
    kuai.seed(0)
    y = starts(64)
    seen = Pendulum(FRICTION, tolerance=1e-6).hybridize()(jnp.asarray(y))
    pendulum = Pendulum(friction=0.05)
    trainer = kuai.Trainer(pendulum, optax.adam(2e-2), kuai.losses.mse)
    trainer.fit((y, np.asarray(seen)), epochs=epochs, batch_size=32, progress=False)
    print(f"friction: {pendulum.friction:.4f} learnt, {FRICTION} true, 0.05 at first")
    print(f"steps: {pendulum.accepted} accepted, {pendulum.rejected} rejected")
    return pendulum


if __name__ == "__main__":
    main()
