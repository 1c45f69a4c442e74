"""What the differentiable while loop costs: memory, repeated trips, and what is seen of them."""

from __future__ import annotations

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback

from kuai.hybrid import silence, trips
from kuai.hybrid.loops import LoopOptions, while_loop
from kuai.hybrid.unwind import MOST_REPEATS, _reaches
from tests.loop_helpers import W, X, gradients, weighed


def temporary(function, *args):
    return jax.jit(function).lower(*args).compile().memory_analysis().temp_size_in_bytes


def single(x):
    return jnp.asarray(x, jnp.float32)


def test_memory_does_not_depend_on_the_number_of_trips():
    grad = jax.grad(weighed, argnums=(0, 1))
    sizes = {
        temporary(lambda x, w, n=n: grad(x, w, n), single(X), single(W)) for n in (50, 500, 50_000)
    }
    assert len(sizes) == 1


@pytest.mark.parametrize("budget", [2**18, 2**20, 2**22])
def test_memory_keeps_to_the_budget(budget):
    x = jnp.ones((128, 32))  # 16 KiB
    options = LoopOptions(memory=budget)

    def total(x):
        step = lambda c: [jnp.tanh(c[0]) * 1.01, c[1] + 1]  # noqa: E731
        return jnp.sum(while_loop(lambda c: c[1] < 9, step, [x, jnp.int32(0)], options)[0][0])

    found = temporary(jax.grad(total), x)
    assert min(budget, 2**19) / 2 < found < budget + 2**17


def test_the_budget_is_for_a_whole_batch():
    def total(x, n):
        step = lambda c: [jnp.tanh(c[0]) * 1.01, c[1] + 1]  # noqa: E731
        carry = [x, jnp.int32(0)]
        return jnp.sum(while_loop(lambda c: c[1] < n, step, carry, LoopOptions(2**20))[0][0])

    one = temporary(jax.grad(total), jnp.ones((32, 32)), jnp.int32(3))
    batch = temporary(jax.vmap(jax.grad(total)), jnp.ones((32, 32, 32)), jnp.arange(32))
    assert one < 2**20
    assert batch < 2**20 + 2**19


def test_nothing_is_stored_without_a_gradient_or_where_the_gradient_reads_nothing():
    def halved(x):
        step = lambda c: [c[0] / 2]  # noqa: E731
        return jnp.sum(while_loop(lambda c: jnp.sum(c[0]) > 1, step, [x], LoopOptions())[0][0])

    plain = lambda x: jnp.sum(jax.lax.while_loop(lambda x: jnp.sum(x) > 1, lambda x: x / 2, x))  # noqa: E731
    x = jnp.ones((8, 20))
    assert temporary(halved, x) <= temporary(plain, x) + 64
    assert temporary(jax.grad(halved), x) < 2048


def test_what_no_trip_changes_is_not_stored():
    def total(table, x):
        """A table of 256 KiB goes round with the carry."""
        step = lambda c: [c[0], jnp.tanh(c[1] * c[0][0, 0]), c[2] + 1]  # noqa: E731
        carry = [table, x, jnp.int32(0)]
        return while_loop(lambda c: c[2] < 9, step, carry, LoopOptions())[0][1]

    table = jnp.ones((256, 256))
    assert temporary(jax.grad(total, argnums=1), table, single(1)) < 2**19


def test_a_bound_lets_the_program_be_small():
    def loops(options):
        return gradients(options).lower(single(X), single(W), 9).as_text().count("stablehlo.while")

    assert loops(LoopOptions(bound=9)) == 2
    assert loops(LoopOptions()) == 7


@pytest.mark.parametrize(("trips_made", "most"), [(4, 2), (8, 2.6), (16, 4), (200, 7), (1000, 10)])
def test_few_trips_are_repeated(monkeypatch, trips_made, most):
    """With eight rows. Without repeats the body runs twice a trip: forward, and in its pull."""
    monkeypatch.setattr(trips, "silenced", lambda jaxpr: jaxpr)
    runs = []

    def total(x):
        def body(carry):
            jax.debug.callback(runs.append, carry[1])
            return [jnp.sin(carry[0]), carry[1] + 1]

        carry = [x, jnp.int32(0)]
        return while_loop(lambda c: c[1] < trips_made, body, carry, LoopOptions(0))[0][0]

    jax.grad(total)(1.0)
    jax.effects_barrier()
    assert len(runs) <= most * trips_made
    assert set(map(int, runs)) == set(range(trips_made))


