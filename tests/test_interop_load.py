"""Other systems' weights into nets: which layer is which, and what is refused."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import kuai
from kuai import Block, nn
from kuai.errors import ArgumentError, CheckpointError
from kuai.interop.writers.gluon import write_gluon
from kuai.interop.writers.keras import write_keras_weights
from kuai.interop.writers.pytorch import write_pytorch
from tests.fuzz.seeds import GOLDENS
from tests.real_systems import run

NORMAL = np.random.default_rng(0).standard_normal


def array(*shape):
    return NORMAL(shape).astype(np.float32)


def linear(inputs, outputs, name=""):
    """A Linear of PyTorch."""
    start = f"{name}." if name else ""
    return {f"{start}weight": array(outputs, inputs), f"{start}bias": array(outputs)}


@pytest.fixture
def saved(tmp_path):
    """arrays → the path of a file of PyTorch with them."""

    def save(arrays, aliases=None, name="net.pt"):
        write_pytorch(tmp_path / name, arrays, aliases or {})
        return tmp_path / name

    return save


def values(net):
    return {path: np.asarray(holder.array) for path, holder in net.named_holders()}


class Two(Block):
    def __init__(self, units=4):
        super().__init__()
        self.hidden = nn.Dense(units)
        self.out = nn.Dense(units)

    def forward(self, x):
        return self.out(self.hidden(x))


# --- which layer is which ------------------------------------------------------------------------


def test_a_square_weight_is_transposed_by_the_systems_rule_and_never_by_its_shape(saved, tmp_path):
    weight = array(3, 3)
    arrays = {"weight": weight, "bias": array(3)}
    for system, expected in {"torch": weight.T, "gluon": weight.T, "paddle": weight}.items():
        safetensors.numpy.save_file(arrays, tmp_path / "net")
        net = nn.Dense(3).load(tmp_path / "net", system=system)
        np.testing.assert_array_equal(net.weight, expected)


def test_names_win_where_all_of_them_are_there(saved):
    arrays = linear(4, 4, "out") | linear(4, 4, "hidden")  # in another order than the net's
    net = Two().load(saved(arrays))
    np.testing.assert_array_equal(net.hidden.weight, arrays["hidden.weight"].T)


@pytest.mark.parametrize("outer", ["module", "model.net"])
def test_what_all_names_begin_with_does_not_matter(saved, outer):
    arrays = linear(3, 4, f"{outer}.hidden") | linear(4, 4, f"{outer}.out")
    net = Two().load(saved(arrays))
    np.testing.assert_array_equal(net.out.bias, arrays[f"{outer}.out.bias"])


def test_other_names_go_by_order(saved):
    arrays = linear(3, 5, "fc1") | linear(5, 5, "fc2")
    net = Two(5).load(saved(arrays))
    np.testing.assert_array_equal(net.hidden.weight, arrays["fc1.weight"].T)


def test_names_of_sequential_count_activations_where_the_system_does(saved):
    arrays = linear(3, 4, "0") | linear(4, 4, "2") | linear(4, 4, "4")
    net = nn.Sequential(nn.Dense(4, "relu"), nn.Dense(4, "relu"), nn.Dense(4)).load(saved(arrays))
    np.testing.assert_array_equal(net[2].bias, arrays["4.bias"])
    plain = nn.Sequential(nn.Dense(4), nn.Dense(4), nn.Dense(4)).load(saved(arrays))
    np.testing.assert_array_equal(plain[2].bias, arrays["4.bias"])  # by order: not layer 2 by name


def test_an_order_that_the_names_speak_against_is_refused(saved):
    arrays = linear(4, 4, "net.out") | linear(4, 4, "net.first")
    with pytest.raises(CheckpointError) as error:
        Two().load(saved(arrays))
    assert "may fit Two in more than one way; nothing was changed" in str(error.value)
    assert "out (Dense): by order 'net.first', by name 'net.out'" in str(error.value)
    assert "mapping={'net.out': 'out'}" in str(error.value)


def test_a_file_without_an_order_of_its_own_is_matched_only_where_one_way_fits(tmp_path):
    fits = linear(3, 4, "b") | linear(4, 2, "a")
    safetensors.numpy.save_file(fits, tmp_path / "net", {"format": "pt"})
    net = nn.Sequential(nn.Dense(4), nn.Dense(2)).load(tmp_path / "net")
    np.testing.assert_array_equal(net[0].weight, fits["b.weight"].T)
    safetensors.numpy.save_file(
        linear(4, 4, "b") | linear(4, 4, "a"), tmp_path / "net", {"format": "pt"}
    )
    with pytest.raises(CheckpointError, match="mapping="):
        nn.Sequential(nn.Dense(4), nn.Dense(4)).load(tmp_path / "net")


@pytest.mark.parametrize(
    "mapping",
    [
        {"net.out": "out", "net.first": "hidden"},
        {"net.out.weight": "out.weight", "net.out.bias": "out.bias", "net.first": "hidden"},
        [(r"^net\.", ""), (r"^first", "hidden")],
        lambda name: name.removeprefix("net.").replace("first", "hidden"),
    ],
    ids=["layers", "arrays", "patterns", "function"],
)
def test_a_mapping_says_which_is_which(saved, mapping):
    arrays = linear(4, 4, "net.out") | linear(4, 4, "net.first")
    net = Two().load(saved(arrays), mapping=mapping)
    np.testing.assert_array_equal(net.hidden.weight, arrays["net.first.weight"].T)
    np.testing.assert_array_equal(net.out.bias, arrays["net.out.bias"])


def test_a_mapping_may_pass_over_and_leave_the_rest_to_order(saved):
    arrays = {"position_ids": np.arange(3)} | linear(3, 4, "a") | linear(4, 4, "b")
    net = Two().load(saved(arrays), mapping={"position_ids": None})
    np.testing.assert_array_equal(net.out.bias, arrays["b.bias"])


def test_a_mapping_that_does_nothing_or_leads_two_to_one_place_is_refused(saved):
    path = saved(linear(3, 4, "hidden") | linear(4, 4, "out"))
    with pytest.raises(ArgumentError, match="mapping= changes no name of the file, which has hi"):
        Two().load(path, mapping={"encoder": "hidden"})
    with pytest.raises(ArgumentError, match=r"both lead to 'out.weight'; give each a place of its"):
        Two().load(path, mapping={"hidden": "out"})
    with pytest.raises(ArgumentError, match=r"expected a dict \{their name: our path\}"):
        Two().load(path, mapping=3)
    with pytest.raises(ArgumentError, match=r"expected text or None for 'hidden.weight', got 3"):
        Two().load(path, mapping=lambda _: 3)
    with pytest.raises(ArgumentError, match="pairs \\(regular expression, replacement\\), but"):
        Two().load(path, mapping=[("(", "")])


def test_a_mapping_to_a_layer_that_does_not_fit_names_both(saved):
    path = saved(linear(3, 4, "a") | linear(4, 5, "b"))
    with pytest.raises(
        CheckpointError, match=r"gives hidden \(Dense\) the arrays b.weight \(5, 4\)"
    ):
        Two().load(path, mapping={"a": "out", "b": "hidden"})


def test_a_program_of_paddle_counts_its_arrays():
    file = GOLDENS / "paddle" / "mlp_program.pdiparams"
    told = np.load(GOLDENS / "paddle" / "expected.npz")
    for mapping in (None, {"linear_0": "0", "linear_1": "1"}):
        net = nn.Sequential(nn.Dense(7, "relu"), nn.Dense(3)).load(file, mapping=mapping)
        found = net(jnp.asarray(told["mlp.input"]))
        np.testing.assert_allclose(found, told["mlp.output"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("mapping", [None, {"lstm_cell_0": ""}, {"lstm_cell_0": "cells.0"}])
def test_a_recurrent_program_of_paddle_computes_what_it_did(mapping):
    told = np.load(GOLDENS / "paddle" / "expected.npz")
    net = nn.LSTM(4).load(GOLDENS / "paddle" / "lstm_program.pdiparams", mapping=mapping)
    found, _ = net(jnp.asarray(told["lstm.input"]))
    np.testing.assert_allclose(found, told["lstm.output"], rtol=0, atol=1e-5)


def test_programs_that_paddle_exports_now(tmp_path):
    run("paddle", """
        import sys
        import numpy as np, paddle
        from paddle import nn
        paddle.seed(0)
        x = np.random.RandomState(0).randn(2, 4, 3).astype(np.float32)
        np.save(f"{sys.argv[1]}/x.npy", x)
        lstm = nn.LSTM(3, 5, num_layers=2, direction="bidirect")
        tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
        tied[1].weight = tied[0].weight
        for name, net in (("lstm", lstm), ("gru", nn.GRU(3, 4)), ("tied", tied)):
            net.eval()
            spec = [paddle.static.InputSpec([None, 4, 3], "float32")]
            path = f"{sys.argv[1]}/{name}"
            paddle.jit.save(paddle.jit.to_static(net, input_spec=spec), path)
            found = paddle.jit.load(path)(paddle.to_tensor(x))
            found = found[0] if isinstance(found, (list, tuple)) else found
            np.save(f"{path}.npy", found.numpy())
        """, tmp_path)  # fmt: skip
    cells = {f"lstm_cell_{n}": f"cells.{n}" for n in range(4)}
    layers = {f"linear_{n}": f"{n}" for n in range(3)}
    nets = {
        "lstm": (nn.LSTM(5, layers=2, bidirectional=True), cells),
        "gru": (nn.GRU(4), {"gru_cell_0": ""}),
        "tied": (nn.Sequential(nn.Dense(3), nn.Dense(3), nn.Dense(2)), layers),
    }
    nets["tied"][0][1].weight = nets["tied"][0][0].params.weight
    x = jnp.asarray(np.load(tmp_path / "x.npy"))
    for name, (net, mapping) in nets.items():
        found = net.load(tmp_path / f"{name}.pdiparams", mapping=mapping)(x)
        found = found[0] if isinstance(found, tuple) else found
        np.testing.assert_allclose(found, np.load(tmp_path / f"{name}.npy"), rtol=0, atol=1e-6)


class Tied(Two):
    def __init__(self):
        super().__init__()
        self.out.weight = self.hidden.params.weight


@pytest.mark.parametrize("kept", ["hidden", "out"])
@pytest.mark.parametrize("mapping", [None, {"first": "hidden", "second": "out"}])
def test_a_tied_array_may_stand_at_one_of_its_layers(saved, kept, mapping):
    theirs = {ours: name for name, ours in (mapping or {"hidden": "hidden", "out": "out"}).items()}
    biases = {f"{name}.bias": array(4) for name in theirs.values()}
    weight = array(4, 4)
    path = saved(biases | {f"{theirs[kept]}.weight": weight})
    for strict in (True, False):
        net = Tied().load(path, mapping=mapping, strict=strict)
        np.testing.assert_array_equal(net.hidden.weight, weight.T)
        for ours, name in theirs.items():
            np.testing.assert_array_equal(getattr(net, ours).bias, biases[f"{name}.bias"])
    with pytest.raises(CheckpointError, match="nothing was changed"):
        Two().load(path, mapping=mapping)


def test_a_tied_array_that_no_layer_has_is_missing(saved):
    path = saved({"hidden.bias": array(4), "out.bias": array(4)})
    with pytest.raises(CheckpointError, match=r"in the file:\n  hidden.weight"):
        Tied().load(path)


def test_what_a_mapping_names_is_loaded_or_refused_without_strict_too(saved):
    path = saved(linear(3, 4, "a") | {"b.bias": array(4)})
    with pytest.raises(CheckpointError, match=r"gives out \(Dense\) the arrays b.bias \(4,\)"):
        Two().load(path, mapping={"a": "hidden", "b": "out"}, strict=False)
    moves = Tied().load(
        saved(linear(4, 4, "a") | {"b.bias": array(4)}), mapping={"a": "hidden", "b": None},
        strict=False, dry_run=True,
    )  # fmt: skip
    assert (moves.passed_over, moves.missing) == (["b.bias"], ["out.bias"])


# --- what is told and what is not ----------------------------------------------------------------


def test_a_dry_run_shows_the_moves_and_changes_nothing(saved):
    net = nn.Sequential(nn.Dense(4), nn.BatchNorm()).initialize(sample=jnp.ones((1, 3)))
    before = values(net)
    norm = {f"1.{n}": array(4) for n in ("weight", "bias", "running_mean", "running_var")}
    arrays = linear(3, 4, "0") | norm | {"1.num_batches_tracked": np.array(7)}
    moves = net.load(saved(arrays), dry_run=True)
    assert [(m.theirs, m.ours, m.how) for m in moves.rows[:2]] == [
        (("0.weight",), ("0.weight",), "transposed"),
        (("0.bias",), ("0.bias",), ""),
    ]
    assert moves.rows[0].their_shapes == ((4, 3),)
    assert moves.rows[0].our_shapes == ((3, 4),)
    assert moves.passed_over == ["1.num_batches_tracked"]
    first = str(moves).splitlines()[1].split()
    assert " ".join(first) == "0.weight (4, 3) → 0.weight (3, 4) transposed"
    assert all(np.array_equal(before[path], now) for path, now in values(net).items())


def test_another_architecture_gives_the_whole_difference(saved):
    path = saved(linear(3, 4, "hidden") | linear(4, 5, "outer"))
    with pytest.raises(CheckpointError) as error:
        Two().load(path)
    text = str(error.value)
    assert "does not fit Two; nothing was changed" in text
    assert "  out.weight (near: outer.weight)" in text
    assert "  outer.bias (near: out.bias)" in text
    assert "mapping={their name or what it begins with: our path}" in text


def test_shapes_that_differ_are_all_listed(saved):
    net = Two().initialize(sample=jnp.ones((1, 3)))
    with pytest.raises(CheckpointError) as error:
        net.load(saved(linear(7, 4, "hidden") | linear(4, 5, "out")))
    assert "hidden.weight: expected (4, 3), got (4, 7)" in str(error.value)
    assert "out.weight: expected (4, 4), got (5, 4)" in str(error.value)


def test_where_order_ends_is_told(saved):
    with pytest.raises(CheckpointError) as error:
        nn.Sequential(nn.Dense(4), nn.Conv2d(2, 3)).load(
            saved(linear(3, 4, "a") | linear(4, 4, "b"))
        )
    assert "For 1 (Conv2d) the file would have 1.weight, 1.bias (2,) or the like" in str(
        error.value
    )
    assert "it has b.weight (4, 4), b.bias (4,)" in str(error.value)
    with pytest.raises(CheckpointError, match=r"and the file has 2 more: b.weight, b.bias"):
        nn.Sequential(nn.Dense(4)).load(saved(linear(3, 4, "a") | linear(4, 4, "b")))


def test_only_what_fits_is_loaded_when_not_strict(saved):
    net = Two().initialize(sample=jnp.ones((1, 3)))
    arrays = linear(3, 4, "hidden") | linear(9, 9, "head")
    assert net.load(saved(arrays), strict=False, dry_run=True).missing == ["out.weight", "out.bias"]
    before = np.asarray(net.out.weight)
    net.load(saved(arrays), strict=False)
    np.testing.assert_array_equal(net.hidden.weight, arrays["hidden.weight"].T)
    np.testing.assert_array_equal(net.out.weight, before)
    with pytest.raises(CheckpointError, match="does not fit Two"):
        net.load(saved(linear(9, 9, "head")), strict=False)


def test_names_of_one_kind_are_taken_together_when_not_strict(saved):
    """Places of the equivalent network are not mixed with paths, of which 1 would be another."""
    arrays = linear(3, 4, "module.0") | linear(9, 9, "module.1") | linear(4, 4, "module.2")
    net = nn.Sequential(nn.Dense(4, "relu"), nn.Dense(4, "relu"), nn.Dense(9))
    net.initialize(sample=jnp.ones((1, 3)))
    moves = net.load(saved(arrays), strict=False, dry_run=True)
    assert [row.theirs[0] for row in moves.rows][::2] == ["module.0.weight", "module.2.weight"]
    assert moves.missing == ["2.weight", "2.bias"]
    assert moves.passed_over == ["module.1.weight", "module.1.bias"]


def test_a_selection_is_loaded_alone(saved):
    net = Two().initialize(sample=jnp.ones((1, 3)))
    before = np.asarray(net.out.weight)
    arrays = linear(3, 4, "hidden") | linear(4, 4, "out")
    net.load(saved(arrays), select="hidden.*")
    np.testing.assert_array_equal(net.hidden.bias, arrays["hidden.bias"])
    np.testing.assert_array_equal(net.out.weight, before)


def test_a_part_of_a_checkpoint(saved):
    weights = GOLDENS / "torch" / "checkpoint.pt"
    net = nn.Sequential(nn.Dense(7, "relu"), nn.Dense(3)).load(weights, key="state_dict")
    np.testing.assert_array_equal(
        net[1].weight.T, kuai.interop.read(weights)["state_dict.2.weight"]
    )


def test_a_file_that_does_not_say_whose_layers_it_holds_must_be_told(tmp_path):
    safetensors.numpy.save_file(linear(3, 3), tmp_path / "net")
    with pytest.raises(ArgumentError, match="does not say which system's layers it holds, and lay"):
        nn.Dense(3).load(tmp_path / "net")
    with pytest.raises(
        ArgumentError, match="expected system to be one of torch, keras, paddle, gl"
    ):
        nn.Dense(3).load(tmp_path / "net", system="mxnet")
    own = nn.Dense(3).load(tmp_path / "net", system="kuai")
    np.testing.assert_array_equal(own.weight, kuai.interop.read(tmp_path / "net")["weight"])


def test_another_system_than_said_is_refused(saved, tmp_path):
    with pytest.raises(ArgumentError, match="expected a file of paddle, got one of torch"):
        nn.Dense(3).load(saved(linear(3, 3)), system="paddle")
    net, own = nn.Dense(3).initialize(sample=jnp.ones((1, 3))), tmp_path / "own"
    net.save(own)
    with pytest.raises(ArgumentError, match="mapping= is for files of other systems"):
        net.load(own, mapping={"weight": "weight"})


def test_a_layer_that_the_system_has_not_is_named(tmp_path):
    write_gluon(tmp_path / "net", {"x.weight": array(2, 3, 4)}, {})
    with pytest.raises(CheckpointError, match=r"gluon has no layer like 0 \(Bilinear\)"):
        nn.Sequential(nn.Bilinear(3)).load(tmp_path / "net")


# --- layers of several arrays --------------------------------------------------------------------


def test_a_tied_parameter_is_read_once_and_must_be_one_in_the_file(saved):
    net = Two(4).initialize(sample=jnp.ones((1, 4)))
    net.out.weight = net.hidden.params.weight
    arrays = linear(4, 4, "hidden") | linear(4, 4, "out")
    with pytest.raises(CheckpointError, match=r"tied here, but .* differ in the file; untie it"):
        net.load(saved(arrays))
    arrays["out.weight"] = arrays["hidden.weight"]
    net.load(saved(arrays))
    np.testing.assert_array_equal(net.out.weight, arrays["hidden.weight"].T)


def test_a_shared_layer_may_stand_once_or_twice_in_the_file(saved):
    layer = nn.Dense(3)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    arrays = linear(3, 3, "0")
    net.load(saved(arrays))
    np.testing.assert_array_equal(net[2].weight, arrays["0.weight"].T)
    net.load(saved(arrays, {"2.weight": "0.weight", "2.bias": "0.bias"}))
    net.load(saved(arrays | {"2.weight": arrays["0.weight"], "2.bias": arrays["0.bias"]}))


def test_the_rows_after_a_flatten_take_the_other_order(tmp_path):
    def build(layout):
        conv = nn.Conv2d(4, 3, padding="same", layout=layout)
        return nn.Sequential(
            conv, nn.ReLU(), nn.MaxPool2d(2, layout=layout), nn.Flatten(), nn.Dense(5)
        )

    x = jnp.asarray(array(2, 4, 6, 3))
    last = build("channels_last").initialize(sample=x)
    last.save(tmp_path / "net.pt", system="torch", sample=x)
    moved = jnp.moveaxis(x, -1, 1)
    first = build("channels_first").load(tmp_path / "net.pt")  # the file's own order: no sample
    np.testing.assert_allclose(first(moved), last(x), rtol=0, atol=1e-6)
    with pytest.raises(ArgumentError, match=r"sample: 4 \(Dense\) may follow a Flatten"):
        build("channels_last").load(tmp_path / "net.pt")
    again = build("channels_last").load(tmp_path / "net.pt", sample=x)
    np.testing.assert_array_equal(again[4].weight, last[4].weight)
    first.save(tmp_path / "net.weights.h5", system="keras", sample=moved)
    keras = build("channels_last").load(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(keras[4].weight, last[4].weight)


class Flattens(Block):
    """Reshapes by hand, and normalizes the features before a layer takes them."""

    def __init__(self, join=False):
        super().__init__()
        self.conv = nn.Conv2d(2, 3)
        self.norm = nn.BatchNorm()
        self.out = nn.Dense(3)
        self.join = join

    def forward(self, x):
        y = self.conv(x)
        y = y.reshape(len(y), -1)
        y = self.norm(y)
        if self.join:
            y = jnp.concatenate([y, y], -1)
        return self.out(jnp.maximum(y, 0))


def test_a_reshape_by_hand_and_the_layers_between_are_followed(tmp_path):
    x = jnp.asarray(array(3, 4, 5, 1))
    net = Flattens().initialize(sample=x)
    net(x)  # moves the running statistics
    net.save(tmp_path / "net.pt", system="torch", sample=x)
    found = kuai.interop.read(tmp_path / "net.pt")
    order = np.arange(12).reshape(2, 2, 3).transpose(1, 2, 0).ravel()  # of (2, 3, 2): channels last
    np.testing.assert_array_equal(found["norm.running_mean"][order], net.norm.running_mean)
    np.testing.assert_array_equal(found["out.weight"].T[order], net.out.weight)
    again = Flattens().load(tmp_path / "net.pt", sample=x)
    np.testing.assert_array_equal(again.out.weight, net.out.weight)


def test_a_map_among_other_features_is_refused(tmp_path):
    x = jnp.asarray(array(3, 4, 5, 1))
    net = Flattens(join=True).initialize(sample=x)
    with pytest.raises(
        ArgumentError, match=r"out: its input holds a flattened feature map of sizes"
    ):
        net.save(tmp_path / "net.pt", system="torch", sample=x)
    with pytest.raises(ArgumentError, match="sample: Flattens does not run on it"):
        net.save(tmp_path / "net.pt", system="torch", sample=x[0])


def test_a_gru_of_keras_has_its_gates_in_keras_order(tmp_path):
    kernel, recurrent, bias = array(3, 12), array(4, 12), array(2, 12)
    write_keras_weights(
        tmp_path / "gru.weights.h5", {"layers/gru/cell/vars": [kernel, recurrent, bias]}
    )
    cell = nn.GRU(4).load(tmp_path / "gru.weights.h5").cells[0]
    update, reset, new = np.split(kernel, 3, -1)
    np.testing.assert_array_equal(cell.input_weight, np.concatenate([reset, update, new], -1))
    update, reset, new = np.split(bias[1], 3, -1)
    np.testing.assert_array_equal(cell.recurrent_bias, np.concatenate([reset, update, new], -1))


SYSTEMS = {
    "torch": "net.pt",
    "keras": "net.weights.h5",
    "paddle": "net.pdparams",
    "gluon": "net.params",
}
LAYERS = {
    "Dense": (lambda: nn.Dense(3), (2, 4)),
    "Dense without bias": (lambda: nn.Dense(3, use_bias=False), (2, 4)),
    "Conv1d": (lambda: nn.Conv1d(3, 2), (2, 5, 4)),
    "Conv2d in groups": (lambda: nn.Conv2d(6, (2, 3), groups=2), (2, 5, 5, 4)),
    "Conv3d": (lambda: nn.Conv3d(2, 2), (1, 3, 3, 3, 2)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(3, 2), (2, 5, 4)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, (2, 3)), (2, 5, 5, 4)),
    "ConvTranspose2d in groups": (lambda: nn.ConvTranspose2d(6, 2, groups=2), (2, 5, 5, 4)),
    "DepthwiseConv2d": (lambda: nn.DepthwiseConv2d(2, multiplier=2), (2, 5, 5, 3)),
    "SeparableConv2d": (lambda: nn.SeparableConv2d(4, 2, multiplier=2), (2, 5, 5, 3)),
    "BatchNorm": (lambda: nn.BatchNorm(), (2, 4)),
    "LayerNorm": (lambda: nn.LayerNorm(), (2, 4)),
    "GroupNorm": (lambda: nn.GroupNorm(2), (2, 3, 4)),
    "InstanceNorm": (lambda: nn.InstanceNorm(), (2, 3, 4)),
    "RMSNorm": (lambda: nn.RMSNorm(), (2, 4)),
    "PReLU": (lambda: nn.PReLU(axis=-1), (2, 4)),
    "RNN": (lambda: nn.RNN(3, layers=2), (2, 5, 4)),
    "LSTM": (lambda: nn.LSTM(3, layers=2, bidirectional=True), (2, 5, 4)),
    "GRU": (lambda: nn.GRU(3, layers=2, bidirectional=True), (2, 5, 4)),
    "LSTMCell": (lambda: nn.LSTMCell(3), (2, 4)),
    "MultiHeadAttention": (lambda: nn.MultiHeadAttention(2), (2, 3, 4)),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(2, 8), 2, nn.LayerNorm),
        (2, 3, 4),
    ),
    "Repeat": (lambda: nn.Repeat(lambda: nn.Residual(nn.Dense(4)), 3), (2, 4)),
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_comes_back_from_every_system(layer, system, tmp_path):
    make, shape = LAYERS[layer]
    net = nn.Sequential(make(), nn.Identity()).initialize(sample=jnp.ones(shape), init="uniform")
    for holder in (holder for _, holder in net.named_holders()):
        holder.write(jnp.asarray(array(*holder.shape), holder.dtype))
    net.save(tmp_path / SYSTEMS[system], system=system)
    again = nn.Sequential(make(), nn.Identity()).load(tmp_path / SYSTEMS[system])
    before, after = values(net), values(again)
    assert before.keys() == after.keys()
    for path, expected in before.items():
        bias = path.rpartition(".")[2] in ("bias", "recurrent_bias")
        if system == "keras" and layer in ("RNN", "LSTM", "LSTMCell") and bias:
            continue  # Keras has one bias, the sum
        np.testing.assert_array_equal(after[path], expected, err_msg=path)


def test_the_two_biases_of_a_cell_are_one_in_keras(tmp_path):
    net = nn.LSTM(3).initialize(sample=jnp.ones((2, 5, 4)), seed=1)
    net.cells[0].recurrent_bias = jnp.asarray(array(12))
    net.save(tmp_path / "net.weights.h5", system="keras")
    again = nn.LSTM(3).load(tmp_path / "net.weights.h5")
    x = jnp.asarray(array(2, 5, 4))
    np.testing.assert_allclose(again(x)[0], net(x)[0], rtol=0, atol=1e-6)


# --- what save refuses ---------------------------------------------------------------------------


def test_names_can_be_chosen(tmp_path):
    net = Two().initialize(sample=jnp.ones((1, 3)))
    net.save(tmp_path / "net.pt", system="torch", mapping={"hidden": "encoder.0", "out": "head"})
    assert list(kuai.interop.read(tmp_path / "net.pt")) == [
        "encoder.0.weight", "encoder.0.bias", "head.weight", "head.bias",
    ]  # fmt: skip
    net.save(tmp_path / "net.pt", system="torch", select="out.*")
    assert list(kuai.interop.read(tmp_path / "net.pt")) == ["out.weight", "out.bias"]


def test_a_layer_in_two_places_has_both_names_and_one_array(tmp_path):
    layer = nn.Dense(3)
    net = nn.Sequential(layer, nn.ReLU(), layer).initialize(sample=jnp.ones((1, 3)))
    net.save(tmp_path / "net.pt", system="torch")
    found = kuai.interop.read(tmp_path / "net.pt")
    assert found.aliases == {"2.weight": "0.weight", "2.bias": "0.bias"}


def test_what_cannot_be_saved_is_refused_and_nothing_is_written(tmp_path):
    net = Two().initialize(sample=jnp.ones((1, 3)))
    with pytest.raises(ArgumentError, match="expected system to be one of torch, keras, paddle, g"):
        net.save(tmp_path / "net", system="mxnet")
    with pytest.raises(ArgumentError, match=r"save: mapping is for files of other systems"):
        net.save(tmp_path / "net", mapping={"hidden": "out"})
    with pytest.raises(CheckpointError, match=r"have the name 'out.weight', which is none or stan"):
        net.save(tmp_path / "net", system="torch", mapping={"hidden": "out"})
    bilinear = nn.Bilinear(3)
    bilinear(jnp.ones((1, 2)), jnp.ones((1, 4)))
    with pytest.raises(CheckpointError, match=r"save: gluon has no layer like Bilinear"):
        bilinear.save(tmp_path / "net", system="gluon")
    gemma = nn.RMSNorm(unit_offset=True).initialize(sample=jnp.ones((1, 3)))
    with pytest.raises(CheckpointError, match=r"save: torch has no layer like RMSNorm"):
        gemma.save(tmp_path / "net", system="torch")
    with pytest.raises(kuai.errors.DeferredInitError, match="call the net once"):
        Two().save(tmp_path / "net", system="torch")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("told", "meant"),
    [("PyTorch", "torch"), ("mxnet", "gluon"), ("tf", "keras"), ("tensorflow", "keras"),
     ("padle", "paddle")],
)  # fmt: skip
def test_a_system_by_another_name_gets_a_hint(saved, told, meant):
    path = saved(linear(3, 4, "hidden") | linear(4, 4, "out"))
    message = f"got {told!r}; did you mean {meant!r}\\?"
    with pytest.raises(ArgumentError, match=message):
        Two().load(path, system=told)
    with pytest.raises(ArgumentError, match=message):
        Two().initialize(sample=jnp.ones((1, 3))).save(path, system=told)


# --- what must not be guessed --------------------------------------------------------------------


def numbered(*names):
    """A file of Linears whose biases tell their place."""
    return {
        key: array
        for number, name in enumerate(names)
        for key, array in {
            f"{name}.weight": np.full((4, 4), number, np.float32),
            f"{name}.bias": np.full(4, number, np.float32),
        }.items()
    }


def places(net):
    return [float(layer.bias[0]) for layer in net]


@pytest.mark.parametrize("mapping", [[(r"^backbone\.", "")], {"backbone": ""}])
def test_a_mapping_may_lead_to_the_names_of_the_equivalent_network(saved, mapping):
    path = saved(numbered("backbone.0", "backbone.2", "backbone.4"))
    net = nn.Sequential(nn.Dense(4, "relu"), nn.Dense(4, "relu"), nn.Dense(4))
    assert places(net.load(path, mapping=mapping)) == [0, 1, 2]


def test_a_mapping_to_a_path_that_does_not_exist_is_refused(saved):
    path = saved(numbered("a", "b"))
    with pytest.raises(
        CheckpointError, match=r"leads 'a.weight' to 'oot.weight', where the net has"
    ):
        Two().load(path, mapping={"a": "oot", "b": "hiden"})


def test_what_is_passed_over_is_told(saved):
    path = saved(numbered("fc", "fc_out", "old"))
    moves = Two().load(path, mapping={"old": None}, dry_run=True)
    assert moves.passed_over == ["old.weight", "old.bias"]
    moves = Two().load(path, mapping={"fc": None}, dry_run=True)  # it begins fc_out too
    assert moves.passed_over == ["fc.weight", "fc.bias"]


def test_heads_that_the_file_splits_otherwise_do_not_fit(tmp_path):
    net = nn.MultiHeadAttention(4).initialize(sample=jnp.ones((1, 3, 16)))
    net.save(tmp_path / "net.weights.h5", system="keras")
    with pytest.raises(CheckpointError, match="nothing was changed"):
        nn.MultiHeadAttention(8).load(tmp_path / "net.weights.h5")


def test_a_selection_that_splits_what_stands_together_is_refused(tmp_path):
    net = nn.MultiHeadAttention(2).initialize(sample=jnp.ones((1, 3, 4)))
    with pytest.raises(CheckpointError, match=r"takes some of query.weight, key.weight, value.w"):
        net.save(tmp_path / "net", system="torch", select="query.*")
    dense = nn.Dense(2).initialize(sample=jnp.ones((1, 3)))
    with pytest.raises(CheckpointError, match="takes some of weight, bias of Dense, which kera"):
        dense.save(tmp_path / "net.weights.h5", system="keras", select="bias")


def test_tied_arrays_stand_twice_in_keras(tmp_path):
    net = Two().initialize(sample=jnp.ones((1, 4)))
    net.out.weight = net.hidden.params.weight
    net.save(tmp_path / "net.weights.h5", system="keras")
    found = kuai.interop.read(tmp_path / "net.weights.h5")
    assert [found.shapes[name] for name in found] == [(4, 4), (4,), (4, 4), (4,)]


def test_a_norm_of_groups_flattens_nothing(tmp_path):
    x = jnp.asarray(array(2, 4, 5, 3))
    net = nn.Sequential(nn.Conv2d(6, 3), nn.GroupNorm(2), nn.Dense(3)).initialize(sample=x)
    net.save(tmp_path / "net.pt", system="torch", sample=x)
    found = kuai.interop.read(tmp_path / "net.pt")
    np.testing.assert_array_equal(found["2.weight"].T, net[2].weight)


class Turned(Block):
    """Flattens in the order of channels first by itself."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3)
        self.out = nn.Dense(3)

    def forward(self, x):
        y = self.conv(x).transpose(0, 3, 1, 2)
        return self.out(y.reshape(len(y), -1))


