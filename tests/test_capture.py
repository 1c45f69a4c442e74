"""`kuai.capture`: which outputs come out, compiled as in plain Python, and with gradients."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, CaptureError, HybridizeWarning

X = jnp.ones((2, 3))
capture: Any = kuai.capture  # so that mypy lets bad arguments pass
SETTINGS = [None, False, True]
settings = pytest.mark.parametrize("setting", SETTINGS, ids=["auto", "plain", "hybridized"])


class Twice(kuai.Block):
    """Calls one block twice, another never, and draws random numbers."""

    def __init__(self):
        self.inner = nn.Dense(3, init="normal")
        self.drop = nn.Dropout(0.5)
        self.unused = nn.Dense(3)
        self.calls = kuai.State(0)

    def forward(self, x):
        self.calls += 1
        return self.drop(self.inner(self.inner(x)))


class Halving(kuai.Block):
    def __init__(self):
        self.half = nn.Lambda(lambda x: x / 2)
        self.end = nn.Lambda(lambda x: x + 1)

    def forward(self, x):
        while jnp.abs(x).sum() > 1:
            x = self.half(x)
        return self.end(x)


def told(net, setting):
    return net if setting is None else net.hybridize(setting)


def three_times(function, *args):
    """Eagerly, compiled, and from the cache, where the setting is auto."""
    return [function(*args) for _ in range(3)]


@settings
def test_outputs_are_those_of_the_parts(setting):
    net = told(nn.Sequential(nn.Dense(4), nn.ReLU(), ("out", nn.Dense(2))), setting)
    expected = net[:2](X)
    for y, outputs in three_times(kuai.capture(net, re.compile("^[01o]")), X):
        assert list(outputs) == ["0", "1", "out"]
        np.testing.assert_allclose(outputs["1"], expected, rtol=1e-6)
        np.testing.assert_array_equal(outputs["out"], y)


@pytest.mark.parametrize(
    ("select", "paths"),
    [
        ("*", ["", "body", "body.0", "body.1", "head"]),
        (None, ["", "body", "body.0", "body.1", "head"]),
        ("", [""]),
        ("body.*", ["body.0", "body.1"]),
        (re.compile(r"\d$"), ["body.0", "body.1"]),
        (nn.Dense, ["body.0", "head"]),
        ((nn.ReLU, nn.Dense), ["body.0", "body.1", "head"]),
        (lambda path, block: "1" in path, ["body.1"]),
    ],
)
def test_every_kind_of_selection(select, paths):
    net = nn.Sequential(("body", nn.Sequential(nn.Dense(4), nn.ReLU())), ("head", nn.Dense(2)))
    for _, outputs in three_times(kuai.capture(net, select), X):
        assert list(outputs) == paths


@settings
def test_a_block_called_twice_has_a_tuple_and_one_never_called_is_left_out(setting):
    net = told(Twice(), setting)
    weight = net.initialize(sample=X).inner.weight
    for _, outputs in three_times(kuai.capture(net, nn.Dense), X):
        assert list(outputs) == ["inner"]
        first, second = outputs["inner"]
        np.testing.assert_allclose(first, X @ weight, rtol=1e-6)
        np.testing.assert_allclose(second, first @ weight, rtol=1e-6)


@settings
def test_state_and_randomness_are_those_of_a_plain_call(setting):
    plain, net = (Twice().initialize(seed=1, sample=X) for _ in range(2))
    told(net, setting)
    with kuai.train_mode():
        kuai.seed(5)
        expected = three_times(plain, X)
        kuai.seed(5)
        found = [y for y, _ in three_times(kuai.capture(net, "inner"), X)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert int(net.calls) == int(plain.calls) == 3


@settings
def test_gradients_flow_through_a_captured_output(setting):
    net = told(nn.Sequential(nn.Dense(4), nn.Lambda(jnp.square), nn.Dense(1)), setting)
    net.initialize(sample=X)
    loss = kuai.grad(lambda net, x: kuai.capture(net, "1")(x)[1]["1"].sum())
    expected = jax.grad(lambda w: jnp.square(X @ w).sum())(net[0].weight)
    for gradients in three_times(loss, net, X):
        np.testing.assert_allclose(gradients["0.weight"], expected, rtol=1e-5)
        assert not gradients["2.weight"].any()


def test_the_first_call_settles_shapes():
    net = nn.Sequential(nn.Dense(4), nn.Dense(1)).hybridize()
    assert kuai.capture(net, "0")(np.ones((2, 3), np.float32))[1]["0"].shape == (2, 4)


def test_asked_for_anew_it_compiles_once():
    net = nn.Sequential(nn.Dense(4), nn.Dense(1)).hybridize()
    for _ in range(3):
        kuai.capture(net, "0")(X)
    [compiled] = net._kuai.captures["0"]._kuai_compiled_transform.values()
    assert compiled.compilations == ["a new signature"]


def test_selections_without_end_are_not_all_kept():
    net = nn.Dense(1).hybridize(False)
    for n in range(20):
        kuai.capture(net, lambda path, block, n=n: True)(X)
    assert len(net._kuai.captures) == 16


def test_a_changed_predicate_is_seen():
    net = nn.Sequential(nn.Dense(4), nn.Dense(1)).hybridize()
    wanted = ["0"]
    captured = kuai.capture(net, lambda path, _: path in wanted)
    assert list(captured(X)[1]) == ["0"]
    wanted[0] = "1"
    assert list(captured(X)[1]) == ["1"]


def test_nested_outputs_come_out_as_they_are():
    pair = nn.Lambda(lambda x: {"a": (x, 2), "b": [x + 1]})
    net = nn.Sequential(pair, nn.Lambda(lambda d: d["a"][0])).hybridize()
    outputs = kuai.capture(net, "0")(X)[1]["0"]
    assert (outputs["a"][1], outputs["b"][0].tolist()) == (2, (X + 1).tolist())


def test_a_hook_and_an_inner_gradient():
    class Slope(kuai.Block):
        def __init__(self):
            self.inner = nn.Lambda(jnp.square)
            self.inner.register_forward_hook(lambda block, inputs, y: y + 1)

        def forward(self, x):
            return kuai.grad(lambda x: self.inner(x).sum(), wrt=0)(x)

    for setting in SETTINGS:
        y, outputs = kuai.capture(told(Slope(), setting), "inner")(X)
        assert (y[0, 0], outputs["inner"][0, 0]) == (2, 2)


@pytest.mark.parametrize("calls", [1, 2])
def test_in_a_loop_on_arrays_a_compiled_capture_says_so(calls):
    net = Halving().hybridize()
    captured = kuai.capture(net, "half")
    text = (
        "Halving: half (Lambda): expected 'half' to be called outside loops, to capture its "
        "output, and it is called in a compiled loop or branch on arrays, where how often it runs "
        "is not known; capture a block around it, keep what you look for in kuai.State, or run it "
        "under kuai.eager()"
    )
    for _ in range(calls):
        with pytest.raises(CaptureError, match=re.escape(text)):
            captured(X)
    with kuai.eager():
        assert len(captured(X)[1]["half"]) == 3
    np.testing.assert_array_equal(kuai.capture(net, "end")(X)[1]["end"], net(X))


def test_in_a_loop_on_arrays_an_automatic_capture_stays_plain():
    captured = kuai.capture(Halving(), "half")
    assert len(captured(X)[1]["half"]) == 3
    with pytest.warns(HybridizeWarning, match="expected 'half' to be called outside loops"):
        assert len(captured(X)[1]["half"]) == 3


def test_a_capture_in_a_loop_is_the_loops_own():
    net = nn.Sequential(nn.Lambda(lambda x: x / 2), nn.Lambda(lambda x: x * 1.5))

    @kuai.hybrid
    def shrunk(net, x):
        seen = x
        while x.sum() > 1:
            x, outputs = kuai.capture(net, "0")(x)
            seen = outputs["0"]
        return x, seen

    x, seen = shrunk(net, X)
    np.testing.assert_allclose(x, seen * 1.5, rtol=1e-6)


def mapped(function):
    return lambda x: jax.lax.map(function, x)


@settings
@pytest.mark.parametrize("transform", [jax.vmap, mapped])
def test_in_a_function_given_to_jax_it_says_so(setting, transform):
    class Rows(kuai.Block):
        def __init__(self):
            self.row = nn.Lambda(lambda x: x * 2)

        def forward(self, x):
            return transform(self.row)(x)

    captured = kuai.capture(told(Rows(), setting), "row")
    with pytest.raises(CaptureError, match="it is called in a function given to JAX, where how"):
        captured(X)


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (
            lambda: capture(three_times, "*"),
            "kuai.capture: expected a block, got function; pass the net itself",
        ),
        (
            lambda: kuai.capture(nn.Sequential(nn.Dense(2)), "1")(X),
            "kuai.capture: '1' selects no block of Sequential; there are 0",
        ),
        (
            lambda: kuai.capture(nn.Dense(2), "head")(X),
            "kuai.capture: 'head' selects no block of Dense; there are none inside it",
        ),
        (
            lambda: kuai.capture(nn.Dense(2), ["0"]),
            "a type or a function (path, item), got list ['0']",
        ),
    ],
)
def test_bad_arguments(run, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        run()
