"""What kuai writes for Keras, opened by Keras: the same numbers come out.

The cases run in few processes, because Keras takes seconds to start.
"""

from __future__ import annotations

import json
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, CheckpointError
from kuai.interop.nets.flattening import order_of, orders
from kuai.interop.nets.keras_config import config_of
from tests.real_systems import run

VECTORS = (3, 6)
SEQUENCES = (2, 7, 3)
IMAGES = (2, 9, 8, 4)
VOLUMES = (2, 5, 6, 4, 3)
INDICES = (2, 5)


def one(layer):
    return nn.Sequential(layer)


def spatial():
    """Every layer that looks at places, with its arguments: name → (net, shape of the input)."""
    yield "conv1d", one(nn.Conv1d(4, 3, strides=2, padding=(((2, 1),)))), SEQUENCES
    yield "causal", one(nn.Conv1d(4, 3, padding="causal", dilation=2)), SEQUENCES
    yield "conv2d", one(nn.Conv2d(6, (3, 2), strides=(2, 1), padding="same")), IMAGES
    yield "groups", one(nn.Conv2d(6, 3, padding=((1, 0), (2, 1)), groups=2, use_bias=False)), IMAGES
    yield "dilated", one(nn.Conv2d(3, 3, dilation=(1, 2), activation="relu")), IMAGES
    yield "conv3d", one(nn.Conv3d(2, 2, strides=2, padding=1)), VOLUMES
    yield "depthwise", one(nn.DepthwiseConv2d(3, strides=2, padding=1, multiplier=2)), IMAGES
    yield "separable", one(nn.SeparableConv2d(5, 3, padding="same", multiplier=2)), IMAGES
    yield "separable pad", one(nn.SeparableConv2d(5, 3, 2, 1, activation="gelu")), IMAGES
    for axes, shape in ((1, SEQUENCES), (2, IMAGES), (3, VOLUMES)):
        transposed = getattr(nn, f"ConvTranspose{axes}d")
        yield f"transposed {axes}", one(transposed(3, 3, strides=2)), shape
        yield f"transposed pad {axes}", one(transposed(3, 3, 2, 1, 1, activation="tanh")), shape
        yield f"transposed same {axes}", one(transposed(3, 3, 2, "same")), shape
        yield f"transposed far {axes}", one(transposed(3, 1, 3)), shape
        zeros = ((1, 2),) * axes
        yield f"pad {axes}", one(getattr(nn, f"Pad{axes}d")(zeros)), shape
        for kind in ("Max", "Avg"):
            pool = getattr(nn, f"{kind}Pool{axes}d")
            counted = {} if kind == "Max" else {"count_padding": False}
            yield f"{kind} {axes}", one(pool(2)), shape
            yield f"{kind} same {axes}", one(pool(3, 2, "same", **counted)), shape
            whole = getattr(nn, f"Global{kind}Pool{axes}d")
            yield f"{kind} global {axes}", nn.Sequential(whole(), nn.Dense(2)), shape
            yield f"{kind} global kept {axes}", nn.Sequential(whole(True), nn.Flatten()), shape
        yield f"mean pad {axes}", one(getattr(nn, f"AvgPool{axes}d")(3, 2, 1)), shape
    yield "transposed dilated", one(nn.ConvTranspose2d(3, 3, dilation=2)), IMAGES
    yield "transposed low", one(nn.ConvTranspose2d(3, 4, 2, ((0, 1), (2, 1)))), IMAGES
    yield "transposed even", one(nn.ConvTranspose2d(3, 4, 3, "same", use_bias=False)), IMAGES
    yield "transposed more", one(nn.ConvTranspose2d(3, 2, 3, 0, 1)), IMAGES


