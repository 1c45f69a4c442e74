"""Blocks and gradients compile by themselves, and stay plain Python where they cannot."""

from __future__ import annotations

import copy
import pickle
import re
import time
import warnings
from collections import UserList

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import (
    ArgumentError,
    ConditionError,
    HybridizeWarning,
    ImpureCallError,
    MismatchError,
    ValueNeededError,
)

X = jnp.array([[3.0, 4.0]])
SEEN: UserList[str] = UserList()  # a library's object: kuai lets it be


@pytest.fixture(autouse=True)
def forget():
    SEEN.clear()


class Halving(kuai.Block):
    """Notes each run of its Python."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(2, init="ones")
        self.limit = 1.0

    def forward(self, x):
        SEEN.append("traced" if isinstance(x, jax.core.Tracer) else "plain")
        x = self.dense(x)
        while x.sum() > self.limit:
            x = x / 2
        return x


def test_the_first_call_is_plain_and_the_second_compiles():
    net = Halving()
    first = net(X)
    assert net.explain().signatures == ()
    assert set(SEEN) <= {"plain", "traced"}
    assert SEEN[-1] == "plain"
    np.testing.assert_allclose(net(X), first, rtol=1e-6)
    assert len(net.explain().signatures) == 1
    SEEN.clear()
    for _ in range(5):
        np.testing.assert_allclose(net(X), first, rtol=1e-6)
    assert list(SEEN) == []


def test_every_signature_has_a_first_call():
    net = Halving()
    for size in (1, 2, 3):
        net(jnp.ones((size, 2)))
    assert net.explain().setting == "auto"
    assert net.explain().signatures == ()


def test_what_a_single_call_needs_is_not_compiled():
    net = nn.Dense(2)
    net(X)
    assert str(net.explain()) == "Dense: auto, 0 compiled signatures"


class Mask(kuai.Block):
    def forward(self, x):
        return x[x > 3]


class Clock(kuai.Block):
    def forward(self, x):
        return x * float(time.time() > 0)


class Growing(kuai.Block):
    def forward(self, x):
        rows = []
        while x.sum() > 1:
            rows.append(x)
            x = x / 2
        return jnp.stack(rows)


UNCOMPILABLE = {
    Mask: "a boolean mask selects a number of elements",
    Clock: "time.time is called in a compiled forward",
    Growing: "a list made outside a branch or loop on arrays is changed",
}


@pytest.mark.parametrize("kind", UNCOMPILABLE)
def test_what_cannot_be_compiled_stays_plain_after_one_warning(kind):
    net = kind()
    with kuai.eager():
        expected = net(X)
    np.testing.assert_array_equal(net(X), expected)
    with pytest.warns(HybridizeWarning) as warned:
        np.testing.assert_array_equal(net(X), expected)
    (warning,) = warned
    told = str(warning.message)
    assert told.startswith(f"{kind.__name__} runs as plain Python, uncompiled: ")
    assert UNCOMPILABLE[kind] in told
    assert re.search(r"test_auto\.py:\d+ in (\w+\.)?forward", told)
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            np.testing.assert_array_equal(net(X), expected)
    assert UNCOMPILABLE[kind] in net.explain().plain_because


@pytest.mark.parametrize(("kind", "error"), [(Mask, ValueNeededError), (Clock, ImpureCallError)])
def test_told_to_compile_it_raises(kind, error):
    net = kind().hybridize()
    for _ in range(2):
        with pytest.raises(error, match=UNCOMPILABLE[kind]):
            net(X)


def test_left_to_plain_python_it_warns_once():
    net = Mask().hybridize(fallback="eager")
    with pytest.warns(HybridizeWarning, match="Mask runs as plain Python"):
        np.testing.assert_array_equal(net(X), [4.0])
    np.testing.assert_array_equal(net(2 * X), [6.0, 8.0])


def test_an_error_of_the_users_is_no_reason_to_stay_plain():
    class Wrong(kuai.Block):
        def forward(self, x, by):
            if by == 0:
                raise ZeroDivisionError("by is 0")
            return x / by

    net = Wrong()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="by is 0"):
            net(X, 0)
    for _ in range(3):
        np.testing.assert_allclose(net(X, 2), X / 2)
    assert net.explain().plain_because is None
    assert len(net.explain().signatures) == 1


# ---- told not to


def test_plain_python_when_told():
    net = Halving().hybridize(False)
    for _ in range(3):
        net(X)
    assert net.explain().setting == "plain"
    assert net.explain().signatures == ()
    assert SEEN.count("traced") <= 1  # shapes of a first call are inferred without computing


def test_plain_python_inside_eager():
    net, told = Halving(), Halving().hybridize()
    with kuai.eager():
        for _ in range(3):
            net(X)
            told(X)
    assert net.explain().signatures == told.explain().signatures == ()
    net(X), net(X), told(X)
    assert len(net.explain().signatures) == len(told.explain().signatures) == 1


def test_nothing_compiles_by_itself_when_that_is_off():
    net, told = Halving(), Halving().hybridize()
    kuai.auto_hybridize(False)
    try:
        for _ in range(3):
            net(X)
            told(X)
    finally:
        kuai.auto_hybridize()
    assert net.explain().signatures == ()
    assert len(told.explain().signatures) == 1


# ---- gradients, hooks, copies


def test_gradients_compile_by_themselves():
    net = Halving()
    with kuai.eager():
        expected = kuai.grad(lambda net, x: net(x).sum())(net, X)
    gradient = kuai.grad(lambda net, x: net(x).sum())
    for _ in range(2):
        gradient(net, X)
    SEEN.clear()
    for _ in range(3):
        found = gradient(net, X)
        for path, value in expected.items():
            np.testing.assert_allclose(found[path], value, rtol=1e-6)
    assert list(SEEN) == []


def test_the_gradient_of_what_cannot_be_compiled_is_plain():
    gradient = kuai.value_and_grad(lambda x: (x[x > 3]).sum(), wrt=0)
    gradient(X)
    with pytest.warns(HybridizeWarning, match="boolean mask"):
        gradient(X)
    value, slope = gradient(X)
    assert float(value) == 4.0
    np.testing.assert_array_equal(slope, [[0.0, 1.0]])


def test_hooks_run_while_tracing_and_their_result_counts():
    net = Halving()
    net.register_forward_hook(lambda _, __, output: output * 2)
    first = net(X)
    for _ in range(3):
        np.testing.assert_allclose(net(X), first, rtol=1e-6)
    handle = net.register_forward_hook(lambda _, __, output: -output)
    np.testing.assert_allclose(net(X), -first, rtol=1e-6)
    handle.remove()
    np.testing.assert_allclose(net(X), first, rtol=1e-6)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))]
)
def test_a_copy_compiles_for_itself(again):
    net = Halving()
    first = net(X)
    net(X)
    other = again(net)
    assert other.explain().signatures == ()
    other.limit = 4.0
    results = [other(X) for _ in range(3)]
    for result in results:
        np.testing.assert_allclose(result, results[0], rtol=1e-6)
        assert float(result.sum()) > float(first.sum())
    np.testing.assert_allclose(net(X), first, rtol=1e-6)
    assert len(other.explain().signatures) == len(net.explain().signatures) == 1


# ---- recompiling again and again


class Config:
    """A plain object."""

    step = 0


def test_a_storm_ends_in_plain_python():
    config = Config()

    class Net(kuai.Block):
        def forward(self, x):
            return x * config.step

    net = Net()

    def storm():
        for step in range(25):
            config.step = step
            np.testing.assert_array_equal(net(X), X * step)

    with pytest.warns(HybridizeWarning) as warned:
        storm()
    (warning,) = warned
    assert "the same call was compiled 16 times, the last time because of: Config.step" in str(
        warning.message
    )
    assert "changed from 15 to 16; keep what changes in kuai.State" in str(warning.message)
    assert len(net.explain().compilations) == 16


def test_told_to_compile_a_storm_goes_on_after_a_warning():
    config = Config()
    function = kuai.hybrid(lambda x: x * config.step)

    def storm():
        for step in range(20):
            config.step = step
            np.testing.assert_array_equal(function(X), X * step)

    with pytest.warns(HybridizeWarning, match="was compiled 16 times") as warned:
        storm()
    assert len(warned) == 1
    assert len(kuai.explain(function).compilations) == 20


# ---- verify


def unsteady(x):
    """Gives another result each time that its Python runs."""
    SEEN.append("run")
    while x.sum() > 1:
        x = x / 2
    return x * len(SEEN)


def straight(x):
    SEEN.append("run")
    return x * len(SEEN)


@pytest.mark.parametrize("verify", ["auto", "first", "always"])
def test_a_result_that_differs_is_found(verify):
    with pytest.raises(MismatchError) as raised:
        kuai.hybrid(unsteady, verify=verify)(X)
    told = str(raised.value)
    start = "unsteady: compiled, it gives something else than plain Python: the output: 0.375 "
    assert told.startswith(f"{start}instead of 0.75 at (0, 0)")
    assert 'hybridize(verify="never")' in told


def test_a_result_is_compared_where_there_is_reason():
    assert kuai.hybrid(unsteady, verify="never")(X).shape == X.shape
    assert kuai.hybrid(straight)(X).shape == X.shape  # nothing was converted
    with pytest.raises(MismatchError, match="straight: compiled"):
        kuai.hybrid(straight, verify="first")(X)


def test_the_first_result_or_every_one():
    always, first = (kuai.hybrid(straight_once, verify=v) for v in ("always", "first"))
    for function in (always, first):
        SEEN.clear()
        function(X)
    SEEN[:] = ["run", "run"]
    np.testing.assert_array_equal(first(X), X)
    with pytest.raises(MismatchError):
        always(X)


def straight_once(x):
    """Gives another result when `SEEN` holds two."""
    return x * (2.0 if len(SEEN) == 2 else 1.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"verify": "sometimes"}, "expected verify among ('auto', 'first', 'always', 'never')"),
        ({"fallback": "plain"}, "expected fallback among ('error', 'eager'), got 'plain'"),
        ({"max_trips": 0}, "expected max_trips to be a positive integer, got 0"),
        ({"loop_memory": True}, "expected loop_memory to be a positive integer, got True"),
        ({"trips": 1}, "got ['trips']"),
    ],
)
def test_wrong_options_say_what_there_is(options, told):
    for where, use in (
        ("Halving.hybridize", lambda: Halving().hybridize(**options)),
        ("kuai.hybrid", lambda: kuai.hybrid(abs, **options)),
    ):
        with pytest.raises(ArgumentError) as raised:
            use()
        assert str(raised.value).startswith(where)
        assert told in str(raised.value)


# ---- explain


def test_explain_tells_everything():
    config = Config()
    config.step = 3

    @kuai.hybrid
    def run(x, scale):
        while x.sum() > 1:
            x = x / config.step
        return x if x[0, 0] > 0.1 else x * scale

    run(X, 2)
    run(X, 3)
    run(X * 100, 3)
    told = kuai.explain(run)
    assert told.setting == "hybridized"
    assert [s.arguments for s in told.signatures] == ["float32[1, 2], 2", "float32[1, 2], 3"]
    loop, branch = told.signatures[1].staged
    assert (loop.kind, loop.trips, branch.kind, branch.trips) == ("while", 6, "if", None)
    line = test_explain_tells_everything.__code__.co_firstlineno
    assert (loop.line, branch.line) == (line + 6, line + 8)
    lines = str(told).splitlines()
    assert lines[0].endswith("run: hybridized, 2 compiled signatures")
    assert re.search(r"while at \S*test_auto.py:\d+ in .*run, 6 trips in the last call", str(told))
    assert "  reads Config.step = 3" in lines
    assert lines[-2:] == ["compilation 1: a new signature", "compilation 2: a new signature"]
    assert re.search(r"compiled in \d+ ms, [\d,]+ FLOPs, [\d,]+ bytes moved", str(told))


def test_a_function_that_was_never_compiled_is_no_subject():
    with pytest.raises(ArgumentError, match="expected a block, or what kuai"):
        kuai.explain(abs)


def test_a_condition_without_one_truth_value():
    net = kuai.hybrid(lambda x: x if x > 1 else -x)
    with pytest.raises(ConditionError, match=r"got an array of shape \(1, 2\); write .any\(\)"):
        net(X)


def test_a_gradient_that_is_made_anew_each_step_is_compiled_too():
    def loss(net, x):
        return net(x).sum()

    net, x = nn.Dense(2).initialize(sample=jnp.ones((1, 3))), jnp.ones((1, 3))
    steps = [kuai.grad(loss)(net, x) for _ in range(3)]
    assert len(kuai.explain(kuai.grad(loss)).signatures) == 1
    assert kuai.explain(kuai.grad(loss, wrt=1)).signatures == ()
    for path, gradient in steps[0].items():
        np.testing.assert_allclose(steps[2][path], gradient, rtol=1e-6)
