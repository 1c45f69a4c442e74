"""What layers are called in other systems, shown by nets and small files, with no system needed."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import interop, nn
from kuai.errors import CheckpointError
from kuai.interop.writers.gluon import write_gluon
from kuai.interop.writers.keras import write_keras_weights
from tests.fuzz.seeds import GOLDENS
from tests.real_systems import run

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


class Crossing(kuai.Block):
    """Made in another order than the one in which a file may have its layers."""

    def __init__(self, *attributes):
        super().__init__()
        self.attributes = attributes
        for attribute in attributes:
            setattr(self, attribute, nn.Dense(4))

    def forward(self, x):
        for attribute in self.attributes:
            x = getattr(self, attribute)(x)
        return x


def named_file(path, places):
    """Place → what the layer there is called; the biases tell the place."""
    write_keras_weights(
        path,
        {
            f"{place}/vars": [np.full((4, 4), number, np.float32), np.full(4, number, np.float32)]
            for number, place in enumerate(places)
        },
        {f"{place}/vars": name for place, name in places.items()},
    )
    return path


def biases(net, *attributes):
    return [float(getattr(net, attribute).bias[0]) for attribute in attributes]


COUNTED = ("layers/dense", "layers/dense_1", "layers/dense_2")


@pytest.mark.parametrize("order", [("post", "mix", "top"), ("top", "post", "mix")])
@pytest.mark.parametrize("strict", [True, False])
def test_the_names_of_layers_win_over_places_that_keras_counts(tmp_path, order, strict):
    places = dict(zip(COUNTED, ("mix", "post", "top"), strict=True))
    path = named_file(tmp_path / "net.weights.h5", places)
    net = Crossing(*order).initialize(sample=jnp.ones((1, 4))).load(path, strict=strict)
    assert biases(net, "mix", "post", "top") == [0, 1, 2]
    net.load(path, select="post.*")
    assert biases(net, "mix", "post", "top") == [0, 1, 2]


def test_layers_called_as_the_parts_of_attention_are_what_their_arrays_are(tmp_path):
    places = dict(zip(COUNTED, ("query", "value", "output"), strict=True))
    path = named_file(tmp_path / "net.weights.h5", places)
    assert biases(Crossing("output", "query", "value").load(path), *places.values()) == [0, 1, 2]
    net = Crossing("out", "query", "value").load(path, mapping={"output": "out"})
    assert biases(net, "query", "value", "out") == [0, 1, 2]


def test_no_layer_gets_what_has_the_name_of_another_one(tmp_path):
    places = dict(zip(COUNTED, ("mix", "post", "head"), strict=True))
    path = named_file(tmp_path / "net.weights.h5", places)
    net = Crossing("post", "mix", "top").initialize(sample=jnp.ones((1, 4)))
    with pytest.raises(CheckpointError, match=r"post \(Dense\): by order 'mix', by name 'post'"):
        net.load(path)
    net.load(path, mapping={"head": "top"})
    assert biases(net, "mix", "post", "top") == [0, 1, 2]
    net = Crossing("post", "mix", "top", "more").initialize(sample=jnp.ones((1, 4)))
    net.load(path, strict=False)  # as far as names go
    assert biases(net, "mix", "post") == [0, 1]


def test_an_attribute_says_more_than_a_name_that_keras_made_up(tmp_path):
    places = {"dense": "dense_1", "dense_1": "dense"}
    path = named_file(tmp_path / "net.weights.h5", places)
    assert biases(Crossing("dense", "dense_1").load(path), "dense", "dense_1") == [0, 1]
    path = named_file(tmp_path / "net.weights.h5", {"a": "b", "b": "a"})
    with pytest.raises(CheckpointError, match="may fit Crossing in more than one way"):
        Crossing("a", "b").load(path)


def test_a_file_without_names_of_layers_goes_by_its_places(tmp_path):
    class Stack(kuai.Block):
        def __init__(self):
            super().__init__()
            self.lstm_1 = nn.LSTM(4, return_state=False)
            self.lstm = nn.LSTM(4, return_state=False)

        def forward(self, x):
            return self.lstm(self.lstm_1(x))

    net = Stack().initialize(sample=SEQUENCE)
    net.save(tmp_path / "net.weights.h5", system="keras")
    again = Stack().load(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(again.lstm.cells[0].input_weight, net.lstm.cells[0].input_weight)


# --- what a training leaves beside the layers ----------------------------------------------------


def test_what_keras_keeps_of_a_training_is_passed_over(tmp_path):
    path = tmp_path / "net.weights.h5"
    write_keras_weights(
        path,
        {
            "layers/dense/vars": [np.ones((4, 4), np.float32), np.ones(4, np.float32)],
            "layers/dropout/seed_generator/vars": [np.zeros(2, np.uint32)],
            "optimizer/vars": [np.array(3), np.zeros((4, 4), np.float32)],
        },
    )
    moves = nn.Sequential(nn.Dense(4), nn.Dropout(0.1)).load(path, dry_run=True)
    assert moves.passed_over == ["dropout/seed_generator/0", "optimizer/vars/0", "optimizer/vars/1"]
    net = kuai.nn.Sequential(nn.Dense(4))
    net.load(path, mapping={"dense": "0"})
    np.testing.assert_array_equal(net[0].weight, 1)


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_a_model_that_keras_has_fitted(tmp_path, ending):
    path = tmp_path / f"net{ending}"
    run(
        "keras",
        """
        import sys

        import keras
        import numpy as np

        layers = keras.layers
        net = keras.Sequential(
            [keras.Input((4,)), layers.Dense(4), layers.Dropout(0.1), layers.BatchNormalization()]
        )
        net.compile("adam", "mse", metrics=["mae"])
        net.fit(np.ones((8, 4)), np.ones((8, 4)), verbose=0)
        path = sys.argv[1]
        net.save(path) if path.endswith(".keras") else net.save_weights(path)
        """,
        path,
    )
    moves = nn.Sequential(nn.Dense(4), nn.Dropout(0.1), nn.BatchNorm()).load(path, dry_run=True)
    assert len(moves.rows) == 6
    assert moves.passed_over[0] == "optimizer/vars/0"


def test_the_counter_of_a_checkpoint_of_tensorflow_is_passed_over():
    file = GOLDENS / "tensorflow" / "mlp"
    net = nn.Sequential(nn.Dense(7), nn.Dense(3))
    moves = net.load(file, mapping={"model/scale": None}, dry_run=True)
    assert moves.passed_over == ["model/scale", "save_counter"]
