"""The examples of control flow do what they say, trained for a shorter time."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from examples.control_flow import (
    adaptive_ode,
    chimera,
    dynamic_rnn,
    fixed_hidden_mlp,
    newton,
    sampling,
)

FOLDER = Path(__file__).parent.parent / "examples" / "control_flow"
MODULES = [adaptive_ode, chimera, dynamic_rnn, fixed_hidden_mlp, newton, sampling]


def loops(block: kuai.Block) -> list[int | None]:
    """The trips of each loop of a hybridized block in its last call."""
    staged = [part for signature in block.explain().signatures for part in signature.staged]
    return [part.trips for part in staged if part.kind == "while"]


def test_every_example_is_tested_here():
    assert {module.__name__.split(".")[-1] for module in MODULES} == {
        file.stem for file in FOLDER.glob("*.py")
    }


def test_fixed_hidden_mlp_learns_through_its_while(capsys):
    before, after = fixed_hidden_mlp.main(steps=400)
    assert before < 0.7
    assert after >= 0.98
    assert "trips in the last call" in capsys.readouterr().out


def test_a_step_of_fixed_hidden_mlp_is_the_step_of_plain_python():
    X = jnp.asarray(fixed_hidden_mlp.rows(1, seed=2)[0][0])
    compiled, plain = fixed_hidden_mlp.FixedHiddenMLP(), fixed_hidden_mlp.FixedHiddenMLP()
    plain.rand_weight = compiled.rand_weight
    loss = fixed_hidden_mlp.step(compiled, X, 0.75, 0.01)
    with kuai.eager():
        plain_loss = fixed_hidden_mlp.step(plain, X, 0.75, 0.01)
    assert float(loss) == pytest.approx(float(plain_loss), rel=1e-5)
    np.testing.assert_allclose(compiled.dense.weight, plain.dense.weight, rtol=1e-4, atol=1e-6)


def test_the_chimera_learns_a_loop_within_the_trainers_loop():
    before, after = chimera.main(epochs=1)
    assert before > 0.2
    assert after < 0.05


def eccentric_anomaly(M: np.ndarray, e: float) -> np.ndarray:
    E = M.astype(np.float64)
    for _ in range(50):
        E -= (E - e * np.sin(E) - M) / (1 - e * np.cos(E))
    return E


def test_newton_finds_the_eccentricity():
    orbit = newton.main(epochs=10)
    assert float(orbit.eccentricity) == pytest.approx(newton.ECCENTRICITY, abs=2e-3)
    assert loops(orbit)[0] in range(2, 6)


def test_the_gradient_through_newton_is_that_of_the_implicit_function():
    M = np.linspace(-3, 3, 7)
    orbit = newton.Orbit(0.6)

    def total(orbit, M):
        return orbit.solve(M).sum()

    slope = kuai.grad(kuai.hybrid(total))(orbit, jnp.asarray(M, jnp.float32))["eccentricity"]
    E = eccentric_anomaly(M, 0.6)
    assert float(slope) == pytest.approx(np.sum(np.sin(E) / (1 - 0.6 * np.cos(E))), abs=1e-4)


def test_the_recurrent_net_remembers_over_unequal_lengths():
    net, accuracy = dynamic_rnn.main(epochs=12, examples=1024)
    assert accuracy >= 0.95
    assert loops(net) == [10]  # the longest of the last batch


def test_what_stands_behind_the_end_of_a_sequence_changes_nothing():
    kuai.seed(0)
    net = dynamic_rnn.DynamicRNN(size=8).hybridize()
    (symbols, lengths), _ = map_first(dynamic_rnn.sequences(6, seed=3))
    behind = jnp.arange(dynamic_rnn.LONGEST) >= lengths[:, None]
    given = net(symbols, lengths)
    assert bool((net(jnp.where(behind, 2, symbols), lengths) == given).all())
    with kuai.eager():
        plain = net(symbols, lengths)
    np.testing.assert_allclose(given, plain, rtol=1e-5, atol=1e-6)


def map_first(data):
    return tuple(map(jnp.asarray, data[0])), data[1]


def test_sampled_words_are_months():
    words = sampling.main(epochs=60, words=40)
    assert sum(word in sampling.MONTHS for word in words) >= 36
    assert len(set(words)) >= 6


def test_the_sampler_draws_what_plain_python_draws():
    kuai.seed(0)
    sampler = sampling.Sampler(sampling.Speller()).hybridize()
    kuai.seed(1)
    compiled = [sampling.drawn(sampler, 1.0) for _ in range(5)]
    longest = sampling.LONGEST
    # The trip that draws the end counts too; the first, which asks no array, is written out.
    assert loops(sampler) == [min(len(compiled[-1]) + 1, longest) - 1]
    kuai.seed(1)
    with kuai.eager():
        assert [sampling.drawn(sampler, 1.0) for _ in range(5)] == compiled


def test_the_friction_of_the_pendulum_is_found():
    pendulum = adaptive_ode.main(epochs=40)
    assert float(pendulum.friction) == pytest.approx(adaptive_ode.FRICTION, abs=5e-3)
    assert int(pendulum.rejected) > 0


def test_the_adaptive_steps_solve_the_equation():
    integrate = pytest.importorskip("scipy.integrate")
    pendulum = adaptive_ode.Pendulum(0.3, tolerance=1e-5).hybridize()
    start = np.array([[1.5, 0.5]], np.float32)
    angles = pendulum(jnp.asarray(start))[0]

    def slope(t, y):
        return [y[1], -0.3 * y[1] - np.sin(y[0])]

    exact = integrate.solve_ivp(
        slope, (0, 10), start[0], t_eval=adaptive_ode.TIMES.astype(float), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(angles, exact.y[0], atol=3e-4)
    with kuai.eager():
        steps = int(pendulum.accepted)
        plain = pendulum(jnp.asarray(start))[0]
    assert int(pendulum.accepted) == 2 * steps
    np.testing.assert_allclose(angles, plain, atol=1e-5)
