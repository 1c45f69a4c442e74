"""The summary: what it counts, what it infers, and that it leaves the net alone."""

from __future__ import annotations

import itertools
import json
import threading
from collections import UserList

import hypothesis
import hypothesis.strategies as some
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.core.context import epoch
from kuai.core.tree import fingerprint, same_tokens, walk

X = np.ones((2, 20), np.float32)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


class FixedHidden(kuai.Block):
    """The chapter's FixedHiddenMLP: it branches on data and uses one layer twice."""

    def __init__(self):
        self.rand_weight = kuai.Constant(jnp.full((20, 20), 0.5))
        self.dense = nn.Dense(20)

    def forward(self, x):
        x = self.dense(nn.relu(self.dense(x) @ self.rand_weight + 1))
        while jnp.abs(x).sum() > 1:
            x /= 2
        return x.sum()


class Tied(kuai.Block):
    def __init__(self):
        self.embed = nn.Embedding(50, 8)
        self.again = nn.Embedding(50, 8)
        self.again.weight = self.embed.params.weight

    def forward(self, tokens):
        return self.embed(tokens) + self.again(tokens)


class Switch(kuai.Block):
    """Costs more in train mode."""

    def forward(self, x):
        return x @ x.T if kuai.is_training() else x + 1


def row(summary, path):
    return next(row for row in summary.rows if row.path == path)


def tokens_of(net):
    """All that a compiled program rests on: structure, shapes, modes and hooks."""
    return fingerprint((net,))[1]


def mlp():
    return nn.Sequential(nn.Dense(256, activation="relu"), nn.Dense(10))


def test_counts_shapes_and_flops_of_an_mlp():
    summary = mlp().summary(X)
    assert [(r.path, r.outputs, r.parameters) for r in summary.rows] == [
        ("", ((2, 10),), 0),
        ("0", ((2, 256),), 20 * 256 + 256),
        ("1", ((2, 10),), 256 * 10 + 10),
    ]
    assert (summary.parameters, summary.trainable, summary.frozen) == (7946, 7946, 0)
    assert summary.bytes == 7946 * 4
    assert summary.complete
    assert summary.exact


def test_flops_are_the_multiplications_and_additions_done():
    summary = mlp().summary(X)
    first = 2 * 2 * 20 * 256 + 2 * 256 + 2 * 256  # matmul, bias, relu
    second = 2 * 2 * 256 * 10 + 2 * 10
    assert row(summary, "0").flops == first
    assert row(summary, "1").flops == second
    assert summary.flops == row(summary, "").flops == first + second


def test_without_a_sample_unknown_shapes_stay_unknown():
    summary = mlp().summary()
    assert not summary.complete
    assert row(summary, "0").to_dict()["parameters"] is None
    assert row(summary, "0").to_dict()["outputs"] is None
    assert summary.parameters == 256 + 10  # the biases
    assert summary.flops is None
    text = str(summary)
    assert "at least 266" in text
    assert "? is not known: give a sample, net.summary(x)" in text


def test_an_initialised_net_needs_no_sample():
    net = mlp().initialize(sample=X)
    assert net.summary().complete
    assert net.summary().parameters == 7946


def test_a_shape_alone_is_sample_enough():
    shape = jax.ShapeDtypeStruct((1 << 40, 20), jnp.float32)  # 80 TiB: nothing may be computed
    assert mlp().summary(shape).rows[0].outputs == ((1 << 40, 10),)


@pytest.mark.parametrize("make", [mlp, FixedHidden, nn.BatchNorm])
def test_an_uninitialised_net_stays_so(make):
    net = make()
    before = {path: (h.shape, h.ready) for path, h in walk(net).holders.items()}
    random, tokens = kuai.random.get_state(), tokens_of(net)
    net.summary(X)
    assert {path: (h.shape, h.ready) for path, h in walk(net).holders.items()} == before
    assert kuai.random.get_state() == random
    assert same_tokens(tokens, tokens_of(net))


@pytest.mark.parametrize("make", [mlp, FixedHidden])
def test_values_made_after_a_summary_are_those_made_without(make):
    looked_at, other = make(), make()
    looked_at.summary(X)
    looked_at(X), other(X)
    for (path, a), (_, b) in zip(looked_at.named_holders(), other.named_holders(), strict=True):
        np.testing.assert_array_equal(a.array, b.array, err_msg=path)


