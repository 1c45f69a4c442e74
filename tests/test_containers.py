"""Sequential, Parallel, Residual, BlockList, BlockDict, replicate."""

from __future__ import annotations

import gc
import weakref

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, BlockLookupError, RegistrationError, ShapeError


def test_sequential_takes_arguments_pairs_a_dict_and_an_iterable():
    a, b = nn.Dense(2), nn.Dense(1)
    for net in (
        nn.Sequential(("a", a), ("b", b)),
        nn.Sequential([("a", a), ("b", b)]),
        nn.Sequential({"a": a, "b": b}),
        nn.Sequential().add(("a", a)).append(("b", b)),
    ):
        assert net.names() == ["a", "b"]
        assert (net.a, net["b"]) == (a, b)
    for net in (nn.Sequential(a, b), nn.Sequential([a, b]), nn.Sequential(x for x in (a, b))):
        assert net.names() == ["0", "1"]
        assert [path for path, _ in net.named_children()] == ["0", "1"]


def test_sequential_is_the_composition_and_passes_tuples_on():
    net = nn.Sequential(lambda x: (x, x + 1), lambda a, b: a * b, nn.relu)
    assert float(net(jnp.asarray(3.0))) == 12
    assert float(nn.Sequential(lambda a, b: a - b)(jnp.asarray(3.0), jnp.asarray(1.0))) == 2
    x = jnp.ones(2)
    assert nn.Sequential()(x) is x


def test_list_operations_keep_blocks_and_names():
    a, b, c, d = (nn.Dense(n) for n in (1, 2, 3, 4))
    net = nn.Sequential(a, ("b", b))
    net.insert(0, c).extend([d])
    assert list(net) == [c, a, b, d]
    assert net.names() == ["0", "1", "b", "3"]
    assert (net.index(b), len(net), b in net, net[-1], net[1:3].names()) == (
        2,
        4,
        True,
        d,
        ["0", "b"],
    )
    assert net.pop() is d
    assert net.pop("b") is b
    both = net + nn.Sequential(("out", d))
    assert type(both) is nn.Sequential
    assert (list(both), both.names()) == ([c, a, d], ["0", "1", "out"])
    net += [b]
    net[0] = d
    net[1:] = [a, c]
    assert list(net) == [d, a, c]
    del net[:2]
    assert list(net) == [c]
    del net[0]
    assert len(net) == 0


def test_blocks_are_attributes_by_name():
    net = nn.Sequential(("hidden", nn.Dense(2)), nn.Dense(1))
    net.hidden = nn.Dense(5)
    assert repr(net) == "Sequential(('hidden', Dense(5)), Dense(1))"
    assert "hidden" in dir(net)
    setattr(net, "1", nn.Dense(3))
    assert getattr(net, "1").units == 3
    del net.hidden
    assert repr(net) == "Sequential(Dense(3))"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(3), "expected a block or a function, got int 3"),
        (lambda: nn.Sequential(None), "expected a block or a function, got NoneType"),
        (lambda: nn.Sequential("relu"), "expected a block or a function, got str 'relu'"),
        (lambda: nn.Sequential(nn.Dense), r"got the class Dense; write Dense\(...\)"),
        (
            lambda: nn.Sequential(("a", nn.relu), ("a", nn.relu)),
            "a new name, got 'a', which stands",
        ),
        (lambda: nn.Sequential(("a.b", nn.relu)), "without dots that is not a number, got 'a.b'"),
        (lambda: nn.Sequential(("7", nn.relu)), "without dots that is not a number, got '7'"),
        (lambda: nn.Sequential(("append", nn.relu)), "'append' is a method or attribute"),
        (lambda: nn.BlockDict(nn.Dense(1)), "got a block without a name; use nn.BlockList"),
        (lambda: nn.Sequential().extend(nn.Dense(1)), "expected a list or another container"),
    ],
)
def test_what_containers_refuse(make, message):
    with pytest.raises(RegistrationError, match=message):
        make()


