"""The differentiable while loop: its values and gradients, of every dtype and number of trips."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuai.hybrid.checkpoints import room_for
from kuai.hybrid.loops import LoopOptions, while_loop
from kuai.hybrid.trips import TracedTrip
from tests.loop_helpers import V, W, X, gradients, oracle, wave, weighed

CARRY_BYTES = 3 * 8 + 4


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def rows(count):
    """Options with memory for so many carries of `wave`."""
    return LoopOptions(memory=count * CARRY_BYTES)


# Rings of 4, 8 and 16 rows with as many marks; then the default, whose ring holds every carry.
MEMORIES = {0: rows(0), 16: rows(16), 32: rows(32), "default": LoopOptions()}


@pytest.mark.parametrize("memory", MEMORIES)
def test_values_and_gradients_are_those_of_the_oracle(double, memory):
    run = gradients(MEMORIES[memory])
    for n in (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 129, 1111, 5000):
        value, (dx, dw) = run(X, W, n)
        last, dx_expected, dw_expected = oracle(X, W, n)
        np.testing.assert_allclose(value, (last * V).sum(), rtol=1e-11)
        np.testing.assert_allclose(dx, dx_expected, rtol=1e-11, err_msg=f"{n} trips")
        np.testing.assert_allclose(dw, dw_expected, rtol=1e-11, err_msg=f"{n} trips")


def test_rooms_are_those_that_the_tests_mean(double):
    body = jax.make_jaxpr(lambda x, i: [jnp.sin(x) * i.astype(float), i + 1])
    carry = [jnp.ones(3), jnp.int32(0)]
    trip = TracedTrip(jax.make_jaxpr(lambda x, i: i < 9)(*carry), body(*carry))
    found = {name: room_for(trip, options, [], carry)[1:3] for name, options in MEMORIES.items()}
    assert found == {0: (4, 4), 16: (8, 8), 32: (16, 16), "default": (4096, 64)}


def test_gradients_in_single_precision_without_jit():
    x, w = jnp.asarray(X, jnp.float32), jnp.float32(W)
    dx, dw = jax.grad(weighed, argnums=(0, 1))(x, w, 20, rows(0))
    _, dx_expected, dw_expected = oracle(X, W, 20)
    np.testing.assert_allclose(dx, dx_expected, rtol=2e-6)
    np.testing.assert_allclose(dw, dw_expected, rtol=2e-6)


@pytest.mark.parametrize("bound", [0, 1, 6, 7, 8, 20])
@pytest.mark.parametrize("memory", [0, 2**20])
def test_bound_ends_the_loop_and_its_gradient(double, bound, memory):
    """Whether the memory admits so many carries or not."""
    options = LoopOptions(memory, bound)
    x, trips = wave(jnp.asarray(X), W, 7, options)
    made = min(bound, 7)
    last, dx, dw = oracle(X, W, made)
    assert trips == made
    assert trips.dtype == jnp.int32
    np.testing.assert_allclose(x, last, rtol=1e-12)
    found = gradients(options)(X, W, 7)[1]
    np.testing.assert_allclose(found[0], dx, rtol=1e-12)
    np.testing.assert_allclose(found[1], dw, rtol=1e-12)


@given(
    trips=st.integers(0, 150),
    memory=st.sampled_from([0, 16]),
    shape=st.sampled_from([(), (0,), (2, 3)]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=20)
def test_any_carry_and_number_of_trips(trips, memory, shape, seed):
    with jax.enable_x64(True):
        random = np.random.default_rng(seed)
        start = random.uniform(-1, 1, shape), random.uniform(-1, 1, 4)
        found = _pair_gradients(rows(memory))(*start, trips)
        for value, expected in zip(found, _pair_oracle(*start, trips), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-300)


@functools.cache
def _pair_gradients(options):
    """Of a loop over two arrays, each of which turns the other."""

    def total(a, b, n):
        def body(carry):
            a, i, b = carry
            return [a + jnp.sum(b) * jnp.cos(a) / 50, i + 1, b + jnp.sum(a) * jnp.sin(b) / 50]

        carry = [a, jnp.int32(0), b]
        (a, _, b), _ = while_loop(lambda carry: carry[1] < n, body, carry, options)
        return jnp.sum(a) - 2 * jnp.sum(b)

    return jax.jit(jax.grad(total, argnums=(0, 1)))


def _pair_oracle(a, b, n):
    steps = []
    for _ in range(n):
        steps.append((a, b))
        a, b = a + b.sum() * np.cos(a) / 50, b + a.sum() * np.sin(b) / 50
    da, db = np.ones_like(a), np.full_like(b, -2.0)
    for a, b in reversed(steps):
        da, db = (
            da * (1 - b.sum() * np.sin(a) / 50) + (db * np.sin(b)).sum() / 50,
            db * (1 + a.sum() * np.cos(b) / 50) + (da * np.cos(a)).sum() / 50,
        )
    return da, db


# dtype, tolerance: a few units in the last place
DTYPES = [("float16", 4e-3), ("bfloat16", 3e-2), ("float32", 1e-6), ("complex64", 1e-6)]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("memory", [0, 2**20])
def test_gradient_of_a_power(dtype, tolerance, memory):
    """w⁶x: its gradients are w⁶ and 6w⁵x, for complex numbers as well."""
    factor, start = (1.1 + 0.2j, 0.5 - 0.3j) if dtype == "complex64" else (1.1, 0.5)
    w, x = jnp.asarray(factor, dtype), jnp.asarray(start, dtype)

    def power(w, x):
        body = lambda carry: [carry[0] * w, carry[1] - 1]  # noqa: E731
        carry = [x, jnp.int32(6)]
        return while_loop(lambda c: c[1] > 0, body, carry, LoopOptions(memory))[0][0]

    value, back = jax.vjp(power, w, x)
    dw, dx = back(jnp.ones_like(value))
    assert value.dtype == dw.dtype == dx.dtype == dtype
    wide = np.complex128 if dtype == "complex64" else np.float64
    w, x = np.asarray(w, wide), np.asarray(x, wide)
    for found, expected in [(value, w**6 * x), (dw, 6 * w**5 * x), (dx, w**6)]:
        np.testing.assert_allclose(np.asarray(found, wide), expected, rtol=tolerance)


def test_small_terms_do_not_vanish_in_a_long_sum_of_narrow_floats():
    def total(w):
        body = lambda carry: [carry[0] + w * jnp.bfloat16(0.5), carry[1] + 1]  # noqa: E731
        carry = [jnp.bfloat16(0), jnp.int32(0)]
        return while_loop(lambda c: c[1] < 2000, body, carry, LoopOptions())[0][0]

    # Summed as bfloat16, the halves would stop at 128.
    assert jax.grad(total)(jnp.bfloat16(0.1)) == 1000


def test_integers_truth_values_and_keys_are_carried_and_have_no_gradient():
    def total(x, key, flag, count, draws=None):
        def body(carry):
            x, key, flag, count = carry
            key, drawn = jax.random.split(key)
            scale = jnp.where(flag, jax.random.uniform(drawn), jnp.float32(2))
            return [x * scale, key, ~flag, count + 1]

        (x, *_), _ = while_loop(lambda c: c[3] < 9, body, [x, key, flag, count], LoopOptions(0))
        return x

    def by_hand(x, key, flag):
        for _ in range(9):
            key, drawn = jax.random.split(key)
            x, flag = x * (np.float64(jax.random.uniform(drawn)) if flag else 2), not flag
        return x

    key = jax.random.key(3)
    grad = jax.grad(total, argnums=(0, 1, 2, 3), allow_int=True)
    dx, dkey, dflag, dcount = grad(jnp.float32(1.5), key, jnp.bool_(True), jnp.int32(0))
    np.testing.assert_allclose(dx, by_hand(1.0, key, True), rtol=1e-6)
    assert {d.dtype for d in (dkey, dflag, dcount)} == {jax.dtypes.float0}


def test_keys_come_back_as_they_were_given():
    key = jax.random.key(0, impl="rbg")
    split = lambda carry: [jax.random.split(carry[0])[0], carry[1] + 1]  # noqa: E731
    (last, _), _ = while_loop(lambda c: c[1] < 2, split, [key, jnp.int32(0)], LoopOptions())
    expected = jax.random.split(jax.random.split(key)[0])[0]
    assert last.dtype == key.dtype
    assert (jax.random.key_data(last) == jax.random.key_data(expected)).all()


def test_a_carry_of_nothing():
    last, trips = while_loop(lambda c: jnp.bool_(False), lambda c: [], [], LoopOptions())
    assert last == []
    assert trips == 0


def test_a_loop_without_a_number_that_has_a_gradient():
    step = lambda carry: [carry[0] + 2]  # noqa: E731
    [last], trips = while_loop(lambda c: c[0] < 7, step, [jnp.int32(0)], LoopOptions())
    assert (last, trips) == (8, 4)


def test_constants_of_the_condition_have_a_zero_gradient():
    def total(limit):
        double = lambda carry: [carry[0] * 2]  # noqa: E731
        return while_loop(lambda c: c[0] < limit, double, [jnp.ones(())], LoopOptions())[0][0]

    assert jax.value_and_grad(total)(jnp.float32(5)) == (8, 0)


def test_a_carry_that_changes_its_type_is_refused_as_jax_refuses_it():
    grow = lambda carry: [jnp.concatenate([carry[0], carry[0]])]  # noqa: E731
    with pytest.raises(TypeError, match="so the shapes do not match"):
        while_loop(lambda c: jnp.bool_(True), grow, [jnp.ones(2)], LoopOptions())


def test_what_no_trip_changes_has_its_gradient():
    def total(a, b, count):
        """b · 2aᶜ + b(aᶜ⁻¹ + … + 1) + a, where a and the count go round unchanged."""
        step = lambda c: [c[0], c[1] * c[0] + b, c[2] + 1, c[3]]  # noqa: E731
        carry = [a, 2 * b, jnp.int32(0), count]
        last, trips = while_loop(lambda c: c[2] < c[3], step, carry, LoopOptions(0))
        return last[1] + last[0], trips

    (value, trips), (da, db) = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(
        1.1, 0.3, jnp.int32(9)
    )
    powers = np.float64(1.1) ** np.arange(10)
    assert trips == 9
    np.testing.assert_allclose(db, 2 * powers[9] + powers[:9].sum(), rtol=1e-6)
    slopes = np.arange(1, 10) * powers[:9]
    np.testing.assert_allclose(da, 0.6 * slopes[8] + 0.3 * slopes[:8].sum() + 1, rtol=1e-6)
    np.testing.assert_allclose(value, 0.3 * db + 1.1, rtol=1e-6)


def test_a_loop_that_changes_nothing():
    loop = lambda x: while_loop(lambda c: c[0] > 5, lambda c: c, [x, x], LoopOptions())[0][1]  # noqa: E731
    assert jax.value_and_grad(loop)(2.0) == (2.0, 1.0)


def test_a_python_number_stays_weakly_typed():
    def last(x):
        double = lambda c: [c[0] * 2, c[1] + 1]  # noqa: E731
        return while_loop(lambda c: c[1] < 3, double, [x, jnp.int32(0)], LoopOptions())[0][0]

    traced = jax.make_jaxpr(lambda x: (last(x), jax.grad(last)(x)))(1.0)
    assert [aval.weak_type for aval in traced.out_avals] == [True, True]