@pytest.mark.parametrize("sizes", [(4, 5), (4, 4)])
def test_a_map_that_was_turned_by_hand_is_refused(tmp_path, sizes):
    x = jnp.asarray(array(2, *sizes, 1))
    net = Turned().initialize(sample=x)
    with pytest.raises(ArgumentError, match="or in another order, and what that is in the file"):
        net.save(tmp_path / "net.pt", system="torch", sample=x)


@pytest.mark.parametrize("is_made", [False, True])
@pytest.mark.parametrize(
    ("shape", "layer", "features", "got"),
    [
        ((1, 3, 3, 2), "2 (Dense)", 80, (1, 36)),
        ((1, 6, 6, 2), "2 (Dense)", 80, (1, 144)),
        ((1, 2, 4, 5), "0 (Conv2d)", 2, (1, 2, 4, 5)),
        ((1, 4, 5, 3), "0 (Conv2d)", 2, (1, 4, 5, 3)),
    ],
)
def test_a_sample_that_the_files_net_would_not_take_is_refused(
    is_made, shape, layer, features, got, tmp_path
):
    def build():
        return nn.Sequential(nn.Conv2d(4, 3, padding=1), nn.Flatten(), nn.Dense(3))

    x = jnp.ones((1, 4, 5, 2))
    build().initialize(sample=x).save(tmp_path / "net.pt", system="torch", sample=x)
    net = build().initialize(sample=x) if is_made else build()
    with pytest.raises(ArgumentError) as error:
        net.load(tmp_path / "net.pt", sample=jnp.ones(shape))
    assert str(error.value).startswith(
        f"sample: Sequential with the file's arrays does not run on one of shape {shape}: "
        f"Sequential: {layer}: expected an input with {features} features on axis -1, got shape "
        f"{got}; "
    )
    assert is_made or not any(holder.settled for _, holder in net[0].named_holders("weight"))