def test_a_name_that_an_attribute_has_is_refused():
    net = nn.Sequential(nn.Dense(1))
    net.extra = nn.Dense(2)
    with pytest.raises(RegistrationError, match="a new name, got 'extra'"):
        net.append(("extra", nn.Dense(1)))


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.add(nn.Dense(1), 3),
        lambda net: net.extend([nn.Dense(1), "x"]),
        lambda net: net.extend({"ok": nn.Dense(1), "b": nn.Dense(1)}),
        lambda net: net.__setitem__(0, 3),
        lambda net: net.__setitem__(slice(0, 1), [nn.Dense(1), 3]),
    ],
)
def test_a_failed_change_changes_nothing(change):
    net = nn.Sequential(nn.Dense(1), ("b", nn.Dense(2)))
    before = list(net)
    with pytest.raises(RegistrationError):
        change(net)
    assert list(net) == before
    assert net.names() == ["0", "b"]


def test_what_is_not_there_is_said():
    net = nn.Sequential(("a", nn.Dense(1)))
    with pytest.raises(IndexError, match="Sequential: index 3 is out of range for 1 blocks"):
        _ = net[3]
    with pytest.raises(KeyError, match=r"^Sequential has no block 'b'; it has a$"):
        _ = net["b"]
    with pytest.raises(BlockLookupError):
        nn.Sequential().pop()
    with pytest.raises(ValueError, match="Dense is not in this Sequential"):
        net.index(nn.Dense(1))
    with pytest.raises(BlockLookupError, match="expected the name of a block, got 0; it has a"):
        _ = nn.BlockDict({"a": nn.Dense(1)})[0]


def test_block_dict_is_a_dict():
    a, b = nn.Dense(1), nn.Dense(2)
    heads = nn.BlockDict({"a": a})
    heads["b"] = b
    heads.update({"a": b, "c": a})
    assert heads.items() == [("a", b), ("b", b), ("c", a)]
    assert (heads.keys(), heads.values()) == (["a", "b", "c"], [b, b, a])
    assert ("c" in heads, list(heads), heads.get("z", 1)) == (True, ["a", "b", "c"], 1)
    with pytest.raises(RegistrationError):
        heads.update({"d": a, "x.y": b})
    assert len(heads) == 3
    assert heads.pop("c") is a
    del heads["b"]
    assert [path for path, _ in heads.named_parameters()] == ["a.weight", "a.bias"]


def test_slices_of_subclasses():
    class Mlp(nn.Sequential):
        def __init__(self, units):
            super().__init__(nn.Dense(units), nn.Dense(1))

    class Plain(nn.Sequential):
        pass

    assert type(Mlp(3)[:1]) is nn.Sequential
    assert type(Plain(nn.relu)[:1]) is Plain
    side = nn.Parallel(nn.relu, nn.tanh, nn.relu, join="sum")[1:]
    assert repr(side) == "Parallel(Lambda(tanh), Lambda(relu), join='sum')"
    assert type(side.__add__([nn.relu])) is nn.Parallel


@pytest.mark.parametrize(
    ("join", "axis", "oracle"),
    [
        ("concat", -1, lambda a, b: np.concatenate([a, b], -1)),
        ("concat", 0, lambda a, b: np.concatenate([a, b], 0)),
        ("sum", -1, lambda a, b: a + b),
        ("stack", 1, lambda a, b: np.stack([a, b], 1)),
        (lambda a, b: a - b, -1, lambda a, b: a - b),
    ],
)
def test_parallel_joins(join, axis, oracle):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y = nn.Parallel(lambda x: x + 1, lambda x: x * 2, join=join, axis=axis)(x)
    np.testing.assert_array_equal(y, oracle(x + 1, x * 2))