def test_another_width_is_still_free_after_a_summary():
    net = mlp()
    net.summary(X)
    assert net(np.ones((1, 7), np.float32)).shape == (1, 10)


def test_states_and_hooks_are_as_before():
    net = nn.Sequential(nn.BatchNorm().train(), nn.Dense(3)).initialize(sample=X)
    before = np.array(net[0].running_mean)
    tokens = tokens_of(net)
    net.summary(X * 5)
    np.testing.assert_array_equal(net[0].running_mean, before)
    assert same_tokens(tokens, tokens_of(net))


def test_a_compiled_net_is_not_compiled_again():
    traces = UserList()  # a library's object: kuai lets it be

    class Counted(kuai.Block):
        def forward(self, x):
            traces.append(type(x))
            return x * 2

    net = nn.Sequential(Counted()).hybridize()
    net(X)
    net.summary(X)
    seen = len(traces)
    net(X)
    assert len(traces) == seen


def test_a_sample_that_does_not_fit_changes_nothing():
    net = nn.Sequential(nn.Dense(4), nn.Dense(2)).initialize(sample=X)
    tokens = tokens_of(net)
    with pytest.raises(kuai.errors.ShapeError, match=r"0 \(Dense\)"):
        net.summary(np.ones((2, 3), np.float32))
    assert same_tokens(tokens, tokens_of(net))