def plain():
    """The other layers, and whole nets."""
    yield "dense", one(nn.Dense(4, use_bias=False)), SEQUENCES
    yield "alone", nn.Dense(4, activation="relu"), VECTORS
    yield "stack alone", nn.LSTM(3, layers=2, return_state=False), SEQUENCES
    yield "embedding", nn.Sequential(nn.Embedding(10, 3, padding_index=0), nn.Dense(2)), INDICES
    yield "batch norm", one(nn.BatchNorm(momentum=0.7, epsilon=0.2)), IMAGES
    yield "batch norm axis", one(nn.BatchNorm(1, use_scale=False)), IMAGES
    yield "layer norm", one(nn.LayerNorm(epsilon=0.3)), VECTORS
    yield "layer norm axes", one(nn.LayerNorm(2, use_bias=False)), IMAGES
    yield "bare layer norm", one(nn.LayerNorm(use_scale=False, use_bias=False)), VECTORS
    yield "group norm", one(nn.GroupNorm(2, epsilon=0.1)), IMAGES
    yield "group norm axis", one(nn.GroupNorm(3, axis=-2)), (2, 5, 9, 4)
    yield "instance norm", one(nn.InstanceNorm(use_scale=True, use_bias=True)), IMAGES
    yield "rms norm", one(nn.RMSNorm()), VECTORS
    yield "rms norm axes", one(nn.RMSNorm(2, epsilon=0.1)), SEQUENCES
    yield "one slope", nn.Sequential(nn.Dense(4), nn.PReLU()), IMAGES
    yield "slopes", nn.Sequential(nn.PReLU(-1), nn.PReLU(1), nn.Flatten(), nn.PReLU(-1)), IMAGES
    for kind in (nn.RNN, nn.LSTM, nn.GRU):
        for ways in (False, True):
            stack = kind(4, layers=2, bidirectional=ways, dropout=0.5, return_state=False)
            name = f"{kind.__name__} {1 + ways}"
            yield name, nn.Sequential(stack, kind(3, return_state=False), nn.Dense(2)), SEQUENCES
        bare = kind(2, use_bias=False, return_state=False)
        yield f"{kind.__name__} bare", one(bare), SEQUENCES
    for activation in ("relu", nn.LeakyReLU(0.3), "gelu"):
        yield f"RNN {activation}", one(nn.RNN(3, activation, return_state=False)), SEQUENCES
    dropping = (nn.Dropout(0.5), nn.Dropout(0.5, (1,)), nn.SpatialDropout(0.2), nn.DropPath(0.1),
                nn.AlphaDropout(0.2, (-1,)), nn.GaussianDropout(0.3),
                nn.GaussianNoise(0.4), nn.Identity())  # fmt: skip
    yield "dropping", nn.Sequential(*dropping, nn.Dense(2)), IMAGES
    inner = nn.Sequential(nn.Dense(5, activation="relu"), nn.Sequential(nn.Dense(4)))
    yield (
        "nested",
        nn.Sequential(inner, nn.Dense(3), nn.Sequential(nn.Dense(2), nn.ReLU())),
        VECTORS,
    )
    named = {"dense": nn.Dense(3), "1x": nn.Dense(4), "out": nn.Conv1d(2, 3, padding=1)}
    yield "named", nn.Sequential({"a": nn.Sequential(named), "b": nn.Dense(2)}), SEQUENCES
    yield "cnn", nn.Sequential(
        nn.Conv2d(4, 3, padding=1), nn.BatchNorm(), nn.relu, nn.MaxPool2d(2),
        nn.Conv2d(4, 3, padding=1), nn.BatchNorm(), nn.Activation("gelu", approximate=False),
        nn.Flatten(), nn.Dropout(0.5), nn.Dense(8, activation="gelu"), nn.Dense(3),
    ), IMAGES  # fmt: skip


NAMES = ("celu", "elu", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
         "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu",
         "sigmoid", "silu", "soft_shrink", "soft_sign", "softmax", "softplus", "sparse_plus",
         "sparse_sigmoid", "squareplus", "swish", "tanh", "tanh_shrink")  # fmt: skip
BLOCKS = (nn.CELU(0.5), nn.ELU(0.5), nn.GELU(), nn.GELU(False), nn.HardShrink(0.2),
          nn.HardSigmoid(), nn.HardSiLU(), nn.HardTanh(), nn.LeakyReLU(0.3), nn.LogSigmoid(),
          nn.LogSoftmax(1), nn.Mish(), nn.ReLU(), nn.ReLU6(), nn.SELU(), nn.Sigmoid(), nn.SiLU(),
          nn.SoftShrink(0.2), nn.SoftSign(), nn.Softmax(1), nn.Softplus(), nn.SparsePlus(),
          nn.SparseSigmoid(), nn.Squareplus(2.0), nn.Tanh(), nn.TanhShrink(),
          nn.Threshold(0.3, -1.0), nn.Activation("leaky_relu", negative_slope=0.4))  # fmt: skip


def activations():
    """By name as an argument, and as a block."""
    for name in NAMES:
        yield name, one(nn.Dense(4, activation=name)), SEQUENCES
    for block in BLOCKS:
        yield repr(block), nn.Sequential(nn.Dense(4), block), SEQUENCES
    yield "argument", one(nn.Dense(4, activation=nn.LeakyReLU(0.3))), SEQUENCES
    yield "function", nn.Sequential(nn.Dense(4), nn.silu), SEQUENCES