def test_every_net_with_maps_and_dense_layers_is_asked_for_a_sample(tmp_path):
    x = jnp.asarray(array(2, 4, 4, 3))
    net = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Dense(3)).initialize(sample=x)
    with pytest.raises(ArgumentError, match=r"sample: 2 \(Dense\) may follow a Flatten"):
        net.save(tmp_path / "net.pt", system="torch")
    net.save(tmp_path / "net.pt", system="torch", sample=x)
    order = np.arange(12).reshape(3, 2, 2).transpose(1, 2, 0).ravel()
    found = kuai.interop.read(tmp_path / "net.pt")
    np.testing.assert_array_equal(found["2.weight"].T[order], net[2].weight)


def test_other_layers_behind_a_flatten(tmp_path):
    x = jnp.asarray(array(2, 4, 5, 1))
    net = nn.Sequential(nn.Conv2d(2, 3), nn.Flatten(), nn.RMSNorm()).initialize(sample=x)
    net[2].weight = jnp.arange(12.0)
    net.save(tmp_path / "net.pt", system="torch", sample=x)
    order = np.arange(12).reshape(2, 2, 3).transpose(1, 2, 0).ravel()
    np.testing.assert_array_equal(
        kuai.interop.read(tmp_path / "net.pt")["2.weight"][order], net[2].weight
    )


