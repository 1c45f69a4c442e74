"""Blocks found and replaced by path."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, BlockLookupError


class Heads(NamedTuple):
    left: kuai.Block
    right: kuai.Block


class Net(kuai.Block):
    def __init__(self):
        self.body = nn.Sequential(nn.Dense(2), ("out", nn.Dense(3)))
        self.layers = [nn.Dense(4), {"k": (nn.Dense(5), nn.Dense(6)), 1: nn.Dense(7)}]
        self.heads = Heads(nn.Dense(8), nn.Dense(9))
        self.w = kuai.Parameter(jnp.zeros(1))


PATHS = ["body", "body.0", "body.out", "layers.0", "layers.1.k.0", "layers.1.k.1", "layers.1.1",
         "heads.left", "heads.right"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_every_block_is_found_and_replaced_by_path(path):
    net = Net()
    old, before = net.get_block(path), dict(net.named_blocks())
    new = nn.Identity()
    assert net.replace(path, new) is net
    assert net.get_block(path) is new
    kept = {p: b for p, b in before.items() if p != path and not p.startswith(f"{path}.")}
    assert {p: b for p, b in net.named_blocks() if p != path} == kept
    assert old not in net.blocks()


def test_lists_are_changed_in_place_and_tuples_keep_their_kind():
    net = Net()
    layers = net.layers
    net.replace("layers.1.k.0", nn.Identity()).replace("heads.left", nn.Identity())
    assert net.layers is layers
    assert isinstance(net.heads, Heads)


def test_a_function_makes_the_new_block_from_the_old():
    net = Net().replace("body.0", lambda old: nn.Residual(old))
    assert repr(net.body[0]) == "Residual(Dense(2))"


def test_a_shared_block_stays_in_its_other_places():
    shared = nn.Dense(2)
    net = nn.Sequential(shared, nn.Sequential(shared))
    net.replace("1.0", nn.Identity())
    assert net[0] is shared
    assert isinstance(net[1][0], nn.Identity)


def test_paths_through_aliases_are_found():
    inner = nn.Sequential(nn.Dense(2))
    net = nn.Sequential(inner, inner)
    assert net.get_block("1.0") is inner[0]
    assert net.get_block("") is net
    net.replace("1.0", nn.Dense(3))
    assert net[0][0].units == 3


@pytest.mark.parametrize(
    ("path", "new", "error", "message"),
    [
        ("boddy", nn.Identity(), BlockLookupError, "no block stands at 'boddy'; near it are body"),
        ("w", nn.Identity(), BlockLookupError, "no block stands at 'w'"),
        (
            "body.7",
            nn.Identity(),
            BlockLookupError,
            "no block stands at 'body.7'; near it are body",
        ),
        ("", nn.Identity(), ArgumentError, "expected the path of a block below this one, got ''"),
        ("body", lambda old: 3, ArgumentError, "replace 'body': expected a Block, got int"),
        (
            "body",
            None,
            ArgumentError,
            "replace 'body': expected a Block or a function, got NoneType",
        ),
    ],
)
def test_what_replace_refuses(path, new, error, message):
    net = Net()
    before = net.blocks()
    with pytest.raises(error, match=message):
        net.replace(path, new)
    assert net.blocks() == before


def test_a_compiled_net_follows():
    net = nn.Sequential(nn.Lambda(lambda x: x + 1), nn.Lambda(lambda x: x * 2)).hybridize()
    assert float(net(jnp.asarray(1.0))) == 4
    net.replace("0", nn.Identity())
    assert float(net(jnp.asarray(1.0))) == 2