def test_a_failed_summary_leaves_shapes_unsettled():
    class Fails(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(3)

        def forward(self, x):
            raise ValueError(f"after {self.dense(x).shape}")

    net = Fails()
    with pytest.raises(ValueError, match=r"after \(2, 3\)"):
        net.summary(X)
    assert net.dense.params.weight.shape == (None, 3)


def test_a_forward_that_branches_on_data_runs_on_the_real_arrays():
    summary = FixedHidden().summary(X)
    assert row(summary, "dense").calls == 2
    assert row(summary, "dense").outputs == ((2, 20), (2, 20))
    assert (summary.parameters, summary.constants) == (420, 400)
    assert not summary.exact
    assert summary.flops == row(summary, "dense").flops == 2 * (2 * 2 * 20 * 20 + 2 * 20)
    assert "in the layers alone" in str(summary)
    assert "2 calls" in str(summary)


def test_a_shared_block_is_counted_once_and_marked():
    dense = nn.Dense(20)
    summary = nn.Sequential(dense, nn.ReLU(), dense).summary(X)
    assert summary.parameters == 420
    assert row(summary, "2").shared_with == "0"
    assert row(summary, "2").to_dict()["flops"] is None
    assert row(summary, "0").calls == 2
    assert "shared with 0" in str(summary)


def test_a_tied_parameter_is_counted_once_and_marked():
    summary = Tied().summary(np.ones((3,), np.int32))
    assert summary.parameters == 50 * 8
    assert row(summary, "again").parameters == 0
    assert "weight shared with embed.weight" in str(summary)


def test_a_cycle_ends():
    net = mlp()
    net[0].parent = net
    summary = net.summary(X)
    assert row(summary, "0.parent").shared_with == ""
    assert "shared with (net)" in str(summary)
    assert summary.parameters == 7946


def test_frozen_constants_and_states_are_told_apart():
    net = nn.Sequential(nn.Dense(4).freeze(), nn.BatchNorm(), nn.Dense(2).freeze("bias"))
    net.scale = jnp.ones((3,))
    summary = net.summary(X)
    assert (summary.frozen, summary.trainable) == (20 * 4 + 4 + 2, 4 + 4 + 4 * 2)
    assert (summary.constants, summary.states) == (3, 8)
    assert [r.trainable for r in summary.rows] == ["", "no", "yes", "partly"]


def test_what_forward_leaves_behind_is_not_counted():
    class Noting(kuai.Block):
        def forward(self, x):
            self.last = x
            return x

    net = Noting()
    net(X)
    assert net.summary(X).states == 0
    assert net.last.shape == (2, 20)


def test_a_block_that_does_not_run_says_so():
    class Half(kuai.Block):
        def __init__(self):
            self.used, self.unused = nn.Dense(2), nn.Dense(3)

        def forward(self, x):
            return self.used(x)

    summary = Half().summary(X)
    assert row(summary, "unused").calls == 0
    assert "did not run" in str(summary)
    assert row(summary, "unused").to_dict()["parameters"] is None


def test_the_mode_decides_what_runs():
    with kuai.train_mode():
        training = Switch().summary(X).flops
    assert training == 2 * 2 * 2 * 20
    assert Switch().summary(X).flops == 2 * 20
    assert nn.Sequential(Switch().train()).summary(X).rows[1].flops == training


def test_several_inputs_and_outputs():
    class Two(kuai.Block):
        def forward(self, pair, scale):
            a, b = pair
            return {"sum": a + b, "product": scale * a @ b.T}

    summary = Two().summary((X, X), 2.0)
    assert summary.rows[0].outputs == ((2, 20), (2, 2))
    assert "(2, 20), (2, 2)" in str(summary)


def test_calls_of_other_threads_are_not_recorded():
    net = nn.Sequential(nn.Dense(3), nn.Identity()).initialize(sample=X)

    def call_elsewhere(_block, _inputs):
        thread = threading.Thread(target=net[0], args=(np.ones((5, 20), np.float32),))
        thread.start()
        thread.join()

    with net[1].register_forward_pre_hook(call_elsewhere):
        summary = net.summary(X)
    assert row(summary, "0").outputs == ((2, 3),)


def test_equal_layers_are_counted_by_one_lowering(monkeypatch):
    from kuai.show import cost

    lowered = []
    count = cost._flops
    monkeypatch.setattr(cost, "_flops", lambda program: lowered.append(1) or count(program))
    net = nn.Sequential(*[nn.Dense(20) for _ in range(12)])
    assert net.summary(X).flops == 12 * (2 * 2 * 20 * 20 + 40)
    assert len(lowered) == 2  # one layer, and the whole


def test_a_very_deep_net_has_a_summary_and_a_picture():
    net = nn.Identity()
    for _ in range(1500):
        net = nn.BlockList([net])
    summary = net.summary()
    assert len(summary.rows) == 1501
    assert len(summary.to_dict()["rows"]) == 1501


def test_to_dict_is_plain_data():
    plain = json.loads(json.dumps(mlp().summary(X).to_dict()))
    assert plain["class"] == "Sequential"
    assert plain["parameters"] == 7946
    assert plain["rows"][1]["arrays"][0] == {
        "name": "weight",
        "kind": "parameter",
        "shape": [20, 256],
        "dtype": "float32",
        "trainable": True,
        "shared_with": None,
    }


def test_bfloat16_takes_half_the_bytes():
    assert mlp().astype(jnp.bfloat16).summary(X.astype(jnp.bfloat16)).bytes == 7946 * 2


widths = some.lists(some.integers(1, 9), min_size=1, max_size=5)


@hypothesis.given(widths=widths, features=some.integers(1, 6), batch=some.integers(0, 3))
@hypothesis.settings(max_examples=20)
def test_law_the_sums_are_those_of_the_arrays(widths, features, batch):
    net = nn.Sequential(*[nn.Dense(width) for width in widths])
    summary = net.summary(jax.ShapeDtypeStruct((batch, features), jnp.float32))
    expected = [(n + 1) * m for n, m in itertools.pairwise([features, *widths])]
    assert [r.parameters for r in summary.rows[1:]] == expected
    assert summary.parameters == sum(expected)
    shapes = [r.outputs for r in summary.rows[1:]]
    assert shapes == [((batch, width),) for width in widths]
    assert summary.flops == sum(r.flops for r in summary.rows[1:])


def test_looking_bumps_nothing_for_good():
    net = mlp().initialize(sample=X).hybridize()
    net(X)
    net.summary()
    before = epoch.value
    net.summary()
    assert epoch.value == before


def test_every_public_name_is_found_where_it_is_listed():
    from kuai import show

    assert sorted(show._HOMES) == sorted(show.__all__)
    assert all(getattr(show, name).__name__ == name for name in show.__all__)
    with pytest.raises(AttributeError, match=r"module 'kuai.show' has no attribute 'nothing'"):
        _ = show.nothing