@pytest.mark.parametrize("mapping", [{"nothing": "x"}, lambda name: name])
def test_a_mapping_that_changes_nothing_is_refused_by_save_too(tmp_path, mapping):
    net = Two().initialize(sample=jnp.ones((1, 3)))
    with pytest.raises(ArgumentError, match=r"save: mapping= changes no name of the file"):
        net.save(tmp_path / "net", system="torch", mapping=mapping)


def test_a_mapping_that_fails_says_of_which_name(saved):
    path = saved(linear(3, 4, "hidden") | linear(4, 4, "out"))
    with pytest.raises(ZeroDivisionError) as error:
        Two().load(path, mapping=lambda _: 1 / 0)
    assert error.value.__notes__ == ["in mapping= of 'hidden.weight'"]


def test_a_sample_that_is_none_is_refused(tmp_path):
    x = jnp.ones((1, 4, 4, 3))
    net = nn.Sequential(nn.Conv2d(2, 3), nn.Flatten(), nn.PReLU(), nn.Dense(3)).initialize(sample=x)
    for system, file in (("torch", "net.pt"), ("keras", "net.weights.h5")):
        with pytest.raises(ArgumentError, match=r"sample: expected an input of the net"):
            net.save(tmp_path / file, system=system, sample="abc")


def test_a_selection_is_all_that_must_fit(saved):
    """The use of a backbone: its head is another there."""
    net = Two().initialize(sample=jnp.ones((1, 3)))
    before = np.asarray(net.out.weight)
    arrays = linear(3, 4, "module.hidden") | linear(9, 9, "module.out")
    moves = net.load(saved(arrays), select="hidden.*", dry_run=True)
    assert [row.ours for row in moves.rows] == [("hidden.weight",), ("hidden.bias",)]
    net.load(saved(arrays), select="hidden.*")
    np.testing.assert_array_equal(net.hidden.bias, arrays["module.hidden.bias"])
    np.testing.assert_array_equal(net.out.weight, before)
    with pytest.raises(CheckpointError, match=r"out.weight: expected \(4, 4\), got \(9, 9\)"):
        net.load(saved(arrays), select="out.*")


