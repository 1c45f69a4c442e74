"""A block's life: calling, listing, selecting, freezing, casting, and what it refuses."""

from __future__ import annotations

import abc
import re
import weakref
from collections import UserList

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import (
    ArgumentError,
    BlockNotReadyError,
    DeferredInitError,
    DtypeError,
    ForwardNotDefinedError,
    RegistrationError,
    TransformError,
)


class Net(kuai.Block):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Dense(4), nn.LayerNorm())
        self.out = nn.Dense(2)

    def forward(self, x):
        return self.out(self.encoder(x))


ALL = ["encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias", "out.weight",
       "out.bias"]  # fmt: skip


def test_forward_must_be_defined():
    class Empty(kuai.Block):
        def foward(self, x):
            return x

    outer = Net()
    outer.inner = Empty()
    outer.forward = outer.inner
    message = (
        r"Net: inner \(Empty\): expected Empty to define forward\(self, ...\), and it does not"
    )
    with pytest.raises(ForwardNotDefinedError, match=message):
        outer(jnp.ones(1))
    with pytest.raises(NotImplementedError, match="Empty: expected Empty to define forward"):
        Empty()(1)


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_block_is_not_called_from_its_own_init(hybridized):
    class Eager(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)
            if hybridized:
                self.hybridize()
            self(jnp.ones((1, 2)))

        def forward(self, x):
            return self.dense(x)

    with pytest.raises(BlockNotReadyError, match="Eager was called from inside its own __init__"):
        Eager()


def test_numpy_goes_in_and_jax_comes_out():
    y = Net()(np.ones((3, 5), np.float32))
    assert isinstance(y, jax.Array)
    assert y.shape == (3, 2)


def test_an_error_notes_the_block_it_arose_in():
    class Broken(kuai.Block):
        def forward(self, x):
            raise KeyError("lost")

    net = nn.Sequential(nn.Identity(), Broken())
    with pytest.raises(KeyError, match="lost") as caught:
        net(jnp.ones(1))
    assert caught.value.__notes__ == ["in block Sequential: 1 (Broken)"]


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (None, ALL),
        ("*.weight", ["encoder.0.weight", "encoder.1.weight", "out.weight"]),
        ("out.bias", ["out.bias"]),
        (re.compile(r"^enc.*\.0\."), ALL[:2]),
        (lambda path, holder: holder.shape == (2,), ["out.bias"]),
        (kuai.Parameter, ALL),
        ("nothing", []),
    ],
)
def test_parameters_are_selected(select, expected):
    net = Net()
    assert [path for path, _ in net.named_parameters(select)] == expected
    assert net.parameters(select) == [net.params[path] for path in expected]


def test_blocks_are_selected():
    net = Net()
    assert [p for p, _ in net.named_blocks()] == ["", "encoder", "encoder.0", "encoder.1", "out"]
    assert net.blocks(nn.Dense) == [net.encoder[0], net.out]
    assert net.blocks("encoder.*") == list(net.encoder)
    assert net.children() == [net.encoder, net.out]
    assert net.named_children()[1] == ("out", net.out)
    with pytest.raises(ArgumentError, match=r"select: expected a glob, .* got int 3"):
        net.blocks(3)


def test_apply_goes_from_below_upward():
    seen = []
    net = Net()
    assert net.apply(seen.append) is net
    assert seen == list(reversed(net.blocks()))


def test_freeze_and_unfreeze():
    net = Net()
    net.encoder.freeze()
    trained = kuai.grad(lambda net, x: net(x).sum())(net, jnp.ones((1, 3)))
    assert sorted(trained) == ["out.bias", "out.weight"]
    net.freeze("out.*").unfreeze("encoder.0.*")
    assert [p for p, h in net.named_parameters() if h.trainable] == ALL[:2]
    with pytest.raises(
        ArgumentError, match=r"Net.freeze: 'enc.\*' selects no parameter; there are"
    ):
        net.freeze("enc.*")


def test_astype_casts_floats_only():
    net = nn.Sequential(nn.Dense(2), nn.BatchNorm())
    net.steps = kuai.State(0)
    net(jnp.ones((2, 3)))
    net.astype("bfloat16")
    assert {str(h.dtype) for p, h in net.named_holders() if p != "steps"} == {"bfloat16"}
    assert net.params.steps.dtype == jnp.int32
    for dtype in ("int32", "nonsense"):
        with pytest.raises(
            DtypeError, match="astype: expected a floating dtype such as 'bfloat16'"
        ):
            net.astype(dtype)
    assert net[0].weight.dtype == jnp.bfloat16


def test_astype_before_values_are_made():
    net = nn.Dense(2).astype(jnp.float16)
    assert net(jnp.ones((1, 3), jnp.float16)).dtype == jnp.float16


def test_values_asked_for_too_early():
    with pytest.raises(
        DeferredInitError, match=r"Dense.weight: Parameter of shape \(None, 2\): its"
    ):
        _ = nn.Dense(2).weight


def test_blocks_are_told_by_identity_and_held_weakly():
    a, b = nn.Dense(2), nn.Dense(2)
    assert a != b
    assert len({a, b, a}) == 2
    reference = weakref.ref(a)
    assert reference() is a
    del a
    assert reference() is None


def test_raw_jax_transforms_are_told_what_to_use():
    with pytest.raises(
        TransformError, match=r"a block \(Dense\) was given to JAX .* kuai.functional"
    ):
        jnp.asarray(nn.Dense(2))


def test_abstract_blocks():
    class Encoder(kuai.Block, abc.ABC):
        @abc.abstractmethod
        def encode(self, x): ...

    class Half(Encoder):
        def encode(self, x):
            return x / 2

        def forward(self, x):
            return self.encode(x)

    assert float(Half()(jnp.asarray(4.0))) == 2
    with pytest.raises(TypeError, match="abstract"):
        Encoder()


def test_a_class_that_changes_is_seen_and_a_new_class_disturbs_nobody():
    class Scaled(kuai.Block):
        factor = 2.0

        def forward(self, x):
            traces.append(1)
            return x * self.factor

    class Child(Scaled):
        pass

    traces: UserList[int] = UserList()  # a library's object: kuai lets it be
    net, x = Child().hybridize(), jnp.asarray(1.0)
    assert (float(net(x)), float(net(x))) == (2, 2)
    before = len(traces)

    class Unrelated(kuai.Block):
        pass

    Unrelated.rate = 3
    assert float(net(x)) == 2
    assert len(traces) == before
    Scaled.factor = 5.0
    assert float(net(x)) == 5
    del Scaled.factor
    Child.factor = 7.0
    assert float(net(x)) == 7


def test_a_block_made_and_called_in_forward_needs_a_place():
    class Forgetful(kuai.Block):
        def forward(self, x):
            return nn.Dense(2)(x)

    with pytest.raises(RegistrationError, match="Dense is made and called inside a forward and st"):
        Forgetful()(jnp.ones((1, 2)))


def test_a_block_made_on_the_first_call_stays():
    class Lazy(kuai.Block):
        def __init__(self):
            self.dense = None

        def forward(self, x):
            if self.dense is None:
                self.dense = nn.Sequential(nn.Dense(x.shape[-1]))
            return self.dense(x)

    net = Lazy()
    y = net(jnp.ones((1, 3)))
    assert jnp.array_equal(net(jnp.ones((1, 3))), y)
    assert net.params["dense.0.weight"].shape == (3, 3)