def test_parallel_says_what_does_not_fit():
    x = jnp.ones((4, 5))
    for join in ("sum", "stack"):
        with pytest.raises(ShapeError, match=rf"to {join}, got \(4, 2\), \(4, 1\); change the"):
            nn.Parallel(nn.Dense(2), nn.Dense(1), join=join)(x)
    with pytest.raises(
        ShapeError, match=r"Parallel: .* but for axis -1 to concat, got \(4, 5\), \(5"
    ):
        nn.Parallel(lambda x: x, lambda x: x.T)(x)
    with pytest.raises(ArgumentError, match="Parallel: expected at least one block, got none"):
        nn.Parallel()(x)
    with pytest.raises(ArgumentError, match="'stack' or a function, got 'mean'"):
        nn.Parallel(nn.relu, join="mean")


def test_residual():
    x = jnp.ones((2, 3))
    assert float(nn.Residual(lambda x: 2 * x, lambda x: x + 1)(x)[0, 0]) == 4
    with pytest.raises(ShapeError, match=r"to keep the shape \(2, 3\) of its input, got \(2, 1\)"):
        nn.Residual(nn.Dense(1))(x)
    with pytest.raises(ArgumentError, match="Residual: expected a block, got none"):
        nn.Residual()


def test_lambda_and_identity():
    assert nn.Identity()(1, 2) == (1, 2)
    with pytest.raises(ArgumentError, match="Lambda: expected a function, got int"):
        nn.Lambda(3)


def test_replicate_makes_instances_of_their_own():
    pattern = nn.Dense(4).initialize(sample=jnp.ones((1, 4)))
    net = kuai.replicate(pattern, 3)
    net(jnp.ones((1, 4)))
    values = [np.asarray(p.array) for _, p in net.named_parameters("*.weight")]
    assert len(values) == 3
    assert not np.array_equal(values[0], values[1])
    assert not np.array_equal(values[1], values[2])
    assert pattern not in net


def test_replicate_shares_one_set_of_parameters():
    net = kuai.replicate(nn.Dense(4), 3, share=True)
    assert len(net.parameters()) == 2
    net(jnp.ones((1, 4)))
    grads = kuai.grad(lambda net, x: net(x).sum())(net, jnp.ones((1, 4)))
    assert sorted(grads) == ["0.bias", "0.weight"]


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "3"])
def test_replicate_wants_a_count(n):
    with pytest.raises(ArgumentError, match="expected a number of instances of at least 1"):
        kuai.replicate(nn.Dense(1), n)


def test_replicate_wants_a_block():
    with pytest.raises(RegistrationError, match=r"replicate: .* got the class Dense; write Dense"):
        kuai.replicate(nn.Dense, 2)


def test_a_container_may_be_made_in_a_compiled_forward():
    class Net(kuai.Block):
        def forward(self, x):
            return nn.Sequential(nn.relu, lambda x: x + 1)(x)

    assert float(Net().hybridize()(jnp.asarray(-1.0))) == 1


class Looped(kuai.Block):
    """A net whose child refers back to it."""

    def __init__(self):
        self.layers = [nn.Dense(2), nn.Lambda(jnp.abs)]
        self.layers[0].parent = self

    def forward(self, x):
        return self.layers[1](self.layers[0](x))


def alive_after(times: int, use) -> int:
    """How many of the nets that were made, used and dropped are still there."""
    references = []
    for _ in range(times):
        net = Looped()
        use(net, jnp.ones((1, 3)))
        references.append(weakref.ref(net))
    del net
    gc.collect()
    return sum(ref() is not None for ref in references)


def test_dropped_nets_are_freed():
    assert alive_after(200, lambda net, x: net(x)) == 0


def test_compiled_and_differentiated_nets_are_freed():
    def use(net, x):
        net.hybridize()(x)
        kuai.grad(lambda net, x: net(x).sum())(net, x)
        net.vjp(x)

    assert alive_after(4, use) == 0
