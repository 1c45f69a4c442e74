"""The differentiable while loop under and around every transform, and gradients of gradients."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kuai.hybrid.loops import LoopOptions, while_loop
from tests.loop_helpers import V, W, X, oracle, unrolled, wave, weighed

TIGHT = LoopOptions(memory=0)  # a ring of four, so that a dozen trips need marks
COUNTS = np.array([0, 3, 17, 1, 8], np.int32)
XS = np.stack([X, X + 1, -X, 2 * X, X - 0.5])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def close(found, expected, rtol=1e-9):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-13)


def each():
    """The oracle's gradients, one row for each example."""
    _, dxs, dws = zip(*[oracle(x, W, n) for x, n in zip(XS, COUNTS, strict=True)], strict=True)
    return np.stack(dxs), np.stack(dws)


@pytest.mark.parametrize("options", [LoopOptions(), TIGHT, LoopOptions(bound=17)])
def test_vmap_of_the_gradient(options):
    grad = jax.grad(weighed, argnums=(0, 1))
    batched = jax.vmap(lambda x, n: grad(x, jnp.asarray(W), n, options))
    dxs, dws = jax.jit(batched)(XS, COUNTS)
    close(dxs, each()[0])
    close(dws, each()[1])


@pytest.mark.parametrize("options", [LoopOptions(), TIGHT])
def test_gradient_of_vmap(options):
    def total(xs, w):
        return jnp.sum(jax.vmap(lambda x, n: weighed(x, w, n, options))(xs, COUNTS))

    dxs, dw = jax.jit(jax.grad(total, argnums=(0, 1)))(jnp.asarray(XS), jnp.asarray(W))
    close(dxs, each()[0])
    close(dw, each()[1].sum())


def test_vmap_counts_the_trips_of_each_example():
    xs, trips = jax.vmap(lambda x, n: wave(x, W, n))(XS, COUNTS)
    assert trips.tolist() == COUNTS.tolist()
    close(xs, [oracle(x, W, n)[0] for x, n in zip(XS, COUNTS, strict=True)])


def test_vmap_in_vmap():
    ws = np.array([0.7, -0.4])
    grad = jax.grad(weighed, argnums=(0, 1))
    inner = jax.vmap(lambda x, w, n: grad(x, w, n, TIGHT), in_axes=(0, None, 0))
    dxs, dws = jax.jit(jax.vmap(inner, in_axes=(None, 0, None)))(XS, ws, COUNTS)
    for row, w in enumerate(ws):
        for column, (x, n) in enumerate(zip(XS, COUNTS, strict=True)):
            close(dxs[row, column], oracle(x, w, n)[1])
            close(dws[row, column], oracle(x, w, n)[2])


def test_an_ended_example_is_kept_apart_from_what_its_next_trip_would_give():
    """Past the end the root of a negative number is NaN, and so is its derivative."""

    def last(x):
        step = lambda carry: [carry[0] - jnp.sqrt(carry[0])]  # noqa: E731
        return while_loop(lambda c: c[0] >= 1, step, [x], LoopOptions())[0][0]

    def by_hand(x):
        slope = 1.0
        while x >= 1:
            x, slope = x - np.sqrt(x), slope * (1 - 0.5 / np.sqrt(x))
        return slope

    xs = np.array([-2.0, 0.0, 0.5, 1.5, 30.0])
    close(jax.vmap(jax.grad(last))(xs), [by_hand(x) for x in xs])
    close(jax.grad(lambda xs: jnp.sum(jax.vmap(last)(xs)))(xs), [by_hand(x) for x in xs])


def jacobian(x, n):
    """Of `wave`, whose values do not touch one another: the diagonal."""
    return np.diag(oracle(x, W, n)[1] / V)


def test_rows_of_a_jacobian_and_a_batch_of_jacobians():
    rows = jax.jacrev(lambda x, n: wave(x, W, n, TIGHT)[0])
    close(jax.jit(rows)(X, 17), jacobian(X, 17))
    batch = jax.jit(jax.vmap(rows))(XS, COUNTS)
    close(batch, [jacobian(x, n) for x, n in zip(XS, COUNTS, strict=True)])


@pytest.mark.parametrize("wrap", [lambda f: f, jax.checkpoint])
def test_a_loop_in_a_scan(wrap):
    def total(x, w):
        step = wrap(lambda x, n: (wave(x, w, n, TIGHT)[0], None))
        return jnp.sum(jax.lax.scan(step, x, COUNTS)[0])

    def by_hand(x, w):
        for n in COUNTS:
            for i in range(n):
                x = x + jnp.sin(w * x + 0.3 * i) / 20
        return jnp.sum(x)

    found = jax.jit(jax.grad(total, argnums=(0, 1)))(X, W)
    for value, expected in zip(found, jax.grad(by_hand, argnums=(0, 1))(X, W), strict=True):
        close(value, expected)


def nested(x, w, n, options=TIGHT):
    """A loop whose body has a loop that closes over the outer carry; and a branch."""

    def outer(carry):
        x, i = carry
        inner = lambda c: [c[0] + jnp.sin(w * c[0] + x) / 20, c[1] + 1]  # noqa: E731
        (y, _), _ = while_loop(lambda c: c[1] < i, inner, [x, jnp.int32(0)], options)
        y = jax.lax.cond(i % 2 == 0, lambda y: y * w, lambda y: y + jnp.cos(x), y)
        return [y, i + 1]

    (x, _), _ = while_loop(lambda c: c[1] < n, outer, [x, jnp.int32(0)], options)
    return jnp.sum(x)


