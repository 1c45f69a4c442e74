"""Weights that the real systems wrote, read without them: every array as the system had it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import kuai
from kuai import interop, nn
from kuai.errors import ArgumentError, FileFormatError, NoArrayNamedError, UnsupportedFileError
from kuai.files import write_arrays
from kuai.interop.readers.keras_names import recovered
from kuai.interop.readers.source import Span
from tests.fuzz.seeds import ARRAYS, GOLDENS, legacy_params
from tests.hostile_weights import RECONSTRUCT, dtype, numbers, word


def arrays(path, **options):
    weights = interop.read(path, **options)
    return {name: weights[name] for name in weights}


def expected(system):
    with np.load(GOLDENS / system / "expected.npz") as found:
        return dict(found)


# --- every system: what the file gives computes what the system computed -------------------------

MLPS = {
    "torch/mlp.pt": ("0.weight", "0.bias", "2.weight", "2.bias", True),
    "torch/mlp_legacy.pt": ("0.weight", "0.bias", "2.weight", "2.bias", True),
    "gluon/mlp.params": ("0.weight", "0.bias", "1.weight", "1.bias", True),
    "keras/mlp.keras": (
        "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias", False,
    ),
    "keras/mlp.weights.h5": (
        "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias", False,
    ),
    "tensorflow/mlp": (
        "model/layers/0/kernel", "model/layers/0/bias", "model/layers/1/kernel",
        "model/layers/1/bias", False,
    ),
    "tensorflow/mlp/ckpt-1": (
        "model/layers/0/kernel", "model/layers/0/bias", "model/layers/1/kernel",
        "model/layers/1/bias", False,
    ),
    "tensorflow/mlp_saved_model": (
        "layers/0/kernel", "layers/0/bias", "layers/1/kernel", "layers/1/bias", False,
    ),
    "paddle/mlp.pdparams": ("0.weight", "0.bias", "2.weight", "2.bias", False),
    "paddle/mlp_protocol2.pdparams": ("0.weight", "0.bias", "2.weight", "2.bias", False),
    "paddle/mlp_bfloat16.pdparams": ("0.weight", "0.bias", "2.weight", "2.bias", False),
    "paddle/mlp_program.pdiparams": (
        "linear_0.w_0", "linear_0.b_0", "linear_1.w_0", "linear_1.b_0", False,
    ),
    "paddle_old/mlp_program.pdiparams": (
        "linear_0.w_0", "linear_0.b_0", "linear_1.w_0", "linear_1.b_0", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("file", MLPS)
def test_the_mlp_of_every_system_gives_what_it_gave_there(file, mapped):
    first, first_bias, second, second_bias, is_transposed = MLPS[file]
    found = {k: v.astype(np.float64) for k, v in arrays(GOLDENS / file, mapped=mapped).items()}
    w1, w2 = (found[name].T if is_transposed else found[name] for name in (first, second))
    told = expected(file.split("/")[0].removesuffix("_old"))
    hidden = np.maximum(told["mlp.input"].astype(np.float64) @ w1 + found[first_bias], 0)
    # Float32 sums of 7 products below 20.
    np.testing.assert_allclose(hidden @ w2 + found[second_bias], told["mlp.output"], atol=1e-5)


SYSTEMS = {
    "torch": "torch", "keras": "keras", "gluon": "gluon", "paddle": "paddle",
    "paddle_old": "paddle", "tensorflow": "tensorflow",
}  # fmt: skip


@pytest.mark.parametrize("file", MLPS)
def test_the_system_is_told_by_content_not_by_name(file, tmp_path):
    system = SYSTEMS[file.split("/")[0]]
    path = GOLDENS / file
    assert interop.read(path).system == system
    if path.is_file() and system != "paddle":
        renamed = shutil.copy(path, tmp_path / "net.safetensors")
        assert interop.read(renamed).system == system


# --- PyTorch -------------------------------------------------------------------------------------

NETS = ("mlp", "convbn", "lstm", "transformer")


@pytest.mark.parametrize("file", [*(f"{n}.pt" for n in NETS), "views.pt", "views_legacy.pt"])
def test_pytorch_reads_the_same_arrays(file):
    torch = pytest.importorskip("torch")
    theirs = torch.load(GOLDENS / "torch" / file, weights_only=True)
    ours = arrays(GOLDENS / "torch" / file)
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.numpy().dtype
        np.testing.assert_array_equal(ours[name], tensor.numpy())


def test_pytorch_dtypes_keep_their_values():
    found = arrays(GOLDENS / "torch" / "dtypes.pt")
    numbers = np.arange(6).reshape(2, 3)
    assert len(found) == 10
    for name, array in found.items():
        dtype = np.dtype(getattr(jnp, name, name))
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, numbers.astype(dtype))


def test_pytorch_ties_are_aliases_and_other_views_are_not():
    assert interop.read(GOLDENS / "torch" / "views.pt").aliases == {"tied": "base"}


def test_a_nested_checkpoint_is_flattened_or_a_part_of_it():
    path = GOLDENS / "torch" / "checkpoint.pt"
    whole, part = interop.read(path), interop.read(path, key="state_dict")
    assert list(part) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [f"state_dict.{name}" for name in part] == list(whole)[:4]
    assert "optimizer.state.0.exp_avg" in whole
    assert (whole.metadata["epoch"], whole.metadata["args.0"]) == (3, "a")
    assert whole.metadata["optimizer.param_groups.0.lr"] == 0.001


def test_a_key_that_is_not_there_is_told_with_those_that_are():
    path = GOLDENS / "torch" / "checkpoint.pt"
    text = "key='model': expected one of its parts, got 'model'; it has epoch, state_dict"
    with pytest.raises(ArgumentError, match=text):
        interop.read(path, key="model")


def test_what_else_a_checkpoint_may_hold(tmp_path):
    torch = pytest.importorskip("torch")
    told = {
        "w": torch.nn.Parameter(torch.ones(2)), "n": np.arange(3), "s": np.float64(2.5),
        "dtype": torch.float32, "device": torch.device("cpu"), "size": torch.Size([1, 2]),
        "names": {"a"}, "none": None, 7: torch.zeros(1), "list": [torch.ones(1), {"x": "y"}],
    }  # fmt: skip
    torch.save(told, tmp_path / "net.pt")
    weights = interop.read(tmp_path / "net.pt")
    assert weights.shapes == {"w": (2,), "n": (3,), "7": (1,), "list.0": (1,)}
    assert weights.metadata == {
        "s": 2.5, "device": "cpu",
        "size.0": 1, "size.1": 2, "names.0": "a", "none": None, "list.1.x": "y",
    }  # fmt: skip
    torch.save(torch.ones(2), tmp_path / "one.pt")
    assert interop.read(tmp_path / "one.pt").shapes == {"array": (2,)}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_module_is_refused_with_what_to_save(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    path = tmp_path / "net.pt"
    torch.save(torch.nn.Linear(2, 3), path, _use_new_zipfile_serialization=not legacy)
    text = r"a whole pickled module, not a state dict.*torch\.save\(model\.state_dict\(\), path\)"
    with pytest.raises(UnsupportedFileError, match=text):
        interop.read(path)


# --- safetensors and shards ----------------------------------------------------------------------


def test_a_file_of_kuai_has_its_ties_and_its_values(tmp_path):
    net = nn.Sequential(nn.Dense(3), nn.Dense(3)).initialize(sample=jnp.ones((1, 3)))
    net[1].weight = net[0].params.weight
    net.save(tmp_path / "net")
    found = interop.read(tmp_path / "net")
    assert found.aliases == {"1.weight": "0.weight"}
    assert set(found) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    np.testing.assert_array_equal(found["1.weight"], net[0].weight)


def test_ties_of_whole_blocks_are_ties_of_their_arrays(tmp_path):
    told = {"first.weight": np.ones(2, np.float32), "first.bias": np.zeros(2, np.float32)}
    write_arrays(tmp_path / "net", told, {"kuai.aliases": '{"second": "first"}'})
    found = interop.read(tmp_path / "net").aliases
    assert found == {"second.weight": "first.weight", "second.bias": "first.bias"}


def test_zeroed_data_is_noticed(tmp_path):
    nn.Dense(64).initialize(sample=jnp.ones((1, 64))).save(tmp_path / "net")
    data = (tmp_path / "net").read_bytes()
    (tmp_path / "net").write_bytes(data[:-4096] + bytes(4096))
    found = interop.read(tmp_path / "net")
    with pytest.raises(
        kuai.errors.FileFormatError, match="the checksum of 'weight' does not match"
    ):
        found["weight"]


def write_shards(folder):
    folder.mkdir()
    names = list(ARRAYS)
    parts = {"model-1.safetensors": names[:2], "model-2.safetensors": names[2:]}
    for file, part in parts.items():
        safetensors.numpy.save_file({name: ARRAYS[name] for name in part}, folder / file)
    places = {name: file for file, part in parts.items() for name in part}
    content = {"metadata": {"total_size": 35}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("file", ["", "model.safetensors.index.json"])
def test_shards_are_read_through_their_index_or_their_folder(tmp_path, file):
    folder = write_shards(tmp_path / "net")
    weights = interop.read(folder / file)
    assert (list(weights), weights.metadata) == (list(ARRAYS), {"total_size": 35})
    for name, array in ARRAYS.items():
        assert weights[name].dtype == array.dtype
        np.testing.assert_array_equal(weights[name], array)


def test_shards_of_pytorch_are_read_too(tmp_path):
    for number in (1, 2):
        shutil.copy(GOLDENS / "torch" / "mlp.pt", tmp_path / f"pytorch_model-{number}.bin")
    places = {"0.weight": "pytorch_model-1.bin", "2.bias": "pytorch_model-2.bin"}
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    weights = interop.read(tmp_path)
    assert (weights.system, weights.shapes) == ("torch", {"0.weight": (7, 5), "2.bias": (3,)})


def test_a_folder_without_weights_says_what_was_looked_for(tmp_path):
    with pytest.raises(UnsupportedFileError, match="expected one set of weights in this folder"):
        interop.read(tmp_path)


# --- Keras ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("net", NETS)
def test_keras_names_come_back(net, ending):
    with np.load(GOLDENS / "keras" / f"{net}.npz") as told:
        theirs = {name.replace("|", "/"): told[name] for name in told}
    if net != "transformer":  # Keras puts the model's name before those of a Sequential
        theirs = {name.split("/", 1)[1]: array for name, array in theirs.items()}
    ours = arrays(GOLDENS / "keras" / f"{net}{ending}")
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


def test_the_old_h5_of_a_whole_model_is_read():
    with np.load(GOLDENS / "keras" / "convbn.npz") as told:
        theirs = {name.replace("|", "/"): told[name] for name in told}
    weights = interop.read(GOLDENS / "keras" / "convbn.h5")
    assert list(weights) == list(theirs)
    assert weights.metadata["config"]["class_name"] == "Sequential"
    for name, array in theirs.items():
        np.testing.assert_array_equal(weights[name], array)


def test_the_config_is_data_and_the_places_are_kept():
    metadata = interop.read(GOLDENS / "keras" / "convbn.keras").metadata
    assert metadata["paths"]["head/kernel"] == "layers/dense/vars/0"
    assert metadata["config"]["config"]["layers"][1]["class_name"] == "Conv2D"


def test_keras_names_of_wrapped_and_partial_layers():
    both = "layers/bidirectional/forward_layer/cell/vars"
    config = {"config": {"layers": [
        {"class_name": "Bidirectional", "config": {"name": "both"}},
        {"class_name": "BatchNormalization", "config": {"name": "norm", "center": False}},
        {"class_name": "Mine", "config": {"name": "mine"}},
        {"class_name": "Sequential", "config": {"name": "inner", "layers": [
            {"class_name": "Dense", "config": {"name": "head", "use_bias": False}}]}},
    ]}}  # fmt: skip
    names = {
        f"{both}/1": "both/forward_layer/cell/recurrent_kernel",
        "layers/batch_normalization/vars/0": "norm/gamma",
        "layers/batch_normalization/vars/1": "norm/moving_mean",
        "layers/batch_normalization/vars/2": "norm/moving_variance",
        "layers/mine/vars/0": "mine/0",
        "layers/sequential/layers/dense/vars/0": "inner/head/kernel",
    }
    paths = [f"{both}/0", *names, f"{both}/2"]
    found = recovered(paths, lambda group: None, config)
    assert {path: found[path] for path in names} == names


def test_keras_names_that_would_clash_stay_places():
    paths = ["layers/dense/vars/0", "layers/dense_1/vars/0"]
    assert recovered(paths, lambda group: "same", None) == {path: path for path in paths}


def test_bfloat16_and_booleans_in_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    half = np.arange(6).reshape(2, 3).astype(jnp.bfloat16)
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset("half", data=half).attrs["dtype"] = "bfloat16"
        file["mask"] = np.array([True, False])
        file["big"] = np.arange(3, dtype=">f8")
        file["scalar"] = np.float16(2.5)
        file["empty"] = np.zeros((0, 3), np.float32)
    found = arrays(tmp_path / "net.h5")
    assert {name: str(array.dtype) for name, array in found.items()} == {
        "half": "bfloat16", "mask": "bool", "big": "float64", "scalar": "float16",
        "empty": "float32",
    }  # fmt: skip
    np.testing.assert_array_equal(found["half"], half)
    np.testing.assert_array_equal(found["big"], np.arange(3))
    assert found["scalar"] == 2.5
    assert found["mask"].tolist() == [True, False]


def test_many_groups_and_long_lists_of_names(tmp_path):
    h5py = pytest.importorskip("h5py")
    names = [f"layer_{number:04d}" for number in range(300)]
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:150], names[150:]
        for number, name in enumerate(names):
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/w:0".encode()]
            group[f"{name}/w:0"] = np.full(2, number, np.float32)
    found = arrays(tmp_path / "net.h5")
    assert list(found) == [f"{name}/w" for name in names]
    assert found["layer_0299/w"].tolist() == [299, 299]


# --- Gluon ---------------------------------------------------------------------------------------


def test_gluon_dtypes_keep_their_values():
    found = arrays(GOLDENS / "gluon" / "dtypes.params")
    assert len(found) == 6
    for name, array in found.items():
        assert array.dtype == np.dtype(name)
        np.testing.assert_array_equal(array, np.arange(6).reshape(2, 3))


def test_gluon_sparse_arrays_are_filled_up():
    found = arrays(GOLDENS / "gluon" / "sparse.params")
    assert set(found) == {"default", "row_sparse", "csr"}
    for array in found.values():
        assert array.tolist() == [[0, 1, 0], [0, 0, 0], [2, 0, 3]]


def test_gluon_scalars_and_empty_arrays():
    found = arrays(GOLDENS / "gluon" / "np_shape.params")
    assert (found["scalar"].shape, float(found["scalar"])) == ((), 2.5)
    assert found["empty"].shape == (0, 3)


def test_gluon_arrays_without_names_are_numbered():
    found = arrays(GOLDENS / "gluon" / "list.params")
    assert (list(found), found["1"].tolist()) == (["0", "1"], [[0, 1], [2, 3]])


@pytest.mark.parametrize("version", [0, 1])
def test_gluon_layouts_before_v2(tmp_path, version):
    (tmp_path / "net").write_bytes(legacy_params(version))
    assert arrays(tmp_path / "net")["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_gluon_export_takes_its_order_from_the_symbol():
    path = GOLDENS / "gluon" / "convbn_export-0000.params"
    weights = interop.read(path, program=GOLDENS / "gluon" / "convbn_export-symbol.json")
    assert list(weights) == [
        "conv0_weight", "conv0_bias", "batchnorm0_gamma", "batchnorm0_beta",
        "batchnorm0_running_mean", "batchnorm0_running_var", "dense2_weight", "dense2_bias",
    ]  # fmt: skip
    stated = {"batchnorm0_running_mean", "batchnorm0_running_var"}
    assert set(weights.metadata["auxiliary"]) == stated
    plain = arrays(GOLDENS / "gluon" / "convbn.params")
    np.testing.assert_array_equal(weights["conv0_weight"], plain["0.weight"])


def test_a_symbol_of_another_net_is_refused():
    path, symbol = GOLDENS / "gluon" / "mlp.params", GOLDENS / "gluon" / "convbn_export-symbol.json"
    with pytest.raises(kuai.errors.FileFormatError, match=r"has no 0\.bias, 0\.weight"):
        interop.read(path, program=symbol)


# --- Paddle --------------------------------------------------------------------------------------


def test_paddle_ties_are_aliases():
    weights = interop.read(GOLDENS / "paddle" / "lstm.pdparams")
    assert weights.aliases["0.cell.weight_ih"] == "weight_ih_l0"
    assert len(weights.aliases) == 4
    assert weights.metadata["parameter_names"]["weight_ih_l0"]


def test_paddle_nested_tensors_and_bfloat16():
    nested = GOLDENS / "paddle" / "nested.pdparams"
    plain = arrays(GOLDENS / "paddle" / "mlp.pdparams")
    half = arrays(GOLDENS / "paddle" / "mlp_bfloat16.pdparams")
    for name, array in plain.items():
        np.testing.assert_array_equal(arrays(nested, key="net")[name], array)
        assert half[name].dtype == jnp.bfloat16
        np.testing.assert_array_equal(half[name].astype(np.float32), array)
    assert interop.read(nested).metadata == {"epoch": 3}


def test_paddle_arrays_split_for_their_size_are_joined(tmp_path):
    def piece(name, values):
        data = np.array(values, np.float32).tobytes()
        state = b"(K\1" + numbers((len(values),)) + dtype() + b"\x89C" + bytes([len(data)]) + data
        return word(name) + RECONSTRUCT + state + b"tb"

    told = b"}(" + word("OriginShape") + numbers((2, 2)) + word("slices") + b"]("
    told += word("w@@.0") + word("w@@.1") + b"eu"
    content = b"\x80\x04}(" + piece("w@@.0", [0, 1, 2]) + piece("w@@.1", [3])
    content += word("UnpackBigParamInfor@@") + b"}" + word("w") + told + b"su."
    (tmp_path / "net").write_bytes(content)
    assert arrays(tmp_path / "net")["w"].tolist() == [[0, 1], [2, 3]]


def test_paddle_parameters_without_a_program_are_numbered(tmp_path):
    path = shutil.copy(GOLDENS / "paddle" / "mlp_program.pdiparams", tmp_path / "alone.pdiparams")
    assert interop.read(path).shapes == {"0": (7,), "1": (5, 7), "2": (3,), "3": (7, 3)}


def test_a_state_that_paddle_does_not_keep_is_no_array_of_its_program(tmp_path):
    weights = interop.read(GOLDENS / "paddle" / "lstm_program.pdiparams")
    assert list(weights) == [f"lstm_cell_0.{end}" for end in ("b_0", "b_1", "w_0", "w_1")]
    path = Path(shutil.copy(GOLDENS / "paddle" / "lstm_program.pdiparams", tmp_path))
    program = (GOLDENS / "paddle" / "lstm_program.json").read_text()
    for kept, message in (("[1,", "4 arrays are not the 5 parameters"), ("[2,", "not told as Pad")):
        (tmp_path / "lstm_program.json").write_text(program.replace('"OA":[0,', f'"OA":{kept}'))
        with pytest.raises(FileFormatError, match=message):
            interop.read(path)


# --- NumPy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_numpy_archives(tmp_path, save):
    told = {
        "c": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"), "scalar": np.float16(1.5), "text": np.array(["ab", "c"]),
        "empty": np.zeros((0, 2), np.float32), "mask": np.array([True, False]),
        "complex": np.array([1 + 2j]),
    }  # fmt: skip
    save(tmp_path / "net.npz", **told)
    found = arrays(tmp_path / "net.npz")
    assert list(found) == list(told)
    for name, array in told.items():
        assert found[name].dtype == np.asarray(array).dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], array)


# --- what a mapping of weights promises ----------------------------------------------------------


def test_arrays_are_read_only_and_read_when_asked_for(monkeypatch):
    path = GOLDENS / "torch" / "transformer.pt"
    reads = []
    real = Span.elements
    monkeypatch.setattr(Span, "elements", lambda s, d: reads.append(s.length) or real(s, d))
    weights = interop.read(path)
    name = "layer.self_attn.in_proj_weight"
    assert (weights.shapes[name], str(weights.dtypes[name])) == ((24, 8), "float32")
    headers, nbytes = len(reads), 24 * 8 * 4
    assert nbytes not in reads
    assert weights[name].nbytes == nbytes
    assert reads[headers:] == [nbytes]
    with pytest.raises(ValueError, match="read-only"):
        weights[name][0, 0] = 1


MAPPED = ["torch/mlp.pt", "gluon/mlp.params", "keras/mlp.keras", "paddle/mlp.pdparams"]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("file", MAPPED)
def test_a_mapped_array_is_the_file_and_another_is_a_copy(file, mapped, tmp_path):
    path = tmp_path / "net"
    data = (GOLDENS / file).read_bytes()
    path.write_bytes(data)
    weights = interop.read(path, mapped=mapped)
    array = weights[next(iter(weights))]
    raw = array.tobytes()
    with path.open("r+b") as open_file:
        open_file.write(data.replace(raw, bytes(len(raw))))
    assert array.any() != mapped


def test_a_name_that_is_not_there_is_told_with_near_ones():
    weights = interop.read(GOLDENS / "torch" / "mlp.pt")
    with pytest.raises(NoArrayNamedError, match=r"no array is named '0\.weigth'; did you mean 0"):
        weights["0.weigth"]
    assert weights.get("0.weigth") is None
    assert "0.weight" in weights


def test_what_a_mapping_shows_of_itself():
    weights = interop.read(GOLDENS / "torch" / "views.pt")
    shapes = weights.shapes
    counted = sum(math.prod(shape) for name, shape in shapes.items() if name != "tied")
    assert weights.nbytes == 4 * counted
    assert repr(weights) == f"Weights({weights.path!r}, PyTorch: 8 arrays, {4 * counted} bytes)"


@pytest.mark.parametrize(
    ("file", "options", "text"),
    [
        ("gluon/mlp.params", {"key": "a"}, "key='a' means nothing for a MXNet/Gluon parameter fil"),
        (
            "torch/mlp.pt",
            {"program": "a"},
            "program='a' means nothing for a PyTorch file, only for",
        ),
    ],
)
def test_options_that_mean_nothing_are_refused(file, options, text):
    with pytest.raises(ArgumentError, match=text):
        interop.read(GOLDENS / file, **options)


def test_a_path_that_is_none():
    with pytest.raises(ArgumentError, match="path: expected text or a pathlib"):
        interop.read(7)


def test_arrays_in_place_of_a_path_are_not_printed():
    with pytest.raises(ArgumentError) as error:
        interop.read({"weight": np.ones((2, 3))})
    assert str(error.value) == (
        "path: expected text or a pathlib.Path, got a value of type dict; give the file's name, "
        "such as 'net.safetensors'; arrays that stand in no file are saved first, as with "
        "torch.save"
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("gluon/convbn_export-symbol.json", "net of Gluon alone, .*in the .params beside it"),
        ("paddle/mlp_program.json", "net of Paddle alone, .*in the .pdiparams beside it"),
    ],
)
def test_a_program_says_where_its_weights_are(file, text):
    with pytest.raises(UnsupportedFileError, match=text):
        interop.read(GOLDENS / file)