def filled(net, shape, seed=0):
    """A net whose arrays are all told apart, and an input for it."""
    draw = np.random.default_rng(seed)
    is_indices = shape is INDICES
    x = draw.integers(0, 10, shape) if is_indices else 2 * draw.normal(size=shape)
    x = jnp.asarray(x, jnp.int32 if is_indices else jnp.float32)
    net.initialize(sample=x)
    for path, holder in net.named_holders():
        low = 0.3 if path.endswith("running_var") else -0.7
        holder.array = jnp.asarray(draw.uniform(low, 0.9, holder.shape), jnp.float32)
    return net, x


OPENED = """
    import json, os, sys, traceback
    import keras, numpy as np
    folder, wrong = sys.argv[1], []
    for name, place in json.load(open(f"{folder}/cases.json")).items():
        x, y = (np.load(f"{folder}/{place}.{end}.npy") for end in "xy")
        try:
            net = keras.models.load_model(f"{folder}/{place}.keras")
            np.testing.assert_allclose(net.predict(x, verbose=0), y, rtol=1e-5, atol=1e-5)
            if name in ("gelu", "argument", "named"):
                net.save(f"{folder}/again.keras")
                again = keras.models.load_model(f"{folder}/again.keras")
                np.testing.assert_allclose(again(x), y, rtol=1e-5, atol=1e-5)
        except Exception:
            wrong.append(f"--- {name}: {traceback.format_exc()[-700:]}")
    sys.exit(chr(10).join(wrong) if wrong else 0)
"""


@pytest.mark.parametrize("cases", [spatial, plain, activations])
def test_keras_opens_archives_that_give_the_same_numbers(cases, tmp_path):
    places = {}
    for number, (name, net, shape) in enumerate(cases()):
        net, x = filled(net, shape)
        net.save(tmp_path / f"{number}.keras", system="keras", sample=x)
        np.save(tmp_path / f"{number}.x.npy", x)
        np.save(tmp_path / f"{number}.y.npy", net(x))
        assert name not in places
        places[name] = number
    (tmp_path / "cases.json").write_text(json.dumps(places))
    run("keras", OPENED, tmp_path)


# --- without Keras -------------------------------------------------------------------------------


@pytest.mark.parametrize("cases", [spatial, plain])
def test_what_was_written_is_loaded_again(cases, tmp_path):
    for name, net, shape in cases():
        net, x = filled(net, shape)
        if not dict(net.named_holders()):
            continue
        net.save(tmp_path / "net.keras", system="keras", sample=x)
        for _, holder in net.named_holders():
            holder.array = jnp.zeros_like(holder.array)
        net.load(tmp_path / "net.keras")
        net.save(tmp_path / "again.keras", system="keras", sample=x)
        first, again = (kuai.interop.read(tmp_path / f"{n}.keras") for n in ("net", "again"))
        assert list(first) == list(again), name
        for array in first:
            np.testing.assert_array_equal(first[array], again[array], err_msg=name)


def test_a_layer_of_layers_is_written_once(tmp_path):
    nets = {
        "torch": (nn.MultiHeadAttention(2), (2, 5, 4), 4),
        "paddle": (nn.LSTM(3, bidirectional=True), (2, 5, 4), 16),  # each once more by its cell
        "keras": (nn.Sequential(nn.SeparableConv2d(3, 2), nn.Flatten()), IMAGES, 3),
    }
    for system, (net, shape, count) in nets.items():
        path = tmp_path / ("net.weights.h5" if system == "keras" else system)
        filled(net, shape)[0].save(path, system=system)
        assert len(kuai.interop.read(path)) == count, system


def told(net, **options):
    """The layers that config.json lists: (class, config)."""
    shape = options.pop("shape", (None, 4))
    listed = config_of(net, shape)["config"]["layers"]
    return [(layer["class_name"], layer["config"]) for layer in listed]


def test_an_archive_says_kuais_numbers():
    net, _ = filled(nn.Sequential(nn.BatchNorm(), nn.LayerNorm(), nn.RMSNorm(), nn.GRU(
        2, return_state=False)), (2, 3, 4))  # fmt: skip
    batch, layer, rms, gru = [config for _, config in told(net, shape=(None, 3, 4))[1:]]
    assert (batch["epsilon"], batch["momentum"], layer["epsilon"]) == (1e-5, 0.9, 1e-5)
    assert rms["epsilon"] == float(np.finfo(np.float32).eps)
    assert (gru["reset_after"], gru["return_sequences"]) == (True, True)
    assert {config["dtype"] for config in (batch, layer, rms, gru)} == {"float32"}


