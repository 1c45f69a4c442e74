"""What layers are called in other systems, shown by nets and small files, with no system needed."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import interop, nn
from kuai.interop.writers.gluon import write_gluon
from kuai.interop.writers.keras import write_keras_weights

SEQUENCE = jnp.ones((2, 3, 4))


class Fixed(kuai.Block):
    def __init__(self):
        super().__init__()
        self.rand_weight = kuai.Constant(kuai.random.uniform((4, 4)))
        self.dense = nn.Dense(4)

    def forward(self, x):
        return self.dense(x @ self.rand_weight)


class Outer(kuai.Block):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Dense(4), nn.Dense(4))
        self.dense = nn.Dense(4)

    def forward(self, x):
        return self.dense(self.net(x))


def assert_same_arrays(net, other):
    for path, holder in net.named_holders():
        np.testing.assert_array_equal(holder.array, dict(other.named_holders())[path].array, path)


@pytest.mark.parametrize(
    ("system", "count"), [("torch", 8), ("paddle", 16), ("gluon", 8), ("keras", 6)]
)
def test_the_cells_of_a_recurrent_layer_are_saved_once(tmp_path, system, count):
    net = nn.LSTM(4, layers=2).initialize(sample=SEQUENCE)
    path = tmp_path / "net.weights.h5"
    net.save(path, system=system)
    assert len(interop.read(path)) == count  # Paddle has each array under two names
    if system != "keras":  # two biases here are one there
        assert_same_arrays(net, nn.LSTM(4, layers=2).load(path))


@pytest.mark.parametrize("system", ["torch", "paddle", "keras"])
def test_the_projections_of_attention_are_saved_once(tmp_path, system):
    net = nn.MultiHeadAttention(2).initialize(sample=SEQUENCE)
    path = tmp_path / "net.weights.h5"
    net.save(path, system=system)
    assert len(interop.read(path)) == (4 if system == "torch" else 8)
    assert_same_arrays(net, nn.MultiHeadAttention(2).load(path))


@pytest.mark.parametrize("system", ["torch", "paddle", "gluon"])
def test_a_recurrent_layer_in_two_places_is_saved_at_both(tmp_path, system):
    layer = nn.GRU(4, return_state=False)
    net = nn.Sequential(layer, layer).initialize(sample=SEQUENCE)
    net.save(tmp_path / "net", system=system)
    weights = interop.read(tmp_path / "net")
    assert {name.partition(".")[0] for name in weights} == {"0", "1"}
    again = nn.GRU(4, return_state=False)
    assert_same_arrays(net, nn.Sequential(again, again).load(tmp_path / "net"))


def test_an_attribute_that_gluon_saved_keeps_its_name(tmp_path):
    net = Fixed().initialize(sample=jnp.ones((1, 4)))
    net.save(tmp_path / "net.params", system="gluon")
    assert list(interop.read(tmp_path / "net.params")) == [
        "rand_weight",
        "dense.weight",
        "dense.bias",
    ]
    assert_same_arrays(net, Fixed().load(tmp_path / "net.params"))


def test_names_that_gluon_joined_are_parted(tmp_path):
    arrays = {"dense0_weight": np.ones((3, 4), np.float32), "dense0_bias": np.ones(3, np.float32)}
    write_gluon(tmp_path / "net.params", arrays)
    net = nn.Sequential(nn.Dense(3)).load(tmp_path / "net.params")
    assert net[0].weight.shape == (4, 3)


def keras_file(path, places):
    """A dense layer of 4 units at each place, the values of which tell the place."""
    write_keras_weights(
        path,
        {
            f"{place}/vars": [np.full((4, 4), number, np.float32), np.zeros(4, np.float32)]
            for number, place in enumerate(places)
        },
    )


INNER = ("layers/dense", "layers/dense_1")
AS_LAYER = ["layers/outer/dense", *(f"layers/outer/net/{place}" for place in INNER)]
AS_MODEL = ["layers/outer/dense", *(f"layers/outer/layers/sequential/{place}" for place in INNER)]


@pytest.mark.parametrize("places", [AS_LAYER, AS_MODEL], ids=["layer", "model"])
def test_a_block_inside_is_a_layer_of_keras_or_a_model(tmp_path, places):
    path = tmp_path / "net.weights.h5"
    keras_file(path, places)
    net = nn.Sequential(Outer()).load(path)
    found = [layer.weight[0, 0] for layer in (net[0].dense, net[0].net[0], net[0].net[1])]
    assert found == [0, 1, 2]


class Listed(kuai.Block):
    def __init__(self):
        super().__init__()
        self.second = nn.Dense(4)
        self.first = [nn.Dense(4)]


def test_the_places_of_a_model_say_more_than_the_order(tmp_path):
    path = tmp_path / "net.weights.h5"
    keras_file(path, ["layers/listed/first/dense", "layers/listed/layers/dense"])
    net = nn.Sequential(Listed()).load(path)
    assert (net[0].first[0].weight[0, 0], net[0].second.weight[0, 0]) == (0, 1)


def test_a_block_inside_is_saved_as_a_layer_of_keras_and_as_told(tmp_path):
    net = nn.Sequential(Outer()).initialize(sample=jnp.ones((1, 4)))
    path = tmp_path / "net.weights.h5"
    for places, mapping in (
        (AS_LAYER, None),
        (AS_MODEL, {"layers.outer.net": "layers.outer.layers.sequential"}),
    ):
        net.save(path, system="keras", mapping=mapping)
        paths = interop.read(path).metadata["paths"].values()
        assert {place.rpartition("/vars")[0] for place in paths} == set(places)


def test_places_of_neither_kind_go_by_the_order_in_which_keras_writes(tmp_path):
    path = tmp_path / "net.weights.h5"
    keras_file(path, [place.replace("outer", "mine") for place in AS_MODEL])
    net = nn.Sequential(Outer()).load(path)
    found = [layer.weight[0, 0] for layer in (net[0].dense, net[0].net[0], net[0].net[1])]
    assert found == [0, 1, 2]  # the attribute "dense" comes before "layers" by letter
