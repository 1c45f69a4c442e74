"""What stands on a block is registered, however it came there."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections import OrderedDict, defaultdict, deque
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, RegistrationError, ShapeError
from tests.registering import Bare, bare, p, paths


class Pair(NamedTuple):
    left: object
    right: object


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (p(), ["x"]),
        ([p(), p()], ["x.0", "x.1"]),
        ((p(), (p(),)), ["x.0", "x.1.0"]),
        ({"a": p(), 1: p()}, ["x.a", "x.1"]),
        (OrderedDict(b=p(), a=p()), ["x.b", "x.a"]),
        (Pair(p(), [p()]), ["x.left", "x.right.0"]),
        ([{"a": (p(), [p()])}], ["x.0.a.0", "x.0.a.1.0"]),
        (nn.BlockList(nn.Lambda(abs)), []),
        ([nn.Dense(1, use_bias=False)], ["x.0.weight"]),
    ],
)
def test_members_are_registered_at_any_depth(value, expected):
    assert paths(bare(x=value)) == expected


def test_super_init_may_be_missing_or_late():
    class Late(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)
            super().__init__()
            self.layers = [nn.Dense(1)]

    assert [type(b) for b in Late().children()] == [nn.Dense, nn.Dense]


def test_arrays_become_constants_and_read_as_arrays():
    block = bare(a=np.arange(3.0), b=[jnp.ones(2)], c=Pair(np.zeros(1), 5))
    assert [(path, type(h)) for path, h in block.named_holders()] == [
        ("a", kuai.Constant),
        ("c.left", kuai.Constant),
        ("b.0", kuai.Constant),
    ]
    assert all(isinstance(x, jax.Array) for x in (block.a, block.b[0], block.c.left))
    assert block.c.right == 5
    assert isinstance(block.c, Pair)


def test_an_array_given_by_numpy_is_copied():
    source = np.zeros(4096, np.float32)
    block = bare(x=source)
    source[:] = 1
    assert float(block.x.sum()) == 0


def test_reading_gives_the_array_and_params_the_holder():
    holder = p(2)
    block = bare(w=holder, ws=[holder])
    assert block.params.w is holder
    assert block.params["ws.0"] is holder
    assert block.w is holder.array
    assert block.params.ws == [holder]
    with pytest.raises(AttributeError, match=r"Bare has no parameter 'v'; it has w, ws.0"):
        _ = block.params.v
    with pytest.raises(kuai.errors.BlockLookupError, match="no parameter stands at 'wz'; near it"):
        _ = block.params["wz"]


def test_assigning_an_array_sets_the_value_checked():
    block = bare(w=p(2))
    holder = block.params.w
    block.w = np.array([1, 2], np.int32)
    assert block.params.w is holder
    assert block.w.dtype == jnp.float32
    message = r"Bare.w: expected a value of shape \(2,\), got \(3,\); delete the attribute first"
    with pytest.raises(ShapeError, match=message):
        block.w = jnp.zeros(3)
    with pytest.raises(kuai.errors.DtypeError, match=r"Bare.w: expected a value of dtype float32"):
        block.w = jnp.zeros(2, jnp.complex64)
    assert block.w.tolist() == [1, 2]


@pytest.mark.parametrize("value", [[1.0, 2.0], "text", {"a": 1}, abs])
def test_a_parameter_is_not_lost_by_assigning_something_else(value):
    block = bare(w=p(2))
    with pytest.raises(
        RegistrationError, match=r"Bare.w: expected an array, a number, a Parameter"
    ):
        block.w = value
    assert paths(block) == ["w"]


def test_none_takes_a_parameter_off():
    block = bare(w=p(2))
    block.w = None
    assert paths(block) == []
    assert block.w is None


@pytest.mark.parametrize(
    "kind", [set, frozenset, deque, lambda items: defaultdict(list, x=items[0])]
)
def test_containers_that_are_not_watched_refuse_blocks(kind):
    with pytest.raises(RegistrationError, match=r"Bare.x: a \w+ cannot hold a Dense: it would not"):
        bare(x=kind([nn.Dense(1)]))


def test_a_set_and_a_deque_refuse_blocks_later_too():
    block = bare(x={1}, y=deque())
    with pytest.raises(RegistrationError, match="cannot hold a Dense"):
        block.x.add(nn.Dense(1))
    with pytest.raises(RegistrationError, match="cannot hold a Dense"):
        block.x |= {nn.Dense(1)}
    assert block.x == {1}
    block.y.append(nn.Dense(1))
    with pytest.raises(RegistrationError, match="y: a deque cannot hold a Dense"):
        block.parameters()


def test_an_array_of_objects_is_refused():
    with pytest.raises(ArgumentError, match=r"Bare.x: Constant: expected an array, got ndarray"):
        bare(x=np.array([nn.Dense(1)], dtype=object))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"1": nn.Dense(1), 1: nn.Dense(1)}, "keys '1' and 1 give two members the path '1'"),
        ({"a.b": nn.Dense(1)}, "expected dict keys without dots that are not empty, got 'a.b'"),
        ({"": nn.Dense(1)}, "expected dict keys without dots that are not empty, got ''"),
    ],
)
def test_dict_keys_must_tell_members_apart(value, message):
    with pytest.raises(RegistrationError, match=re.escape(message)):
        bare(x=value)
    block = bare(x={})
    with pytest.raises(RegistrationError, match=re.escape(message)):
        block.x.update(value)
    assert block.x == {}
    assert bare(x=dict.fromkeys(value, 3)).x == dict.fromkeys(value, 3)


def test_two_members_of_one_path_are_refused():
    block = bare(x={"a": {}})
    block.y = nn.Sequential()
    block.y.child = p()
    object.__setattr__(block, "y.child", nn.Dense(1))
    with pytest.raises(RegistrationError, match=r"two members have the path 'y.child'"):
        block.parameters()


@pytest.mark.parametrize(
    "name", ["children", "parameters", "load", "params", "hybridized", "_kuai"]
)
def test_names_of_block_are_refused(name):
    with pytest.raises(RegistrationError, match=f"Bare.{name}: '{name}' is a name of kuai.Block"):
        setattr(Bare(), name, nn.Dense(1))


def test_a_name_with_dots_is_refused_for_members_only():
    with pytest.raises(RegistrationError, match=r"expected a name without dots, got 'a.b'"):
        setattr(Bare(), "a.b", nn.Dense(1))


@pytest.mark.parametrize("name", ["_run", "_register", "_blocks", "_names", "stored", "settings"])
def test_names_are_left_to_the_user(name):
    net = nn.Sequential(nn.Dense(2))
    setattr(net, name, 5)
    assert getattr(net, name) == 5
    assert net(jnp.ones((1, 2))).shape == (1, 2)


def test_a_class_attribute_that_would_hide_an_array_is_refused():
    class Hidden(kuai.Block):
        weight = None

    with pytest.raises(
        RegistrationError, match=r"Hidden.weight: the class has an attribute 'weight'"
    ):
        Hidden().weight = p()
    block = Hidden()
    block.weight = nn.Dense(1)
    assert len(block.children()) == 1


def test_properties_keep_their_setters_and_their_errors():
    class Net(kuai.Block):
        @property
        def rate(self):
            return self._rate

        @rate.setter
        def rate(self, value):
            self._rate = value

        @property
        def broken(self):
            return self.no_such_thing

    net = Net()
    net.rate = nn.Dense(1)
    assert paths(net) == ["_rate.weight", "_rate.bias"]
    with pytest.raises(AttributeError, match="no attribute 'no_such_thing'"):
        _ = net.broken
    net.width = 3
    with pytest.raises(AttributeError, match=r"no attribute 'widht'; did you mean 'width'?"):
        _ = net.widht


def test_a_dataclass_may_be_a_block():
    @dataclasses.dataclass
    class Net(kuai.Block):
        units: int
        inner: nn.Dense = dataclasses.field(default_factory=lambda: nn.Dense(3))
        layers: list = dataclasses.field(default_factory=list)

        def __post_init__(self):
            self.layers.append(nn.Dense(self.units))

        def forward(self, x):
            return self.layers[0](self.inner(x))

    net, other = Net(2), Net(2)
    assert net(jnp.ones((1, 4))).shape == (1, 2)
    assert len(paths(net)) == 4
    assert net != other
    assert hash(net) != hash(other)
    assert repr(net).startswith("Net(2, inner=Dense(3)")
    net.hybridize()
    assert net(jnp.ones((1, 4))).shape == (1, 2)


def test_a_frozen_dataclass_loses_nothing():
    @dataclasses.dataclass(frozen=True)
    class Net(kuai.Block):
        weight: object
        layers: object

    net = Net(p(2), [nn.Dense(1)])
    assert paths(net) == ["weight", "layers.0.weight", "layers.0.bias"]
    assert isinstance(net.weight, jax.Array)


def test_slots_and_own_equality_are_refused_when_the_class_is_made():
    with pytest.raises(RegistrationError, match="expected a class without __slots__, got inner"):

        class Slotted(kuai.Block):
            __slots__ = ("inner",)

    with pytest.raises(RegistrationError, match="defines __eq__ or __hash__, but blocks are told"):

        class Equal(kuai.Block):
            def __eq__(self, other):
                return True


def test_what_init_puts_into_dict_is_registered():
    class Direct(kuai.Block):
        def __init__(self, weight, layers):
            self.__dict__.update(weight=weight, layers=layers)

    block = Direct(p(), [nn.Dense(1)])
    block.layers.append(nn.Dense(1))
    assert len(paths(block)) == 5


def test_a_list_changed_by_its_old_name_in_init_is_an_error():
    class Net(kuai.Block):
        def __init__(self):
            layers = []
            self.layers = layers
            layers.append(nn.Dense(1))

    with pytest.raises(RegistrationError, match=r"Net.layers: the list was copied .* change self"):
        Net()


def test_ties_list_once_with_aliases():
    net = bare(a=nn.Embedding(5, 3), b=bare(w=p(1)))
    net.b.other = net.a.params.weight
    assert paths(net) == ["a.weight", "b.w"]
    assert net.b.params.other is net.a.params.weight
    net.a.weight = jnp.ones((5, 3))
    assert float(net.b.other.sum()) == 15
    del net.b.other
    net.b.other = p(1)
    assert paths(net) == ["a.weight", "b.w", "b.other"]


@pytest.mark.parametrize("place", ["attribute", "list", "dict"])
def test_ties_of_unequal_shapes_are_refused(place):
    table = nn.Embedding(5, 3).params.weight
    net = bare(w=kuai.Parameter(shape=(3, 5)), ws=[kuai.Parameter(shape=(None, 5))])
    net.d = {"k": kuai.Parameter(shape=(3, 5))}
    tie = {
        "attribute": lambda: setattr(net, "w", table),
        "list": lambda: net.ws.__setitem__(0, table),
        "dict": lambda: net.d.update(k=table),
    }
    with pytest.raises(ShapeError, match=r"to tie to, got \(5, 3\); transpose in forward"):
        tie[place]()
    assert len(paths(net)) == 3


def test_sharing_diamonds_and_cycles_are_listed_once():
    shared = nn.Dense(2)
    left, right = bare(inner=shared), bare(inner=shared)
    net = bare(left=left, right=right, again=left)
    left.parent = net
    assert paths(net) == ["left.inner.weight", "left.inner.bias"]
    assert [path for path, _ in net.named_blocks()] == ["", "left", "left.inner", "right"]
    assert net.get_block("again.parent.right.inner") is shared


def test_depth_has_no_limit_for_lists_of_parameters():
    net = bare(w=p())
    for _ in range(1000):
        net = bare(inner=net)
    assert paths(net) == ["inner." * 1000 + "w"]
    twin = net.freeze().copy()
    assert [h.trainable for h in twin.parameters()] == [False]
    assert twin.parameters()[0] is not net.parameters()[0]
    assert repr(net).count("Bare(") == 41


def test_deleting_and_replacing():
    net = nn.Sequential(nn.Dense(1), nn.Dense(2), nn.Dense(3))
    del net[1]
    assert paths(net) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    block = bare(a=nn.Dense(1), w=p())
    del block.a, block.w
    assert block.children() == block.parameters() == []
    with pytest.raises(AttributeError):
        del block.a


def test_threads_may_register_at_once():
    net = nn.Sequential()
    block = bare(xs=[], d={})

    def work(number):
        for i in range(50):
            net.append(nn.Identity())
            block.xs.append(p())
            block.d[f"k{number}_{i}"] = p()
            setattr(block, f"a{number}_{i}", p())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(net) == 200
    assert len(paths(block)) == 600
