"""`repr` reads like the code that made the block."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

import kuai
from kuai import nn


@pytest.mark.parametrize(
    "code",
    [
        "Dense(3)",
        "Dense(3, activation='relu', use_bias=False)",
        "Sequential()",
        "Sequential(Dense(3), Dropout(0.5))",
        "Sequential(('a', Dense(3)), Flatten())",
        "Parallel(Dense(3), Dense(4), join='sum')",
        "Parallel(Dense(3), Dense(4), axis=0)",
        "Residual(Dense(3))",
        "BlockList(Dense(3))",
        "BlockDict(('a', Dense(3)))",
        "Embedding(10, 4)",
        "Identity()",
    ],
)
def test_repr_is_the_code(code):
    block = eval(code, vars(nn))  # noqa: S307  # the codes above
    assert repr(block) == code


class Net(kuai.Block):
    def __init__(self, units, *sizes, rate=0.5, **options):
        super().__init__()
        self.rate = rate
        self.layers = [nn.Dense(size) for size in sizes]
        self.head = nn.Dense(units)
        self.scale = kuai.Parameter(jnp.ones(1))


def test_a_users_block_shows_arguments_and_children():
    assert repr(Net(2)) == "Net(2, head=Dense(2))"
    net = Net(2, 3, rate=0.1, name="x")
    assert repr(net) == "Net(2, 3, rate=0.1, name='x', layers=[Dense(3)], head=Dense(2))"
    net.rate = 0.2
    assert "rate=0.2" in repr(net)


def test_big_arguments_are_elided_and_not_kept():
    assert repr(Net(jnp.ones(()).astype(int).item(), rate=jnp.ones(1000))).startswith(
        "Net(1, rate=<ArrayImpl>"
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Dense(3),
        nn.Dense(3, use_bias=False, dtype="float16"),
        nn.Embedding(4, 2),
        nn.LayerNorm(),
        nn.BatchNorm(use_scale=False),
    ],
    ids=repr,
)
def test_the_dtype_is_the_one_that_the_parameters_have(layer):
    cast = layer.copy().astype("bfloat16")
    assert "dtype='bfloat16'" in repr(cast)
    assert cast.dtype == "bfloat16"
    assert eval(repr(cast), vars(nn)).dtype == "bfloat16"  # noqa: S307  # the repr under test
    assert "dtype" not in repr(cast.astype(jnp.float32))


def test_a_layer_without_parameters_shows_the_dtype_it_was_given():
    layer = nn.LayerNorm(use_scale=False, use_bias=False, dtype="float16")
    assert repr(layer.astype("bfloat16")).endswith("dtype='float16')")


def test_a_tied_parameter_brings_its_dtype():
    one, other = nn.Dense(4, dtype="bfloat16"), nn.Dense(4, use_bias=False)
    other.weight = one.params.weight
    assert repr(other) == "Dense(4, use_bias=False, dtype='bfloat16')"


class Shown(kuai.Block):
    """Keeps its arguments behind properties."""

    def __init__(self, rate=0.5, table=None):
        self._rate = rate

    @property
    def rate(self):
        return self._rate

    @property
    def table(self):
        raise RuntimeError("not made yet")


def test_properties_tell_arguments_and_may_fail():
    block = Shown(0.25, table=3)
    assert repr(block) == "Shown(rate=0.25, table=3)"
    block._rate = 0.75
    assert repr(block) == "Shown(rate=0.75, table=3)"


def test_long_reprs_are_laid_out():
    net = nn.Sequential(*[nn.Dense(units, activation="relu") for units in range(1, 4)])
    net.append(nn.Sequential(*[nn.Dense(units, activation="tanh") for units in range(1, 5)]))
    assert repr(net) == (
        "Sequential(\n"
        "  Dense(1, activation='relu'),\n"
        "  Dense(2, activation='relu'),\n"
        "  Dense(3, activation='relu'),\n"
        "  Sequential(\n"
        "    Dense(1, activation='tanh'),\n"
        "    Dense(2, activation='tanh'),\n"
        "    Dense(3, activation='tanh'),\n"
        "    Dense(4, activation='tanh'),\n"
        "  ),\n"
        ")"
    )


def test_equal_blocks_are_counted():
    assert repr(kuai.replicate(nn.Dense(4), 100)) == "Sequential(100 × Dense(4))"


def test_cycles_and_shared_blocks():
    net = nn.Sequential(nn.Identity())
    net.owner = net
    net[0].parent = net
    assert repr(net) == "Sequential(Identity(parent=Sequential(...)))"


def test_a_doubling_tree_stays_short():
    net = nn.Dense(1)
    for _ in range(30):
        net = nn.Sequential(net, net)
    assert len(repr(net)) < 500_000


def test_repr_needs_no_values_and_shows_none():
    class Holds(kuai.Block):
        def __init__(self):
            self.w = kuai.Parameter(shape=(None, 2))
            self.xs = [jnp.ones(3), nn.Dense(1)]

    assert repr(Holds()) == "Holds(xs=[Constant(shape=(3,), dtype=float32), Dense(1)])"
