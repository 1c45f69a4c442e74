"""Random forwards: compiled against eager, and both against NumPy float64.

To see what is drawn: pytest --hypothesis-show-statistics.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, event, given, note, seed, settings

import kuai
from tests.forwards import numpy_run
from tests.random_forwards import HEAD, forward_of, sources

INPUTS = [
    (np.array([0.31, -0.84, 0.57]), np.array([1.13, 0.22, -0.41])),
    (np.array([0.91, 0.44, -0.17]), np.array([-0.63, 0.12, 0.71])),
    (np.array([-0.51, -0.94, 0.27]), np.array([0.33, -1.22, 0.41])),
]
# `steady` leaves gains below 100 to float32's rounding; several hundred programs keep this.
TOLERANCE: Any = {"rtol": 1e-5, "atol": 1e-5}
# A gradient may gain 100 times float32's 6e-8 in each of some tens of operations.
GRADIENT: Any = {"rtol": 1e-4, "atol": 1e-4}
done: set[str] = set()

drawing = settings(
    database=None,
    phases=[Phase.generate],  # shrinking and explaining a failure would compile thousands more
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


def steady(forward: Any, a: Any, b: Any) -> bool:
    """Whether a small change of an input changes the output little, so that rounding does too."""
    outputs = [numpy_run.run(forward, a * factor, b) for factor in (1, 1 + 1e-5, 1 - 1e-5)]
    return all(
        np.allclose(here, there, rtol=1e-3, atol=1e-3)
        for output in outputs[1:]
        for here, there in zip(outputs[0], output, strict=True)
    )


def total(output: Any) -> jax.Array:
    a, b, n = output
    return jnp.sum(a) + jnp.sum(b) + jnp.asarray(n, jnp.float32)


def as_float32(inputs: Any) -> Any:
    return [jnp.asarray(x, jnp.float32) for x in inputs]


def note_kinds(source: str) -> None:
    for kind in ("while", "for ", "elif", "else", "break", "continue", "return"):
        event(f"{kind.strip()}: {kind in source.removeprefix(HEAD).rpartition('return')[0]}")


def check(source: str, folder: Path, gradient_of_every: int) -> None:
    """Compare what is new and steady, for all inputs.

    Compiling a gradient takes several times a value's time, so only some have theirs taken.
    """
    assume(source not in done)
    forward = forward_of(source, folder)
    assume(all(steady(forward, *inputs) for inputs in INPUTS))
    with_gradients = zlib.crc32(source.encode()) % gradient_of_every == 0
    derivatives = differences(forward) if with_gradients else []
    assume(derivatives is not None)
    note(source)
    note_kinds(source)
    check_values(forward)
    if derivatives:
        check_gradients(forward, derivatives)
    done.add(source)


def differences(forward: Any) -> list[list[np.ndarray]] | None:
    """NumPy's derivatives for all inputs, or None where outputs bend too sharply to have them."""
    try:
        return [numpy_run.gradients(forward, *inputs) for inputs in INPUTS]
    except AssertionError:
        return None


def check_values(forward: Any) -> None:
    compiled = kuai.hybrid(forward)
    for inputs in INPUTS:
        expected = forward(*as_float32(inputs))
        assert_close(expected, numpy_run.run(forward, *inputs))
        assert_close(compiled(*as_float32(inputs)), expected)


def gradient_of(forward: Any) -> Any:
    return kuai.grad(lambda a, b: total(forward(a, b)), wrt=(0, 1))


def check_gradients(forward: Any, derivatives: list[list[np.ndarray]]) -> None:
    eager, compiled = gradient_of(forward), kuai.hybrid(gradient_of(kuai.hybrid(forward)))
    for inputs, derivative in zip(INPUTS, derivatives, strict=True):
        with kuai.eager():
            expected = eager(*as_float32(inputs))
        assert_close(expected, derivative, GRADIENT)
        assert_close(compiled(*as_float32(inputs)), expected, GRADIENT)


def assert_close(got: Any, expected: Any, tolerance: Any = TOLERANCE) -> None:
    for a, b in zip(got, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, **tolerance)


@settings(drawing, max_examples=60)
@given(source=sources(depth=2, statements=7))
def test_random_forwards_compile_to_what_they_are(source, folder):
    check(source, folder, gradient_of_every=3)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_many_random_forwards_compile_to_what_they_are(part, folder):
    """Two thousand of them, in parts that workers share."""

    @seed(part)
    @settings(drawing, max_examples=500)
    @given(source=sources())
    def draw(source: str) -> None:
        check(source, folder, gradient_of_every=6)
        if len(done) % 100 == 0:
            jax.clear_caches()  # of programs that nothing calls again

    draw()