def test_layers_have_the_names_that_the_user_gave_them():
    steps = {"dense": nn.Dense(3), "1x": nn.Dense(4), "out": nn.Conv1d(2, 3, padding=1)}
    net, _ = filled(nn.Sequential(steps), SEQUENCES)
    names = [config["name"] for _, config in told(net, shape=SEQUENCES)]
    assert names == ["input_layer", "dense", "dense_1", "zero_padding1d", "out"]
    stack = nn.LSTM(2, layers=2, return_state=False)
    twice = nn.Sequential({"two": stack, "input_layer": nn.Dense(1), "two_1": nn.Dense(1)})
    filled(twice, SEQUENCES)
    names = [config["name"] for _, config in told(twice, shape=SEQUENCES)]
    assert names == ["input_layer", "two", "lstm", "dense", "two_1"]


@pytest.mark.parametrize(("net", "shape", "expected"), [
    (nn.Dense(2), VECTORS, [None, 6]),
    (one(nn.Sequential(nn.Conv2d(2, 3, groups=2))), IMAGES, [None, None, None, 4]),
    (one(nn.Conv1d(2, 3)), SEQUENCES, [None, None, 3]),
    (one(nn.ConvTranspose3d(2, 3)), VOLUMES, [None, None, None, None, 3]),
    (one(nn.DepthwiseConv2d(3, multiplier=2)), IMAGES, [None, None, None, 4]),
    (one(nn.SeparableConv2d(3, 3, multiplier=2)), IMAGES, [None, None, None, 4]),
    (one(nn.Embedding(10, 3)), INDICES, [None, None]),
    (one(nn.LSTM(2, return_state=False)), SEQUENCES, [None, None, 3]),
])  # fmt: skip
def test_without_a_sample_the_first_layer_tells_the_input(net, shape, expected, tmp_path):
    net, _ = filled(net, shape)
    net.save(tmp_path / "net.keras", system="keras")
    config = json.loads(zipfile.ZipFile(tmp_path / "net.keras").read("config.json"))
    assert config["config"]["layers"][0]["config"]["batch_shape"] == expected


class Own(kuai.Block):
    def forward(self, x):
        return x


class Special(nn.Dense):
    def forward(self, x):
        return -super().forward(x)


def hooked():
    net = nn.Dense(2)
    net.register_forward_hook(lambda block, inputs, output: -output)
    return net


def shared():
    layer = nn.Dense(6)
    return nn.Sequential(layer, nn.ReLU(), layer)


def tied():
    net = nn.Sequential(nn.Dense(6), nn.Dense(6))
    filled(net, VECTORS)
    net[1].weight = net[0].params.weight
    return net


