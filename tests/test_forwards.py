"""The forwards of tests/forwards: eager kuai against NumPy float64, compiled against eager.

Each function is compiled once for its values and once for its gradient, for all its inputs.
"""

from __future__ import annotations

import functools
import re
import traceback
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai.errors import HybridizeError
from tests.forwards import CASES, FAMILIES, REFUSED, WORKING, branches, carries, numpy_run
from tests.forwards.case import BASE, WEIGHT, Case

# float32 rounds by 6e-8 an operation. Eager kuai keeps half of these against NumPy; the other half
# is for the elementary functions of other machines.
VALUE: Any = {"rtol": 1e-6, "atol": 1e-6}
GRADIENT: Any = {"rtol": 5e-6, "atol": 5e-6}
W = jnp.asarray(WEIGHT, jnp.float32)


# Compiling a gradient takes a second; how a function is reached matters little to it.
SLOW_GRADIENTS = ("functions", "objects", "statics", "pairs_static")


def having(cases: list[Case], slow: tuple[str, ...] = (), **wanted: bool) -> Any:
    """Parameters for the cases whose attributes are as wanted; those of some families are slow."""
    chosen = [c for c in cases if all(getattr(c, key) == value for key, value in wanted.items())]
    marks = {True: [pytest.mark.slow], False: []}
    parameters = [pytest.param(c, id=c.name, marks=marks[c.family in slow]) for c in chosen]
    return pytest.mark.parametrize("case", parameters)


def scaled(factor: float) -> jax.Array:
    return jnp.asarray(BASE * factor, jnp.float32)


def total(output: Any) -> jax.Array:
    leaves = [jnp.asarray(leaf, jnp.float32) for leaf in jax.tree.leaves(output)]
    return functools.reduce(jnp.add, map(jnp.sum, leaves))


def assert_same(got: Any, expected: Any, tolerance: Any) -> None:
    """Trees of one structure, arrays of one shape and dtype, and equal values."""
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        if isinstance(a, jax.Array) and isinstance(b, jax.Array):
            assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, **tolerance)


def of_function(function: Any) -> Any:
    return kuai.grad(lambda x, w: total(function(x, w)), wrt=(0, 1))


# ---- functions


@having(WORKING, in_numpy=True)
def test_eager_is_numpy(case):
    for factor in case.inputs:
        expected = numpy_run.run(case.forward, BASE * factor, WEIGHT)
        got = case.forward(scaled(factor), W)
        assert jax.tree.structure(got) == jax.tree.structure(expected)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            assert np.shape(a) == np.shape(b)
            np.testing.assert_allclose(a, b, **VALUE)


@having(WORKING, in_numpy=True, grad=True)
def test_the_eager_gradient_is_that_of_finite_differences(case):
    expected = numpy_run.gradients(case.forward, BASE * case.inputs[-1], WEIGHT)
    got = of_function(case.forward)(scaled(case.inputs[-1]), W)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, **GRADIENT)


@having(WORKING, is_block=False)
def test_a_compiled_function_is_the_eager_one(case):
    compiled = kuai.hybrid(case.forward)
    for factor in case.inputs:
        assert_same(compiled(scaled(factor), W), case.forward(scaled(factor), W), VALUE)


@having(WORKING, slow=SLOW_GRADIENTS, is_block=False, grad=True)
def test_a_compiled_gradient_is_the_eager_one(case):
    compiled = kuai.hybrid(of_function(kuai.hybrid(case.forward)))
    factors = case.inputs if case.family in ("branches", "expressions") else case.inputs[-1:]
    for factor in factors:
        expected = of_function(case.forward)(scaled(factor), W)
        assert_same(compiled(scaled(factor), W), expected, GRADIENT)


# ---- blocks


def made(case: Case) -> Any:
    kuai.seed(2)  # for the constants that it draws in __init__
    return case.forward().initialize(sample=scaled(case.inputs[-1]), seed=1)


def calls(case: Case, net: Any) -> list[Any]:
    """Its outputs for all inputs, twice over, so that its State moves on."""
    kuai.seed(3)
    with kuai.train_mode():
        return [net(scaled(factor)) for factor in (*case.inputs, *case.inputs)]


def holders(net: Any) -> dict[str, jax.Array]:
    return {path: holder.array for path, holder in net.named_holders()}


@having(WORKING, is_block=True)
def test_a_hybridized_block_and_its_state_are_the_eager_ones(case):
    eager, compiled = made(case), made(case).hybridize()
    with kuai.eager():
        expected = calls(case, eager)
    assert_same(calls(case, compiled), expected, VALUE)
    assert_same(holders(compiled), holders(eager), VALUE)


@having(WORKING, is_block=True, grad=True)
def test_the_gradient_of_a_hybridized_block_is_the_eager_one(case):
    eager, compiled = made(case), made(case).hybridize()
    wrt = (0, 1) if list(eager.parameters()) else 1

    def gradient(net: Any, x: Any) -> Any:
        kuai.seed(3)
        return kuai.grad(lambda net, x: total(net(x)), wrt=wrt)(net, x)

    x = scaled(case.inputs[-1])
    with kuai.eager():
        expected = gradient(eager, x)
    assert_same(gradient(compiled, x), expected, GRADIENT)
    assert_same(holders(compiled), holders(eager), VALUE)


# ---- what must not compile


def attempt(case: Case, *, compiled: bool) -> None:
    """Call it with each of its inputs."""
    net = made(case) if case.is_block else case.forward
    if compiled:
        net = net.hybridize() if case.is_block else kuai.hybrid(net)
    for factor in case.inputs:
        net(scaled(factor)) if case.is_block else net(scaled(factor), W)


@having(REFUSED, eager=True)
def test_plain_python_runs_what_cannot_be_compiled(case):
    with kuai.eager():
        attempt(case, compiled=False)


@having(REFUSED, eager=False)
def test_plain_python_refuses_it_too(case):
    with pytest.raises((TypeError, ValueError, AssertionError)):
        attempt(case, compiled=False)


def frames(error: BaseException) -> str:
    """The lines that a traceback passes through, as messages name them."""
    entries = traceback.extract_tb(error.__traceback__)
    return " ".join(f"forwards/{Path(e.filename).name}:{e.lineno}" for e in entries)


@having(REFUSED)
def test_the_error_says_what_and_where(case):
    with pytest.raises(case.raises) as caught:
        attempt(case, compiled=True)
    text = str(caught.value)
    assert re.search(case.error, text, re.DOTALL), text
    where = text if isinstance(caught.value, HybridizeError) else text + frames(caught.value)
    assert any(re.search(rf"{place}\b", where) for place in case.places()), where


# ---- the suite itself


def test_the_oracle_runs_in_float64_without_jax():
    output = numpy_run.run(carries.buffer, BASE, WEIGHT)
    assert isinstance(output, np.ndarray)
    assert output.dtype == np.float64


def test_the_oracle_refuses_a_derivative_where_a_branch_changes():
    numpy_run.gradients(branches.either, BASE, WEIGHT)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        numpy_run.gradients(branches.either, BASE * 2 / BASE.sum(), WEIGHT)


def test_the_suite_is_large_enough():
    assert all(FAMILIES.values())
    assert len(WORKING) >= 150
    assert len(REFUSED) >= 30
    assert sum(case.in_numpy for case in WORKING) >= 120


def test_every_case_has_a_name_and_a_line_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.shows for case in CASES}) == len(CASES)
    assert all(case.places() for case in REFUSED)
