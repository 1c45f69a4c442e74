"""Lists and dicts on a block are watched, and what forward puts there is not kept for good."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import kuai
from kuai import nn
from kuai.errors import RegistrationError, ShapeError
from tests.registering import bare, p, paths


def test_lists_behave_as_lists():
    a, b, c = nn.Dense(1), nn.Dense(2), nn.Dense(3)
    block = bare(x=[a, b])
    block.x += [c]
    assert block.x == [a, b, c]
    block.x.reverse()
    block.x.sort(key=lambda layer: -layer.units)
    assert block.x == [c, b, a]
    block.x[1:] = [b]
    block.x *= 2
    assert block.x == [c, b, c, b]
    assert len(block.children()) == 2
    assert (block.x.index(b), block.x.count(c), b in block.x) == (1, 2, True)
    assert all(type(x) is list for x in (block.x.__add__([a]), block.x.__radd__([a]), block.x * 2))
    assert block.x.pop() is b
    block.x.remove(b)
    block.x.insert(0, a)
    del block.x[1:]
    assert block.x == [a]
    assert isinstance(block.x, list)


def test_an_assigned_watched_list_is_shared_as_python_shares_it():
    first = bare(x=[nn.Dense(1)])
    second = bare(y=first.x)
    first.x.append(nn.Dense(2))
    assert len(second.y) == 2


def test_lists_and_dicts_of_arrays_read_as_arrays_everywhere():
    block = bare(xs=[jnp.ones(2), jnp.ones(2)], d={"a": jnp.ones(2)})
    assert jnp.stack(block.xs).shape == (2, 2)
    assert all(isinstance(x, jax.Array) for x in [*block.xs, *reversed(block.xs), *block.xs[:1]])
    for copied in (dict(block.d), {**block.d}, block.d | {}, {} | block.d, block.d.copy()):
        assert isinstance(copied["a"], jax.Array)
    doubled = jax.tree.map(lambda x: x * 2, {"xs": block.xs, "d": block.d})
    assert float(doubled["xs"][0].sum()) == float(doubled["d"]["a"].sum()) == 4
    block.xs[0] = jnp.zeros(2)
    assert isinstance(block.params["xs.0"], kuai.Constant)
    assert float(block.xs[0].sum()) == 0
    with pytest.raises(ShapeError, match="expected a value of shape"):
        block.xs[0] = jnp.zeros(3)
    with pytest.raises(RegistrationError, match="item 0: expected an array"):
        block.xs[0] = "text"


def test_dicts_behave_as_dicts():
    a, b = nn.Dense(1), nn.Dense(2)
    block = bare(x={"a": a})
    block.x |= {"b": b}
    assert block.x.setdefault("c", a) is a
    assert block.x.get("z", 7) == 7
    assert block.x.pop("c") is a
    assert block.x.popitem() == ("b", b)
    assert block.x.items() == [("a", a)]
    block.x.clear()
    assert block.children() == []


def test_a_failed_update_changes_nothing():
    block = bare(x={"a": p(2)}, xs=[p(2)])
    with pytest.raises(RegistrationError):
        block.x.update(a=jnp.ones(2), b={nn.Dense(1)})
    with pytest.raises(RegistrationError):
        block.xs.extend([p(), {nn.Dense(1)}])
    assert float(block.x["a"].sum()) == 0
    assert paths(block) == ["x.a", "xs.0"]


class Remembers(kuai.Block):
    def __init__(self):
        self.dense = nn.Dense(2)
        self.seen = []
        self.last = "nothing"
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.seen.append(x.shape)
        self.last = self.dense(x)
        return self.last


def test_a_dry_run_leaves_no_trace():
    net = Remembers()
    net(jnp.ones((1, 3)))
    assert (net.calls, net.seen) == (1, [(1, 3)])
    assert net.last.shape == (1, 2)
    assert paths(net) == ["dense.weight", "dense.bias"]
    assert not net.params.last.persistent


def test_a_failed_first_call_leaves_what_was_there():
    net = Remembers()
    with pytest.raises(kuai.errors.ShapeError):
        net(jnp.ones(()))
    assert net.last == "nothing"
    assert net.dense.params.weight.shape == (None, 2)


def test_arrays_that_forward_puts_into_lists_are_not_saved():
    class Keeps(kuai.Block):
        def __init__(self):
            self.kept = []

        def forward(self, x):
            self.kept.append(x)
            self.pair = [x, x]
            return x

    net = Keeps()
    net(jnp.ones(2))
    assert [h.persistent for _, h in net.named_holders(kuai.State)] == [False] * 3