def test_shapes_that_differ_are_an_error_even_when_not_strict(saved):
    net = Two().initialize(sample=jnp.ones((1, 3)))
    before = values(net)
    with pytest.raises(CheckpointError, match=r"out.weight: expected \(4, 4\), got \(9, 4\)"):
        net.load(saved(linear(3, 4, "hidden") | linear(4, 9, "out")), strict=False)
    assert all(np.array_equal(before[path], now) for path, now in values(net).items())
    path = saved(linear(3, 4, "hidden") | linear(4, 9, "out"))
    net.load(path, strict=False, mapping={"out": None})  # so a head of another size is left


def test_a_dry_run_of_kuais_own_file_is_what_a_load_would_do(tmp_path):
    nn.Dense(4).initialize(sample=jnp.ones((1, 4))).save(tmp_path / "net")
    with pytest.raises(CheckpointError, match=r"expected \(None, 7\) float32, got \(4, 4\)"):
        nn.Dense(7).load(tmp_path / "net", dry_run=True)
    net = nn.Dense(4, use_bias=False).initialize(sample=jnp.ones((1, 4)))
    moves = net.load(tmp_path / "net", strict=False, dry_run=True)
    assert [row.ours for row in moves.rows] == [("weight",)]
    assert moves.passed_over == ["bias"]