REFUSED = [
    (one(Own()), VECTORS, "0 (Own)", "Keras has no layer that is known to do the same"),
    (one(Special(2)), VECTORS, "0 (Special)", "Keras has no layer that is known to do the same"),
    (Own(), VECTORS, "Own", "Keras has no layer that is known to do the same"),
    (nn.Sequential(nn.Dense(2), nn.Sequential(jnp.square)), VECTORS, "1.0 (Lambda)",
     "Keras has no function that is known to be the same"),
    (one(nn.Residual(nn.Dense(6))), VECTORS, "0 (Residual)", "Keras has no layer"),
    (one(nn.MultiHeadAttention(1)), SEQUENCES, "0 (MultiHeadAttention)", "Keras has no layer"),
    (one(nn.QuickGELU()), VECTORS, "0 (QuickGELU)", "Keras has no layer"),
    (one(nn.Sparsemax()), VECTORS, "0 (Sparsemax)", "Keras has no layer"),
    (one(nn.Softplus(2.0)), VECTORS, "0 (Softplus)", "Keras has no function"),
    (one(nn.Dense(2, activation="quick_gelu")), VECTORS, "0 (Dense)",
     "Keras has no activation that is known to be the same as 'quick_gelu'"),
    (one(nn.Dense(2, activation=nn.HardTanh(0, 1))), VECTORS, "0 (Dense)",
     "Keras has no activation that is known to be the same as HardTanh"),
    (one(nn.Activation("softmax", where=True)), VECTORS, "0 (Activation)", "Keras has no function"),
    (one(nn.Conv2d(2, 3, layout="channels_first")), IMAGES, "0 (Conv2d)",
     "it has its channels first, which Keras cannot compute on every device"),
    (one(nn.SeparableConv2d(2, 3, layout="channels_first")), IMAGES, "0 (SeparableConv2d)",
     "it has its channels first"),
    (one(nn.Conv2d(2, 3, strides=2, dilation=2)), IMAGES, "0 (Conv2d)",
     "Keras has no strides and dilation above 1 in one convolution"),
    (one(nn.ConvTranspose2d(2, 3, groups=2)), IMAGES, "0 (ConvTranspose2d)",
     "Keras has no groups in a transposed convolution, got 2"),
    (one(nn.ConvTranspose2d(2, 3, 2, output_padding=1)), IMAGES, "0 (ConvTranspose2d)",
     "Keras computes fewer elements than output_padding=1 asks for"),
    (one(nn.MaxPool2d(2, padding=1)), IMAGES, "0 (MaxPool2d)",
     "Keras knows its padding as 'valid' or 'same' alone, and zeros in front of it could be"),
    (one(nn.AvgPool2d(2, padding=1, count_padding=False)), IMAGES, "0 (AvgPool2d)",
     "Keras knows its padding as 'valid' or 'same' alone, and zeros in front of it would count"),
    (one(nn.AvgPool2d(2, padding="same")), IMAGES, "0 (AvgPool2d)",
     "Keras leaves the zeros of padding='same' out of the mean; count_padding=False does too"),
    (one(nn.MaxPool2d(2, ceil_mode=True)), IMAGES, "0 (MaxPool2d)", "Keras has no windows that"),
    (one(nn.Pad2d(1, "reflect")), IMAGES, "0 (Pad2d)", "Keras pads with zeros alone"),
    (one(nn.Flatten(2)), IMAGES, "0 (Flatten)", "Keras flattens all axes but the first"),
    (one(nn.RMSNorm(unit_offset=True)), VECTORS, "0 (RMSNorm)", "Keras has its scale alone"),
    (one(nn.LSTM(2)), SEQUENCES, "0 (LSTM)",
     "in a Sequential of Keras it gives outputs (batch, time, features) alone"),
    (one(nn.GRU(2, return_state=False, time_major=True)), SEQUENCES, "0 (GRU)",
     "in a Sequential of Keras it gives outputs"),
    (one(nn.RNN(2, "quick_gelu", return_state=False)), SEQUENCES, "0 (RNN)",
     "Keras has no activation"),
    (nn.Sequential(nn.Dense(2), nn.Sequential()), VECTORS, "1 (Sequential)",
     "it is empty, which a Sequential of Keras cannot be"),
    (one(hooked()), VECTORS, "0 (Dense)", "it has a hook or a parametrization"),
    (one(nn.weight_norm(nn.Dense(2))), VECTORS, "0 (Dense)", "it has a hook or a parametrization"),
    (shared(), VECTORS, "2 (Dense)", "it shares itself or an array with 0, and Keras has each"),
    (tied(), VECTORS, "1 (Dense)", "it shares itself or an array with 0, and Keras has each"),
    (one(nn.Dense(2, dtype="bfloat16")), VECTORS, "0 (Dense)",
     "its arrays are bfloat16, and Keras would compute in another dtype than kuai; net.astype"),
]  # fmt: skip


@pytest.mark.parametrize(("net", "shape", "where", "why"), REFUSED)
def test_a_layer_that_keras_has_not_is_refused_by_its_name(net, shape, where, why, tmp_path):
    x = jnp.ones(shape)
    net.initialize(sample=x)
    with pytest.raises(CheckpointError) as caught:
        net.save(tmp_path / "net.keras", system="keras", sample=x)
    text = str(caught.value)
    assert text.startswith(f"save: {where} cannot stand in a .keras archive: {why}")
    assert text.endswith(
        ". Nothing was written; save the weights alone under a name that ends in .weights.h5, for "
        "a model built in Keras"
    )
    assert not list(tmp_path.iterdir())


def refused(net, shape, tmp_path, name="net.keras", **options):
    net, _ = filled(net, shape)
    with pytest.raises(ArgumentError) as caught:
        net.save(tmp_path / name, system="keras", **options)
    assert not list(tmp_path.iterdir())
    return str(caught.value)


def test_an_input_that_is_not_known_is_asked_for(tmp_path):
    text = refused(one(nn.BatchNorm()), VECTORS, tmp_path)
    assert text == (
        "sample: a .keras archive tells the shape of the input, and BatchNorm does not; give "
        "sample=, an input of the net"
    )
    flat = nn.Sequential(nn.Conv2d(2, 3), nn.Flatten())
    assert refused(flat, IMAGES, tmp_path) == (
        "sample: Keras needs all sizes of what 1 (Flatten) takes; give sample=, an input of the net"
    )
    both = (jnp.ones(VECTORS), jnp.ones(VECTORS))
    assert refused(nn.Dense(2), VECTORS, tmp_path, sample=both) == (
        "sample: expected one input, got 2; a Sequential of Keras has one"
    )


