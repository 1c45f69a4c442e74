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