def nested_by_hand(x, w, n):
    for i in range(n):
        y = x
        for _ in range(i):
            y = y + jnp.sin(w * y + x) / 20
        x = y * w if i % 2 == 0 else y + jnp.cos(x)
    return jnp.sum(x)


def test_a_loop_and_a_branch_in_a_loop():
    found = jax.jit(jax.grad(nested, argnums=(0, 1)))(X, W, 9)
    expected = jax.grad(nested_by_hand, argnums=(0, 1))(X, W, 9)
    close(found[0], expected[0])
    close(found[1], expected[1])
    ns = np.array([2, 9, 0], np.int32)
    batch = jax.jit(jax.vmap(jax.grad(nested), in_axes=(None, None, 0)))(X, W, ns)
    close(batch, [jax.grad(nested_by_hand)(X, W, n) for n in ns])


def test_a_body_with_a_derivative_of_its_own_and_a_loop_in_such_a_function():
    """The derivative that a person gives is taken: here three times the true one."""

    @jax.custom_vjp
    def tripled(x):
        return jnp.sin(x)

    tripled.defvjp(lambda x: (jnp.sin(x), x), lambda x, c: (3 * c * jnp.cos(x),))

    @jax.custom_vjp
    def looped(x, n):
        step = lambda c: [tripled(c[0]), c[1] + 1]  # noqa: E731
        return while_loop(lambda c: c[1] < n, step, [x, jnp.int32(0)], TIGHT)[0][0]

    def forward(x, n):
        return jax.vjp(lambda x: looped.fun(x, n), x)

    looped.defvjp(forward, lambda back, c: (back(2 * c)[0], None))
    x, slope = 0.8, 2.0
    for _ in range(9):
        x, slope = np.sin(x), slope * 3 * np.cos(x)
    close(jax.jit(jax.grad(looped))(0.8, 9), slope)


@pytest.mark.parametrize("options", [LoopOptions(), TIGHT, LoopOptions(bound=13)])
def test_second_order(options):
    def product(f, x, w):
        """A gradient of a function of both gradients, so that all mixed terms count."""
        dx, dw = jax.grad(f, argnums=(0, 1))(x, w, 13)
        return jnp.sum(dx**3) + dw * jnp.sum(dx)

    for argument in (0, 1):
        grad = jax.grad(
            functools.partial(product, functools.partial(weighed, options=options)), argument
        )
        close(jax.jit(grad)(X, W), jax.grad(functools.partial(product, unrolled), argument)(X, W))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.checkpoint])
def test_a_branch_that_only_some_examples_take_into_the_loop(wrap):
    """Under vmap both branches run, and JAX selects among all that they hand to the way back."""
    taken = np.array([True, False, True, True, False])

    @wrap
    def branched(x, w, n, take):
        looped = lambda x: weighed(x, w, n, TIGHT)  # noqa: E731
        return jax.lax.cond(take, looped, lambda x: jnp.sum(jnp.cos(x)) * w, x)

    grad = jax.vmap(jax.grad(branched, argnums=(0, 1)), in_axes=(0, None, 0, 0))
    dxs, dws = jax.jit(grad)(XS, W, COUNTS, taken)
    away = ~taken
    close(dxs[taken], each()[0][taken])
    close(dws[taken], each()[1][taken])
    close(dxs[away], -np.sin(XS[away]) * W)
    close(dws[away], np.cos(XS[away]).sum(1))


def test_hessians_of_a_batch():
    hessian = jax.jacrev(jax.grad(functools.partial(weighed, options=TIGHT)))
    found = jax.jit(jax.vmap(hessian, in_axes=(0, None, 0)))(XS, W, COUNTS)
    expected = [jax.hessian(unrolled)(x, W, n) for x, n in zip(XS, COUNTS, strict=True)]
    close(found, expected)


def test_second_order_of_a_loop_in_a_loop():
    grad = jax.grad(lambda w: jnp.sum(jax.grad(nested)(X, w, 6) ** 2))
    expected = jax.grad(lambda w: jnp.sum(jax.grad(nested_by_hand)(X, w, 6) ** 2))
    close(jax.jit(grad)(W), expected(W))


def test_third_order():
    def third(f):
        return jax.grad(jax.grad(jax.grad(lambda w: f(X, w, 6))))

    close(jax.jit(third(functools.partial(weighed, options=TIGHT)))(W), third(unrolled)(W))


def test_forward_mode_is_refused():
    with pytest.raises(TypeError, match="can't apply forward-mode autodiff"):
        jax.jvp(lambda x: weighed(x, W, 3), (X,), (X,))


def test_closed_over_tracers_of_a_map_a_gradient_and_a_scan():
    def total(w):
        def step(shift, factor):
            body = lambda c: [c[0] * w + shift * factor, c[1] + 1]  # noqa: E731
            carry = [jnp.asarray(X), jnp.int32(0)]
            (x, _), _ = while_loop(lambda c: c[1] < 5, body, carry, TIGHT)
            return shift + jnp.sum(x), None

        return jax.lax.scan(step, w, jnp.arange(3.0))[0]

    def by_hand(w):
        shift = w
        for factor in range(3):
            x = jnp.asarray(X)
            for _ in range(5):
                x = x * w + shift * factor
            shift = shift + jnp.sum(x)
        return shift

    ws = np.array([0.7, -0.3])
    close(jax.vmap(jax.grad(total))(ws), jax.vmap(jax.grad(by_hand))(ws))