def test_another_dtype_is_told(saved):
    half = {name: a.astype(np.float16) for name, a in linear(3, 4).items()}
    moves = nn.Dense(4).load(saved(half), dry_run=True)
    assert [row.how for row in moves.rows] == [
        "transposed, float16 to float32", "float16 to float32",
    ]  # fmt: skip


class Rows(Block):
    """Reads a map line by line, as nets for handwriting do."""

    def __init__(self, layer):
        super().__init__()
        self.conv = nn.Conv2d(2, 3)
        self.layer = layer

    def forward(self, x):
        y = self.conv(x)
        return self.layer(y.reshape(*y.shape[:2], -1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.GRU(3, layers=2, bidirectional=True, return_state=False),
        lambda: nn.Dense(3),
    ],
    ids=["GRU", "Dense"],
)
def test_rows_of_a_map_are_reordered_for_any_layer(tmp_path, make):
    x = jnp.asarray(array(1, 5, 6, 1))
    net = Rows(make()).initialize(sample=x)
    net.save(tmp_path / "net.pt", system="torch", sample=x)
    again = Rows(make()).load(tmp_path / "net.pt", sample=x)
    assert all(np.array_equal(values(net)[path], now) for path, now in values(again).items())
    found = kuai.interop.read(tmp_path / "net.pt")
    theirs = [
        found[name]
        for name in found
        if name.startswith("layer.weight") and found[name].shape[-1] == 8
    ]
    ours = [a for path, a in values(net).items() if path.startswith("layer") and a.shape[0] == 8]
    order = np.arange(8).reshape(2, 4).T.ravel()
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(one.T[order], other)