@pytest.mark.parametrize("options", [{"select": "0.weight"}, {"mapping": {"layers": "mine"}}])
def test_an_archive_is_of_the_whole_net(options, tmp_path):
    assert refused(one(nn.Dense(2)), VECTORS, tmp_path, **options) == (
        "save: a .keras archive is a whole model under Keras's own names; select= and mapping= are "
        "for .weights.h5"
    )


def test_a_name_that_keras_does_not_know_is_refused(tmp_path):
    assert refused(one(nn.Dense(2)), VECTORS, tmp_path, name="net.h5") == (
        "save: expected a name that ends in .weights.h5 or .keras, got 'net.h5': Keras goes by it"
    )


# --- weights for models of the user's own --------------------------------------------------------


class Branch(kuai.Block):
    """Attributes before and after "layers" by letter, in another order than theirs."""

    def __init__(self):
        super().__init__()
        self.up = nn.Dense(6, activation="relu")
        self.down = nn.Dense(4)
        self.offset = kuai.Parameter(shape=(4,), init="zeros")

    def forward(self, x):
        return x + self.down(self.up(x)) + self.offset


class Model(kuai.Block):
    """Everything that has places of its own in a file of Keras."""

    def __init__(self):
        super().__init__()
        self.counter = kuai.State(shape=(4,), init="zeros")
        self.scale = kuai.Parameter(shape=(4,), init="ones")
        self.stem = nn.Dense(4)
        self.zlist = [nn.Dense(4), nn.Dense(4)]
        self.stages = nn.BlockList([nn.Dense(4), Branch()])
        self.branch = Branch()
        self.alist = [nn.LayerNorm(), nn.Dense(4), nn.Dense(4)]
        self.named = {"one": nn.Dense(4), "two": nn.LayerNorm()}
        self.attention = nn.MultiHeadAttention(2)
        self.mixer = nn.MultiHeadAttention(2)
        self.Upper = nn.Dense(4)
        self._hidden = nn.Dense(4)
        self.early = nn.LSTM(4, layers=2, return_state=False)
        self.recurrent = nn.LSTM(4, layers=2, return_state=False)
        self.ways = nn.GRU(2, layers=2, bidirectional=True, return_state=False)
        self.body = nn.Sequential(nn.Dense(4), nn.Sequential(nn.Dense(4)), nn.Dense(4))
        self.head = nn.Sequential(nn.Dense(4), nn.LSTM(3, return_state=False))

    def forward(self, x):
        x = self.branch(self.stem(x)) * self.scale + self.counter
        for layer in [*self.zlist, *self.stages, *self.alist, *self.named.values()]:
            x = layer(x)
        x = self.mixer(self.attention(x))
        x = self.ways(self.recurrent(self.early(self._hidden(self.Upper(x)))))
        return self.head(self.body(x))


class Layered(Model):
    """The same, of another name."""


class Inside(kuai.Block):
    """Two inside another, where Keras goes by attributes alone."""

    def __init__(self):
        super().__init__()
        self.inner = Layered()
        self.other = Layered()

    def forward(self, x):
        return self.inner(x) + self.other(x)