def test_the_schedule_is_the_best_there_is():
    """By trying every place for the next mark: the most rings that k rows and r repeats reach."""

    def reach(free, repeats):
        if free == 0 or repeats == 1:
            return repeats if free == 0 else 1
        # The mark leaves `before` rings to all rows with a repeat fewer, the rest to one row fewer.
        before = reach(free, repeats - 1)
        return before + reach(free - 1, repeats)

    table = _reaches(5)
    assert table.shape == (7, MOST_REPEATS)
    assert table[0].tolist() == [0] * MOST_REPEATS
    for free in range(6):
        assert table[free + 1, :6].tolist() == [reach(free, repeats) for repeats in range(1, 7)]


def printed(function, *args):
    """How often each trip was seen."""
    seen = collections.Counter()
    function(*args, lambda i: seen.update([int(i)]))
    jax.effects_barrier()
    return dict(seen)


def test_each_trip_is_seen_once():
    def run(see):
        def body(carry):
            x, i = carry
            jax.debug.callback(see, i)
            x = jax.lax.cond(
                i > 2, lambda x: (jax.debug.callback(see, i + 100), x)[1], lambda x: x, x
            )
            return [jnp.sin(x), i + 1]

        def total(x):
            return while_loop(lambda c: c[1] < 6, body, [x, jnp.int32(0)], LoopOptions(0))[0][0]

        jax.grad(total)(1.0)

    assert printed(run) == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 103: 1, 104: 1, 105: 1}


def test_each_trip_of_a_loop_in_a_loop_is_seen_once_also_in_a_second_gradient(capfd):
    def total(x):
        def inner(carry):
            jax.debug.print("inner {}", carry[1], ordered=True)
            return [jnp.sin(carry[0]), carry[1] + 1]

        def outer(carry):
            x, i = carry
            jax.debug.print("outer {}", i, ordered=True)
            (x, _), _ = while_loop(lambda c: c[1] < 2, inner, [x, jnp.int32(0)], LoopOptions(0))
            return [x, i + 1]

        return while_loop(lambda c: c[1] < 6, outer, [x, jnp.int32(0)], LoopOptions(0))[0][0]

    expected = [line for i in range(6) for line in (f"outer {i}", "inner 0", "inner 1")]
    jax.grad(total)(1.0)
    jax.effects_barrier()
    assert capfd.readouterr().out.splitlines() == expected
    jax.grad(jax.grad(total))(1.0)
    jax.effects_barrier()
    assert capfd.readouterr().out.splitlines() == expected


def test_a_derivative_that_prints_is_silent_on_the_way_back():
    def run(see):
        @jax.custom_vjp
        def sine(x):
            return jnp.sin(x)

        def forward(x):
            jax.debug.callback(see, 1)
            return jnp.sin(x), x

        sine.defvjp(forward, lambda x, c: (c * jnp.cos(x),))
        step = lambda carry: [sine(carry[0]), carry[1] + 1]  # noqa: E731
        carry = jnp.int32(0)
        jax.grad(lambda x: while_loop(lambda c: c[1] < 9, step, [x, carry], LoopOptions())[0][0])(
            1.0
        )

    assert printed(run) == {}


def test_debug_callbacks_have_the_names_by_which_they_are_left_out():
    """Fails first when JAX renames a primitive or an effect."""

    def shown(x):
        jax.debug.callback(lambda _: None, x)
        jax.debug.print("{}", x)
        jax.debug.print("{}", x, ordered=True)
        return x

    traced = jax.make_jaxpr(shown)(1.0)
    assert {equation.primitive.name for equation in traced.eqns} <= silence.PRIMITIVES
    assert {type(effect).__name__ for effect in traced.effects} == silence.EFFECTS
    silent = silence.silenced(traced)
    assert (silent.eqns, silent.effects) == ([], frozenset())


def test_what_is_silent_already_stays_the_same_object():
    traced = jax.make_jaxpr(jnp.sin)(1.0)
    assert silence.silenced(traced) is traced


def test_an_effect_that_may_not_be_repeated_runs_once_a_trip_and_has_no_gradient():
    seen = []

    def last(x):
        def body(carry):
            io_callback(lambda i: seen.append(int(i)), None, carry[1])
            return [carry[0] * 2, carry[1] + 1]

        return while_loop(lambda c: c[1] < 3, body, [x, jnp.int32(0)], LoopOptions())[0][0]

    assert last(np.float32(1)) == 8
    assert sorted(seen) == [0, 1, 2]
    with pytest.raises(ValueError, match="Reverse-mode differentiation does not work"):
        jax.grad(last)(1.0)