def test_layers_whose_rows_cannot_be_put_in_order_are_refused(tmp_path):
    x = jnp.asarray(array(1, 5, 6, 1))
    net = Rows(nn.Recurrent(nn.GRUCell(3), return_state=False)).initialize(sample=x)
    with pytest.raises(ArgumentError, match=r"cannot put such a layer's rows in order; load it by"):
        net.save(tmp_path / "net.pt", system="torch", sample=x)


@pytest.mark.parametrize("save", [np.savez, lambda path, **a: safetensors.numpy.save_file(a, path)])
def test_names_of_another_system_than_told_are_refused(tmp_path, save):
    """A square weight fits either way round, so that the names must tell."""
    path = tmp_path / "net.npz"
    save(path, **linear(4, 4, "0"), **linear(4, 4, "2"))
    net = nn.Sequential(nn.Dense(4, "relu"), nn.Dense(4))
    with pytest.raises(CheckpointError, match=r"No layer of Keras has a name such as '0.weight': "):
        net.load(path, system="keras")
    with pytest.raises(CheckpointError, match="No layer of Keras"):
        net.load(path, system="keras", strict=False)
    net.load(path, system="torch")
    norm = {f"0.{n}": array(4) for n in ("weight", "bias", "running_mean", "running_var")}
    save(path, **norm)
    with pytest.raises(CheckpointError, match="nothing was changed"):
        nn.Sequential(nn.BatchNorm()).load(path, system="gluon")
    save(path, **{"dense/kernel": array(4, 4), "dense/bias": array(4)})
    for system in ("torch", "paddle", "gluon"):
        with pytest.raises(CheckpointError, match="'dense/kernel' is a name of Keras: give sys"):
            nn.Sequential(nn.Dense(4)).load(path, system=system)
    nn.Sequential(nn.Dense(4)).load(path, system="keras")


def test_a_mapping_may_name_arrays_of_keras_as_kuai_does(tmp_path):
    kernel = array(4, 4)
    np.savez(tmp_path / "net.npz", w=kernel, b=array(4))
    net = nn.Sequential(nn.Dense(4))
    net.load(tmp_path / "net.npz", system="keras", mapping={"w": "0.weight", "b": "0.bias"})
    np.testing.assert_array_equal(net[0].weight, kernel)


def test_several_places_that_fit_are_told(tmp_path):
    arrays = {k: a for n in "abcdef" for k, a in linear(4, 4, n).items()}
    safetensors.numpy.save_file(arrays, tmp_path / "net", {"format": "pt"})
    with pytest.raises(CheckpointError) as error:
        nn.Sequential(*(nn.Dense(4) for _ in range(6))).load(tmp_path / "net")
    text = str(error.value)
    assert "may fit Sequential in more than one way; nothing was changed. The file has no" in text
    assert "  0 (Dense): 'a', 'b', 'c', 'd' ... (6 in all)" in text
    assert "  and 2 layers more" in text
    assert "mapping={their name or what it begins with: our path}" in text