BUILT = """
    import sys
    import keras, numpy as np
    from keras import layers

    class Branch(layers.Layer):
        def __init__(self):
            super().__init__()
            self.up = layers.Dense(6, activation="relu")
            self.down = layers.Dense(4)
            self.offset = self.add_weight(shape=(4,), name="offset")
        def call(self, x):
            return x + self.down(self.up(x)) + self.offset

    def lstms(units):
        return [layers.LSTM(units, return_sequences=True) for _ in range(2)]

    def norm():
        return layers.LayerNormalization(epsilon=1e-5)

    class Parts:
        def make(self):
            self.counter = self.add_weight(shape=(4,), name="counter", trainable=False)
            self.scale = self.add_weight(shape=(4,), name="scale")
            self.stem = layers.Dense(4)
            self.zlist = [layers.Dense(4), layers.Dense(4)]
            self.stages = [layers.Dense(4), Branch()]
            self.branch = Branch()
            self.alist = [norm(), layers.Dense(4), layers.Dense(4)]
            self.named = {"one": layers.Dense(4), "two": norm()}
            self.attention = layers.MultiHeadAttention(2, 2)
            self.mixer = layers.MultiHeadAttention(2, 2)
            self.Upper = layers.Dense(4)
            self._hidden = layers.Dense(4)
            self.early = lstms(4)
            self.recurrent = lstms(4)
            self.ways = [layers.Bidirectional(layers.GRU(2, return_sequences=True))
                         for _ in range(2)]
            self.body = keras.Sequential([layers.Dense(4), keras.Sequential([layers.Dense(4)]),
                                          layers.Dense(4)])
            self.head = keras.Sequential([layers.Dense(4), layers.LSTM(3, return_sequences=True)])
        def call(self, x):
            x = self.branch(self.stem(x)) * self.scale + self.counter
            for layer in [*self.zlist, *self.stages, *self.alist, *self.named.values()]:
                x = layer(x)
            for attention in (self.attention, self.mixer):
                x = attention(x, x)
            for layer in (self.Upper, self._hidden, *self.early, *self.recurrent, *self.ways):
                x = layer(x)
            return self.head(self.body(x))

    class Model(Parts, keras.Model):
        def __init__(self):
            super().__init__()
            self.make()

    class Layered(Parts, layers.Layer):
        def __init__(self):
            super().__init__()
            self.make()

    class Inside(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner, self.other = Layered(), Layered()
        def call(self, x):
            return self.inner(x) + self.other(x)

    folder = sys.argv[1]
    for kind in (Model, Inside):
        x, y = (np.load(f"{folder}/{kind.__name__}.{end}.npy") for end in "xy")
        net = kind()
        net(x)
        for weight in net.weights:
            weight.assign(np.random.default_rng(3).uniform(-0.7, 0.9, weight.shape))
        np.save(f"{folder}/{kind.__name__}.theirs.npy", net(x))
        net.save_weights(f"{folder}/{kind.__name__}.theirs.weights.h5")
        net.load_weights(f"{folder}/{kind.__name__}.weights.h5")
        np.testing.assert_allclose(net(x), y, rtol=1e-5, atol=1e-5)
"""


def test_models_of_ones_own_exchange_weights_with_keras(tmp_path):
    nets = {}
    for kind in (Model, Inside):
        name = kind.__name__
        nets[name], x = filled(kind(), (2, 5, 4))
        nets[name].save(tmp_path / f"{name}.weights.h5", system="keras")
        np.save(tmp_path / f"{name}.x.npy", x)
        np.save(tmp_path / f"{name}.y.npy", nets[name](x))
    run("keras", BUILT, tmp_path)
    for name, net in nets.items():
        net.load(tmp_path / f"{name}.theirs.weights.h5")
        x, theirs = (np.load(tmp_path / f"{name}.{end}.npy") for end in ("x", "theirs"))
        np.testing.assert_allclose(net(jnp.asarray(x)), theirs, rtol=1e-5, atol=1e-5)


SCALED = """
import sys
import keras
import numpy as np

class Scaled(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = keras.layers.Dense(4), keras.layers.Dense(2)
        self.scale = self.add_weight(shape=(4,), initializer="random_normal", name="scale")

    def call(self, x):
        return self.out(self.hidden(x) * self.scale)

net, x = Scaled(), np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
np.savez(f"{sys.argv[1]}/told.npz", x=x, y=net(x))
for end in ("h5", "weights.h5", "keras"):
    (net.save_weights if end == "weights.h5" else net.save)(f"{sys.argv[1]}/net.{end}")
"""


class Scaled(kuai.Block):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Dense(4), nn.Dense(2)
        self.scale = kuai.Parameter(shape=4)

    def forward(self, x):
        return self.out(self.hidden(x) * self.scale)


def test_a_model_of_ones_own_brings_its_own_weights_in_every_file(tmp_path):
    run("keras", SCALED, tmp_path)
    told = np.load(tmp_path / "told.npz")
    for end in ("h5", "weights.h5", "keras"):
        net = Scaled().load(tmp_path / f"net.{end}")
        np.testing.assert_allclose(net(told["x"]), told["y"], rtol=1e-5, atol=1e-6)
    assert kuai.interop.read(tmp_path / "net.h5").shapes["scaled/scale"] == (4,)


CHANNELS_FIRST = """
import sys
import keras
import numpy as np

folder = sys.argv[1]
x = np.load(f"{folder}/x.npy")
for layout in ("channels_first", "channels_last"):
    conv = keras.layers.Conv2D(5, 3, data_format="channels_first")
    flatten = keras.layers.Flatten(data_format=layout)
    net = keras.Sequential([conv, flatten, keras.layers.Dense(3)])
    np.save(f"{folder}/{layout}.npy", net(np.moveaxis(x, -1, 1)))
    net.save(f"{folder}/{layout}.keras")
"""


