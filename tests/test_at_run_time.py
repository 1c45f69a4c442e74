"""What a compiled program does beside its result: prints, checks, and loops that would not end."""

from __future__ import annotations

import traceback

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai.errors import ArgumentError, HybridizeError, LoopLimitError

X = jnp.array([3.0, 4.0])


# ---- assert


def positive(x):
    assert x.min() > 0, f"expected positive numbers, got {x.min()}"
    return x * 2


def in_a_branch(x):
    if x.sum() > 1:
        assert x.min() > 0, "expected positive numbers"
        x = x * 2
    return x


def in_a_loop(x):
    while x.sum() > 1:
        assert x.min() > 0, "expected positive numbers"
        x = x - 1.25
    return x


def without_message(x):
    assert (x > 0).all()
    return x


BAD = jnp.array([-0.5, 4.0])
CHECKED = [positive, in_a_branch, in_a_loop, without_message]


@pytest.mark.parametrize("function", CHECKED)
def test_a_check_fails_in_the_first_call(function):
    with pytest.raises(AssertionError):
        kuai.hybrid(function)(BAD)


@pytest.mark.parametrize("function", CHECKED)
def test_a_check_fails_in_a_later_call_and_the_next_one_is_right(function):
    compiled = kuai.hybrid(function)
    good = jnp.array([0.75, 1.0])
    for _ in range(2):
        np.testing.assert_allclose(compiled(good), function(good), rtol=1e-6)
        with pytest.raises(AssertionError):
            compiled(BAD)
    assert len(kuai.explain(compiled).compilations) == 1


def test_it_says_what_plain_python_says_at_the_users_line():
    compiled = kuai.hybrid(positive)
    compiled(X)
    with pytest.raises(AssertionError) as raised:
        compiled(BAD)
    assert str(raised.value).startswith("expected positive numbers, got -0.5")
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert last.filename == __file__
    assert last.lineno == positive.__code__.co_firstlineno + 1


def test_a_check_that_holds_on_the_way_taken_does_not_fail():
    compiled = kuai.hybrid(in_a_branch)
    small = jnp.array([-0.5, 1.0])
    np.testing.assert_array_equal(compiled(small), small)


def test_a_check_fails_in_a_gradient_too():
    gradient = kuai.grad(lambda x: positive(x).sum(), wrt=0)
    for _ in range(3):
        np.testing.assert_array_equal(gradient(X), [2.0, 2.0])
        with pytest.raises(AssertionError):
            gradient(BAD)


def test_a_failed_check_leaves_state_as_it_was():
    class Net(kuai.Block):
        def __init__(self):
            super().__init__()
            self.calls = kuai.State(jnp.zeros((), jnp.int32))

        def forward(self, x):
            self.calls += 1
            assert x.min() > 0, "expected positive numbers"
            return x

    net = Net().hybridize()
    net(X)
    with pytest.raises(AssertionError):
        net(BAD)
    assert int(net.calls) == 1
    net(X)
    assert int(net.calls) == 2


def test_a_check_inside_a_function_given_to_jax_is_refused():
    def run(xs):
        def step(total, x):
            assert x > 0, "expected positive numbers"
            return total + x, x

        return jax.lax.scan(step, jnp.float32(0), xs)[0]

    with pytest.raises(HybridizeError, match=r"a check \(assert\) stands in a function given to"):
        kuai.hybrid(run)(X)


def test_a_loop_inside_a_function_given_to_jax_compiles():
    def halved(x):
        while x > 1:
            x = x / 2
        return x

    def scanned(xs):
        return jax.lax.scan(lambda total, x: (total + halved(x), x), jnp.float32(0), xs)[0]

    def mapped(xs):
        return jax.vmap(halved)(xs).sum()

    def remembered(xs):
        return jax.checkpoint(halved)(xs[0]) + jax.jit(halved)(xs[1])

    for function in (scanned, mapped, remembered):
        compiled = kuai.hybrid(function)
        for factor in (0.1, 1.0, 4.0):
            expected = sum(float(v) / 2 ** max(0, np.ceil(np.log2(v))) for v in X * factor)
            np.testing.assert_allclose(compiled(X * factor), expected, rtol=1e-6)