def test_a_layer_that_is_numbered_otherwise_there_is_told_with_its_path(saved):
    net = nn.Sequential(nn.Dense(4, "relu"), nn.Dense(4, "relu"), nn.Dense(2))
    net.initialize(sample=jnp.ones((1, 4)))
    with pytest.raises(CheckpointError) as error:
        net.load(saved(linear(4, 4, "0") | linear(4, 3, "2") | linear(4, 2, "head")))
    assert "2.weight (here 1.weight): expected (4, 4), got (3, 4)" in str(error.value)
    assert "  4.weight (here 2.weight) (near: " in str(error.value)
    assert "  4.bias (here 2.bias)" in str(error.value)


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"a": "hidden", "fc": "out"}, "has 'fc', which matches no name; near: fc1"),
        ([("^a", "hidden"), ("^a", "out")], r"has '\^a', which matches no name"),
    ],
    ids=["key", "pattern"],
)
def test_what_matches_nothing_of_a_mapping_is_refused(saved, mapping, told):
    path = saved(linear(3, 4, "a") | linear(4, 4, "fc1"))
    with pytest.raises(ArgumentError, match=f"load: mapping= {told}"):
        Two().load(path, mapping=mapping)
    net = Two().load(path, mapping=[("^a", "hidden"), ("fc1", "out")])
    with pytest.raises(ArgumentError, match="save: mapping= has 'ot', which matches no name"):
        net.save(path, system="torch", mapping={"hidden": "a", "ot": "fc1"})


@pytest.mark.parametrize("name", ["gru", "encoder"])
def test_a_gru_of_keras_that_resets_before_is_told(tmp_path, name):
    kernel, recurrent, bias = array(3, 12), array(4, 12), array(12)
    write_keras_weights(
        tmp_path / "net.weights.h5", {f"layers/{name}/cell/vars": [kernel, recurrent, bias]}
    )
    with pytest.raises(CheckpointError) as error:
        nn.Sequential(nn.GRU(4)).load(tmp_path / "net.weights.h5")
    assert "bias of shape (12,) in place of (2, 12) is that of a GRU with reset" in str(error.value)
    assert "0 (GRU) is one with reset_after=True" in str(error.value)


# --- back as a file has them ---------------------------------------------------------------------


def test_what_a_net_does_not_have_stays_as_it_is_in_the_file(saved, tmp_path):
    arrays = linear(3, 4, "body.0") | linear(4, 4, "body.1") | linear(4, 9, "old_head")
    path = saved(arrays, {"body.1.tied": "body.1.weight"})
    mapping = {"body.0": "hidden", "body.1.tied": None, "body.1": "out", "old_head": None}
    net = Two().load(path, mapping=mapping)
    net.out.weight = net.out.weight * 2
    net.save(path, like=path, mapping=mapping)  # in its own place
    found = kuai.interop.read(path)
    assert list(found) == [*arrays, "body.1.tied"]
    assert found.aliases == {"body.1.tied": "body.1.weight"}
    arrays["body.1.weight"] = arrays["body.1.weight"] * 2
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_values_that_are_tied_in_the_file_alone_stand_apart(saved):
    arrays = linear(4, 4, "hidden")
    path = saved(arrays | {"out.bias": array(4)}, {"out.weight": "hidden.weight"})
    net = Two().load(path)
    net.hidden.weight = jnp.ones((4, 4))
    net.save(path, like=path)
    found = kuai.interop.read(path)
    np.testing.assert_array_equal(found["hidden.weight"], np.ones((4, 4)))
    np.testing.assert_array_equal(found["out.weight"], arrays["hidden.weight"])
    alone = nn.Dense(4).load(path, mapping={"hidden": None, "out.weight": "weight",
                                            "out.bias": "bias"})  # fmt: skip
    np.testing.assert_array_equal(alone.weight, arrays["hidden.weight"].T)


def test_dtypes_and_counts_of_the_file_stay(saved):
    norm = {name: array(3) for name in ("weight", "bias", "running_mean", "running_var")}
    arrays = {f"0.{name}": value.astype(np.float16) for name, value in norm.items()}
    arrays["0.num_batches_tracked"] = np.array(7)
    path = saved(arrays)
    nn.Sequential(nn.BatchNorm()).load(path).save(path, like=path)
    found = kuai.interop.read(path)
    assert found.dtypes == {name: value.dtype for name, value in arrays.items()}
    assert found["0.num_batches_tracked"] == 7


def test_what_cannot_be_written_back_is_refused(saved, tmp_path):
    arrays = linear(3, 4, "hidden") | linear(4, 4, "out")
    net = Two().load(saved(arrays))
    np.savez(tmp_path / "net.npz", **arrays)
    nested = saved({f"model.{name}": value for name, value in arrays.items()}, name="flat.pt")
    net.save(tmp_path / "ok.pt", like=nested)  # its names have dots, its dictionary is one
    safetensors.numpy.save_file(arrays, tmp_path / "part.safetensors", {"format": "pt"})
    index = tmp_path / "net.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(arrays, "part.safetensors")}))
    new = tmp_path / "new.pt"
    for like, system in (
        (index, None),
        (tmp_path / "net.npz", "torch"),
        (GOLDENS / "torch" / "checkpoint.pt", None),
    ):
        with pytest.raises(ArgumentError, match=r"one file with a flat state dict"):
            net.save(new, like=like, system=system)
    with pytest.raises(ArgumentError, match=r"ends as a file of paddle does, and like= is one of"):
        net.save(tmp_path / "new.pdparams", like=nested)
    assert not (tmp_path / "new.pt").exists()


def test_a_file_to_be_like_must_be_one_that_the_net_fits(saved, tmp_path):
    net = Two().initialize(sample=jnp.ones((1, 3)))
    own = tmp_path / "own.safetensors"
    net.save(own)
    new = tmp_path / "new.pt"
    with pytest.raises(ArgumentError, match=r"one file with a flat state dict"):
        net.save(new, like=own)
    with pytest.raises(ArgumentError, match=r"like= writes all arrays of a file"):
        net.save(new, like=own, select="hidden.*")
    with pytest.raises(CheckpointError, match=r"does not fit Two"):
        net.save(new, like=saved(linear(3, 5, "hidden") | linear(5, 4, "out")))
    write_keras_weights(tmp_path / "a.weights.h5", {"hidden/vars": [array(3, 4), array(4)]})
    with pytest.raises(ArgumentError, match=r"new.pt ends as a file of torch does"):
        net.save(new, like=tmp_path / "a.weights.h5")
    assert not new.exists()
