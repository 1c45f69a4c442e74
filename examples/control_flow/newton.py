"""An implicit layer: Kepler's equation, solved by Newton's method in a while loop.

A planet at mean anomaly M (its time, as an angle) stands at the eccentric anomaly E where
E - e sin E = M. No formula gives E; Newton's method does, in as many trips as the accuracy asks.
The layer learns the eccentricity e of an orbit from places seen at known times: the gradient goes
back through the loop.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax

import kuai

ECCENTRICITY = 0.6  # of the orbit that is observed
NOISE = 0.01


class Orbit(kuai.Block):
    """Mean anomalies (batch,) → places (batch, 2), in units of the larger half axis."""

    def __init__(self, eccentricity: float):
        super().__init__()
        self.eccentricity = kuai.Parameter(jnp.asarray(eccentricity))

    def forward(self, M):
        e = self.eccentricity
        E = self.solve(M)
        return jnp.stack([jnp.cos(E) - e, jnp.sqrt(1 - e**2) * jnp.sin(E)], axis=-1)

    def solve(self, M):
        e = self.eccentricity
        E = M + e * jnp.sin(M)
        miss = E - e * jnp.sin(E) - M
        while jnp.abs(miss).max() > 1e-6:
            E = E - miss / (1 - e * jnp.cos(E))
            miss = E - e * jnp.sin(E) - M
        return E


def observed(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and noisy places of the planet, its equation solved by bisection."""
    generator = np.random.default_rng(seed)
    M = generator.uniform(-np.pi, np.pi, count)
    low, high = M - 1, M + 1
    for _ in range(60):
        E = (low + high) / 2
        beyond = E - ECCENTRICITY * np.sin(E) > M
        low, high = np.where(beyond, low, E), np.where(beyond, E, high)
    minor = np.sqrt(1 - ECCENTRICITY**2)
    places = np.stack([np.cos(E) - ECCENTRICITY, minor * np.sin(E)], axis=-1)
    noise = generator.normal(0, NOISE, places.shape)
    return M.astype(np.float32), (places + noise).astype(np.float32)


def main(epochs: int = 20) -> Orbit:
    kuai.seed(0)
    orbit = Orbit(eccentricity=0.1)
    trainer = kuai.Trainer(orbit, optax.adam(1e-2), kuai.losses.mse)
    trainer.fit(observed(512, seed=0), epochs=epochs, batch_size=64, progress=False)
    print(f"eccentricity: {orbit.eccentricity:.4f} learnt, {ECCENTRICITY} true, 0.1 at first")
    orbit.hybridize()
    orbit(jnp.linspace(-3.0, 3.0, 64))
    print(orbit.explain().signatures[0].staged[0])
    return orbit


if __name__ == "__main__":
    main()