# ---- print


def printing(x):
    print("start", x.shape)
    while x.sum() > 1:
        print("trip", x[0])
        x = x / 2
    if x.sum() > 0.8:
        print(f"large {x.sum():.2f}")
    return x.sum()


SHOWN = "start (2,)\ntrip 3.0\ntrip 1.5\ntrip 0.75\nlarge 0.88\n"


def test_print_prints_on_every_call_and_trip(capsys):
    compiled = kuai.hybrid(printing)
    for _ in range(3):
        compiled(X)
        assert capsys.readouterr().out == SHOWN
    compiled(X / 10)
    assert capsys.readouterr().out == "start (2,)\n"


def test_it_prints_what_plain_python_prints(capsys):
    printing(X)
    plain = capsys.readouterr().out
    compiled = kuai.hybrid(printing, verify="always")
    compiled(X)
    assert capsys.readouterr().out == plain


def test_a_gradient_prints_each_trip_once(capsys):
    gradient = kuai.hybrid(kuai.grad(printing, wrt=0), verify="never")
    for _ in range(3):
        gradient(X)
        assert capsys.readouterr().out == SHOWN


def test_options_and_containers(capsys):
    @kuai.hybrid
    def run(x):
        print((x[0], 1), [x[1]], sep=" | ", end=".\n")
        print("plain", {"a": x[0]}, str(x[0]), f"{x[1]!r:>20}")
        return x

    run(X)
    assert capsys.readouterr().out == (
        "(Array(3., dtype=float32), 1) | [Array(4., dtype=float32)].\n"
        "plain {'a': Array(3., dtype=float32)} 3.0 Array(4., dtype=float32)\n"
    )


# ---- loops that would not end


def endless(x):
    while x.sum() != 0:
        x = x * 1.0
    return x


@pytest.mark.parametrize("value", [1.0, jnp.nan])
def test_a_limit_ends_a_loop(value):
    compiled = kuai.hybrid(endless, max_trips=50, verify="never")
    line = endless.__code__.co_firstlineno + 1
    for _ in range(2):
        with pytest.raises(LoopLimitError) as raised:
            compiled(jnp.full(2, value))
    told = str(raised.value)
    assert f"test_at_run_time.py:{line} in endless: this loop made 50 trips and its" in told
    assert "is the condition NaN or never false? Raise the limit" in told
    np.testing.assert_array_equal(compiled(jnp.zeros(2)), [0.0, 0.0])


def halving(x):
    while x.sum() > 1:
        x = x / 2
    return x


def bounded(x):
    with kuai.bounded(3):
        return halving(x)


@pytest.mark.parametrize("compiled", [kuai.hybrid(halving, max_trips=3), kuai.hybrid(bounded)])
def test_as_many_trips_as_the_limit_are_no_error(compiled):
    np.testing.assert_array_equal(compiled(X), X / 8)
    with pytest.raises(LoopLimitError, match="made 3 trips and its condition still holds"):
        compiled(2 * X)
    np.testing.assert_array_equal(compiled(X), X / 8)


def test_plain_python_runs_a_bounded_loop_as_it_is():
    np.testing.assert_array_equal(bounded(4 * X), X / 8)


def test_gradients_keep_the_limit():
    gradient = kuai.grad(lambda x: bounded(x).sum(), wrt=0)
    for _ in range(3):
        np.testing.assert_array_equal(gradient(X), [0.125, 0.125])
    with pytest.raises(LoopLimitError):
        gradient(2 * X)


def test_a_limit_inside_a_loop_counts_each_run_of_the_inner_one():
    def run(x):
        total = x.sum() * 0
        while total < 3:
            y = x
            while y.sum() > 1:
                y = y / 2
            total = total + 1
        return total

    assert float(kuai.hybrid(run, max_trips=3)(X)) == 3.0
    with pytest.raises(LoopLimitError):
        kuai.hybrid(run, max_trips=2)(X)


@pytest.mark.parametrize("trips", [0, -1, True, 2.0])
def test_a_bound_is_a_positive_integer(trips):
    told = r"kuai\.bounded: expected a positive integer, got"
    with pytest.raises(ArgumentError, match=told), kuai.bounded(trips):
        pass