def test_an_archive_tells_in_which_order_its_net_flattens_a_map(tmp_path):
    x = np.random.default_rng(0).standard_normal((2, 6, 5, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    run("keras", CHANNELS_FIRST, tmp_path)
    for layout in ("channels_first", "channels_last"):
        net = nn.Sequential(nn.Conv2d(5, 3), nn.Flatten(), nn.Dense(3))
        net.load(tmp_path / f"{layout}.keras", sample=x)
        expected = np.load(tmp_path / f"{layout}.npy")
        np.testing.assert_allclose(net(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("maps", "flatten", "expected"),
    [
        (["channels_last"], "channels_last", "channels_last"),
        (["channels_first"], "channels_first", "channels_last"),  # it moves them there itself
        (["channels_first"], "channels_last", "channels_first"),
        (["channels_first", "channels_last"], "channels_last", None),
        (["channels_first"], None, None),
        (["channels_last"], "channels_first", None),
        (["channels_first", "channels_last"], "channels_first", None),
    ],
)
def test_the_order_of_a_flattened_map_by_the_configuration(maps, flatten, expected, tmp_path):
    layers = [{"class_name": "Conv2D", "config": {"data_format": layout}} for layout in maps]
    if flatten is not None:
        layers.append({"class_name": "Flatten", "config": {"data_format": flatten}})
    net, x = filled(nn.Sequential(nn.Conv2d(5, 3), nn.Flatten(), nn.Dense(3)), (2, 6, 5, 3))
    net.save(tmp_path / "net.keras", system="keras", sample=x)
    weights = kuai.interop.read(tmp_path / "net.keras")
    weights.metadata["config"] = {"class_name": "Sequential", "config": {"layers": layers}}
    assert order_of("keras", weights) == expected
    if expected is None:
        with pytest.raises(ArgumentError, match=r"^2: .* maps with channels first and last"):
            orders(net, [], expected, x)


FUNCTIONAL = """
import sys
import keras
import numpy as np

folder, act = sys.argv[1:]
layers = keras.layers
x = np.load(f"{folder}/x.npy")
start = keras.Input((6,))
h = layers.Dense(6, "tanh", name="third")(start)
h = layers.Add()([start, layers.Dense(6, name="first")(h)])
h = layers.BatchNormalization(name="norm")(h)
net = keras.Model(start, layers.Dense(6, name="second")(h))
if act == "write":
    for weight in net.weights:
        value = np.random.default_rng(len(weight.path)).uniform(0.1, 0.9, weight.shape)
        weight.assign(value)
    for end in ("weights.h5", "keras"):
        save = net.save if end == "keras" else net.save_weights
        save(f"{folder}/net.{end}")
    np.save(f"{folder}/y.npy", net(x))
else:
    net.load_weights(f"{folder}/again.weights.h5")
    for found in (net, keras.models.load_model(f"{folder}/again.keras")):
        np.testing.assert_allclose(found(x), np.load(f"{folder}/again.npy"), rtol=1e-5, atol=1e-5)
"""


class Skips(kuai.Block):
    def __init__(self):
        super().__init__()
        self.first = nn.Dense(6)
        self.second = nn.Dense(6)
        self.third = nn.Dense(6, "tanh")
        self.norm = nn.BatchNorm(epsilon=1e-3)

    def forward(self, x):
        return self.second(self.norm(x + self.first(self.third(x))))


def test_a_functional_model_gets_its_weights_back_as_its_own_file_has_them(tmp_path):
    x = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    run("keras", FUNCTIONAL, tmp_path, "write")
    names = {"first": "first", "second": "second", "third": "third", "norm": "norm"}
    for end in ("weights.h5", "keras"):
        net, theirs = Skips(), tmp_path / f"net.{end}"
        net.load(theirs, mapping=names)
        np.testing.assert_allclose(net(x), np.load(tmp_path / "y.npy"), rtol=1e-5, atol=1e-5)
        for holder in net.parameters():
            holder.array = holder.array * 1.5
        np.save(tmp_path / "again.npy", net(x))
        net.save(tmp_path / f"again.{end}", like=theirs, mapping=names)
        again = Skips()
        again.load(tmp_path / f"again.{end}", mapping=names)
        np.testing.assert_array_equal(again.first.weight, net.first.weight)
    run("keras", FUNCTIONAL, tmp_path, "read")
