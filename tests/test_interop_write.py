"""Weights written for other systems: read back as they were, and loaded by the systems."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import tracemalloc
import zipfile
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
import pytest

from kuai import interop
from kuai.errors import ArgumentError, DtypeError, FileAccessError, MissingExtraError
from kuai.interop.readers.pytorch_values import DTYPES
from kuai.interop.writers import zips as writing_zips
from kuai.interop.writers.gluon import write_gluon
from kuai.interop.writers.keras import write_keras_archive, write_keras_weights
from kuai.interop.writers.paddle import write_paddle
from kuai.interop.writers.pytorch import write_pytorch
from tests.real_systems import run

WHOLE = ("bool", "uint8", "int8", "int32", "int64")
FLOATS = ("float16", "bfloat16", "float32", "float64")
KINDS = {
    "torch": tuple(DTYPES),
    "paddle": (*WHOLE, *FLOATS, "int16", "complex64", "complex128"),
    "gluon": (*WHOLE, *FLOATS),
    "keras": (*WHOLE, *FLOATS, "int16", "uint16", "uint32", "uint64"),
}
WRITERS = {"torch": write_pytorch, "paddle": write_paddle, "gluon": write_gluon}
GROUP = "layers/mine/vars"


def keras_writer(path, arrays, aliases=()):
    write_keras_weights(path, {GROUP: [np.asarray(array) for array in arrays.values()]})


ALL = {**WRITERS, "keras": keras_writer}
systems = pytest.mark.parametrize("system", WRITERS)
all_systems = pytest.mark.parametrize("system", ALL)


def of_every_dtype(system):
    """Two arrays of each dtype, one of them a transposed view."""
    numbers = np.arange(6).reshape(2, 3)
    found = {}
    for kind in KINDS[system]:
        array = numbers.astype(np.dtype(getattr(jnp, kind, kind)))
        found[kind] = array * 1j if kind.startswith("complex") else array
        found[f"{kind}.T"] = found[kind].T
    return found


def assert_same(found, told):
    assert found.dtype == told.dtype
    assert found.shape == told.shape
    assert found.tobytes() == np.ascontiguousarray(told).tobytes()


# --- read back by kuai ---------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [False, True])
@all_systems
def test_every_dtype_comes_back(system, mapped, tmp_path):
    told = of_every_dtype(system)
    ALL[system](tmp_path / "net", told)
    found = interop.read(tmp_path / "net", mapped=mapped)
    assert found.system == system
    assert len(found) == len(told)
    for name, array in zip(found, told.values(), strict=True):
        assert_same(found[name], array)


@all_systems
def test_scalars_and_empty_arrays_come_back(system, tmp_path):
    told = {"scalar": np.float32(2.5), "none": np.zeros((0, 3), np.float32),
            "inner": np.zeros((2, 0), np.int64), "last": np.ones(3, np.float32)}  # fmt: skip
    ALL[system](tmp_path / "net", told)
    found = interop.read(tmp_path / "net")
    for name, array in zip(found, told.values(), strict=True):
        assert_same(found[name], np.asarray(array))


@systems
def test_odd_names_come_back(system, tmp_path):
    names = [
        "Gewicht ß 重み 🎲",
        "two words",
        " ",
        "a/b\\c:d",
        "x" * 1000,
        "line\nbreak",
        "'\"",
        "0",
    ]
    told = {name: np.full(2, index, np.float32) for index, name in enumerate(names)}
    WRITERS[system](tmp_path / "net", told)
    found = interop.read(tmp_path / "net")
    assert list(found) == names
    for name, array in told.items():
        assert_same(found[name], array)


@systems
def test_aliases_have_the_array_of_their_first_name(system, tmp_path):
    told = {"first": np.arange(4.0), "other": np.zeros(2)}
    WRITERS[system](tmp_path / "net", told, {"tied": "first", "again": "first"})
    found = interop.read(tmp_path / "net")
    assert list(found) == ["first", "other", "tied", "again"]
    assert_same(found["again"], told["first"])
    shared = {} if system == "gluon" else {"tied": "first", "again": "first"}
    assert found.aliases == shared


@systems
def test_weights_that_were_read_are_written_as_they_are(system, tmp_path):
    write_pytorch(tmp_path / "one", {"a": np.ones(2), "b": np.zeros(2)}, {"c": "b"})
    one = interop.read(tmp_path / "one")
    WRITERS[system](tmp_path / "two", one, one.aliases)
    two = interop.read(tmp_path / "two")
    assert list(two) == ["a", "b", "c"]
    assert two["c"].tolist() == [0, 0]


@systems
def test_a_net_without_parameters(system, tmp_path):
    WRITERS[system](tmp_path / "net", {})
    assert len(interop.read(tmp_path / "net")) == 0


@all_systems
def test_numbers_of_the_other_byte_order_come_back(system, tmp_path):
    ALL[system](tmp_path / "net", {"w": np.arange(3, dtype=">f4")})
    (found,) = interop.read(tmp_path / "net").values()
    assert_same(found, np.arange(3, dtype=np.float32))


@all_systems
def test_the_same_arrays_give_the_same_bytes(system, tmp_path):
    told = of_every_dtype(system)
    for file in ("one", "two"):
        ALL[system](tmp_path / file, told)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


# --- one array at a time -------------------------------------------------------------------------


class Lazy(Mapping):
    """Arrays that exist only while somebody holds them."""

    def __init__(self, count, nbytes):
        self.names, self.nbytes, self.asked = [str(i) for i in range(count)], nbytes, []

    def __getitem__(self, name):
        self.asked.append(name)
        return np.ones(self.nbytes, np.uint8)

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)

    def values(self):  # a lazy sequence, for groups of Keras
        return [self[name] for name in self.names]


def peak(write):
    tracemalloc.start()
    try:
        write()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@systems
def test_one_array_is_held_at_a_time_and_asked_for_once(system, tmp_path):
    arrays = Lazy(20, 2**20)
    assert peak(lambda: WRITERS[system](tmp_path / "net", arrays)) < 3 * 2**20
    assert arrays.asked == arrays.names


def test_keras_holds_one_array_at_a_time(tmp_path):
    class Row(Lazy):
        def __getitem__(self, index):
            return np.ones(self.nbytes, np.uint8)

    groups = {"layers/mine/vars": Row(20, 2**20)}
    assert peak(lambda: write_keras_weights(tmp_path / "net", groups)) < 3 * 2**20
    assert peak(lambda: write_keras_archive(tmp_path / "net", {}, groups)) < 4 * 2**20


# --- zip -----------------------------------------------------------------------------------------


def starts(path):
    """Name of a member → where its bytes begin."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        found = {}
        for info in archive.infolist():
            file.seek(info.header_offset + 26)
            lengths = file.read(4)
            found[info.filename] = (
                info.header_offset
                + 30
                + sum(int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2))
            )
        return found


def assert_pytorch_file_is_sound(path, told):
    data = {name: at for name, at in starts(path).items() if "/data/" in name}
    assert len(data) == len(told)
    assert all(at % 64 == 0 for at in data.values())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    found = interop.read(path)
    for name, array in told.items():
        assert_same(found[name], array)


def test_pytorch_arrays_begin_at_multiples_of_64_bytes(tmp_path):
    told = {str(n): np.arange(n, dtype=np.uint8) for n in range(130)}
    write_pytorch(tmp_path / "net.pt", told)
    assert_pytorch_file_is_sound(tmp_path / "net.pt", told)


def test_sizes_of_64_bits(tmp_path, monkeypatch):
    """As if 4 GB were a kilobyte: the long fields, their alignment, and readers of both."""
    monkeypatch.setattr(writing_zips, "_LARGE", 500)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    told = {str(n): np.arange(n, dtype=np.float32) for n in (0, 100, 200, 300, 1)}
    write_pytorch(tmp_path / "net.pt", told)
    assert b"PK\6\6" in (tmp_path / "net.pt").read_bytes()
    assert_pytorch_file_is_sound(tmp_path / "net.pt", told)
    groups = {"layers/dense/vars": list(told.values())}
    write_keras_archive(tmp_path / "net.keras", {"class_name": "Sequential"}, groups)
    for found, array in zip(
        interop.read(tmp_path / "net.keras").values(), told.values(), strict=True
    ):
        assert_same(found, array)
    run("torch", EQUAL["torch"], tmp_path / "net.pt", described(tmp_path / "told.json", told))


@pytest.mark.slow
def test_a_file_of_more_than_4_gigabytes(tmp_path):
    class Zeros(Lazy):
        def __getitem__(self, name):
            return np.zeros(self.nbytes, np.uint8)

    write_pytorch(tmp_path / "net.pt", Zeros(5, 2**30))
    found = interop.read(tmp_path / "net.pt", mapped=True)
    assert found.nbytes == 5 * 2**30
    assert not found["4"][-1]
    script = """
        import sys, torch
        found = torch.load(sys.argv[1], weights_only=True, mmap=True)
        assert [t.shape for t in found.values()] == [(2**30,)] * 5
        assert found["4"][-1] == 0
    """
    run("torch", script, tmp_path / "net.pt")


# --- Keras's groups ------------------------------------------------------------------------------


def test_keras_names_are_written_where_keras_writes_them(tmp_path):
    groups = {
        "layers/dense/vars": [np.ones((3, 2), np.float32), np.zeros(2, np.float32)],
        "layers/flatten/vars": [],
        "layers/dense_1/vars": [np.ones((2, 1), np.float32)],
        "vars": [],
    }
    names = {"layers/dense/vars": "wide", "layers/dense_1/vars": "head", "vars": "net"}
    write_keras_weights(tmp_path / "net.weights.h5", groups, names)
    found = interop.read(tmp_path / "net.weights.h5")
    assert list(found) == ["wide/kernel", "wide/bias", "head/kernel"]
    assert found.metadata["paths"]["head/kernel"] == "layers/dense_1/vars/0"


def test_a_keras_archive_has_its_parts(tmp_path):
    config = {"class_name": "Sequential", "config": {"name": "ß", "layers": []}}
    write_keras_archive(tmp_path / "net.keras", config, {GROUP: [np.ones(2)]})
    write_keras_archive(tmp_path / "again.keras", config, {GROUP: [np.ones(2)]})
    assert (tmp_path / "net.keras").read_bytes() == (tmp_path / "again.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert json.loads(archive.read("metadata.json"))["keras_version"]
    assert interop.read(tmp_path / "net.keras").metadata["config"] == config


@pytest.mark.parametrize("group", ["", "/layers", "layers//vars", "layers/../vars", "a\0b", "a/0"])
def test_a_path_that_is_no_group_is_refused(group, tmp_path):
    text = f"expected the path of a group such as 'layers/dense/vars', got {re.escape(repr(group))}"
    with pytest.raises(ArgumentError, match=text):
        write_keras_weights(tmp_path / "net", {"a": [np.ones(2)], group: []})


def test_a_configuration_that_is_not_json_is_refused(tmp_path):
    text = "config: expected what JSON can write.*Object of type set is not JSON serializable"
    with pytest.raises(ArgumentError, match=text):
        write_keras_archive(tmp_path / "net.keras", {"config": {1, 2}}, {})


@pytest.mark.parametrize("write", [
    lambda path: write_keras_weights(path, {}), lambda path: write_keras_archive(path, {}, {}),
])  # fmt: skip
def test_without_h5py_the_extra_is_named(write, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    text = r'Keras files need h5py: pip install "kuai-nn\[keras-files\]"'
    with pytest.raises(MissingExtraError, match=text):
        write(tmp_path / "net")
    assert not list(tmp_path.iterdir())


# --- what is refused -----------------------------------------------------------------------------

OTHERS = {
    "torch": ("float8_e4m3b11fnuz", "int4", "U3", "O"),
    "paddle": ("uint16", "uint32", "uint64", "float8_e4m3fn", "U3", "O"),
    "gluon": ("complex64", "float8_e5m2", "int16", "uint16", "uint64"),
    "keras": ("complex64", "float8_e4m3fn", "U3", "O"),
}


@pytest.mark.parametrize(("system", "kind"), [(s, k) for s, ks in OTHERS.items() for k in ks])
def test_a_dtype_that_the_system_lacks_is_named(system, kind, tmp_path):
    array = np.zeros(2, np.dtype(getattr(jnp, kind, kind)))
    (tmp_path / "net").write_text("old")
    with pytest.raises(DtypeError) as caught:
        ALL[system](tmp_path / "net", {"w": array})
    name = f"{GROUP}/0" if system == "keras" else "w"
    system = {"torch": "PyTorch", "gluon": "MXNet"}.get(system, system.capitalize())
    begin = f"{tmp_path / 'net'}: {name}: expected a dtype that {system}'s files hold (float"
    begin = begin.removesuffix("float") if system == "PyTorch" else begin
    assert str(caught.value).startswith(begin)
    assert str(caught.value).endswith(f", got {array.dtype}; convert the array first")
    assert (tmp_path / "net").read_text() == "old"


@systems
@pytest.mark.parametrize("name", ["\ud800", 3, None])
def test_a_name_that_is_no_text_is_refused(system, name, tmp_path):
    text = "the name of an array must be text that UTF-8 can write, got "
    with pytest.raises(ArgumentError, match=text + re.escape(repr(name))):
        WRITERS[system](tmp_path / "net", {name: np.ones(2)})


@systems
@pytest.mark.parametrize("aliases", [{"b": "c"}, {"b": "b"}, {"b": "a", "c": "b"}, {"a": "a"}])
def test_an_alias_of_no_array_is_refused(system, aliases, tmp_path):
    with pytest.raises(ArgumentError, match=r"the alias '[abc]': expected the name of an array"):
        WRITERS[system](tmp_path / "net", {"a": np.ones(2)}, aliases)


@pytest.mark.parametrize("name", ["StructuredToParameterName@@", "UnpackBigParamInfor@@"])
def test_names_that_paddle_keeps_are_refused(name, tmp_path):
    with pytest.raises(ArgumentError, match=f"cannot be named '{name}': Paddle keeps that name"):
        write_paddle(tmp_path / "net", {"a": np.ones(2)}, {name: "a"})


# --- whatever fails, the old file stays ----------------------------------------------------------


class Breaking(dict):
    """Its second array cannot be had."""

    def __getitem__(self, name):
        if name == "b":
            raise KeyboardInterrupt
        return super().__getitem__(name)

    def values(self):
        return [self[name] for name in self]


@systems
def test_a_failure_leaves_the_old_file(system, tmp_path):
    (tmp_path / "net").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        WRITERS[system](tmp_path / "net", Breaking(a=np.ones(2), b=np.ones(2)))
    assert (tmp_path / "net").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("write", [
    lambda path, group: write_keras_weights(path, {GROUP: group}),
    lambda path, group: write_keras_archive(path, {}, {GROUP: group}),
])  # fmt: skip
def test_a_failure_leaves_the_old_file_of_keras(write, tmp_path):
    class Row(list):
        def __getitem__(self, index):
            raise KeyboardInterrupt

    (tmp_path / "net").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "net", Row([1]))
    assert (tmp_path / "net").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_source_that_is_gone_is_named_itself(tmp_path):
    write_pytorch(tmp_path / "one", {"a": np.ones(2)})
    one = interop.read(tmp_path / "one")
    (tmp_path / "one").unlink()
    with pytest.raises(FileAccessError, match="one: no such file"):
        write_gluon(tmp_path / "two", one)


FULL = """
    import resource, signal, sys
    import numpy as np
    from kuai.errors import FileAccessError
    from kuai.interop.writers import keras as writing_keras, paddle as writing_paddle
    from kuai.interop.writers import gluon as writing_gluon, pytorch as writing_pytorch

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    arrays = {str(n): np.ones(2**16) for n in range(4)}
    groups = {"layers/mine/vars": list(arrays.values())}
    writers = {
        "torch": lambda path: writing_pytorch.write_pytorch(path, arrays),
        "paddle": lambda path: writing_paddle.write_paddle(path, arrays),
        "gluon": lambda path: writing_gluon.write_gluon(path, arrays),
        "keras": lambda path: writing_keras.write_keras_weights(path, groups),
        "archive": lambda path: writing_keras.write_keras_archive(path, {}, groups),
    }
    try:
        writers[sys.argv[1]](sys.argv[2])
    except FileAccessError as error:
        assert "could not be written" in str(error), error
    else:
        raise AssertionError("it was written")
"""


@pytest.mark.parametrize("system", [*ALL, "archive"])
def test_a_full_disk_leaves_the_old_file(system, tmp_path):
    (tmp_path / "net").write_text("old")
    command = [sys.executable, "-c", textwrap.dedent(FULL), system, str(tmp_path / "net")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "net").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


# --- the systems themselves ----------------------------------------------------------------------


def described(path, arrays):
    """A JSON file that tells a script what each array shall be: dtype, shape, bytes."""
    told = {
        name: [str(a.dtype), list(a.shape), np.ascontiguousarray(a).tobytes().hex()]
        for name, a in ((name, np.asarray(array)) for name, array in arrays.items())
    }
    path.write_text(json.dumps(told))
    return path


TOLD = """
    import json, sys
    with open(sys.argv[2]) as file:
        told = json.load(file)
"""
EQUAL = {
    "torch": TOLD + """
    import torch
    for mmap in (False, True):
        found = torch.load(sys.argv[1], weights_only=True, mmap=mmap)
        assert list(found) == list(told)
        for name, (dtype, shape, data) in told.items():
            tensor = found[name]
            assert (tensor.dtype, list(tensor.shape)) == (getattr(torch, dtype), shape)
            assert tensor.stride() == torch.empty(shape).stride()
            row = tensor.reshape(-1).view(torch.uint8) if tensor.numel() else tensor.reshape(-1)
            assert bytes(row.tolist()).hex() == data, name
    """,
    "paddle": TOLD + """
    import numpy as np, paddle
    found = paddle.load(sys.argv[1])
    assert list(found) == list(told)
    for name, (dtype, shape, data) in told.items():
        assert (found[name].dtype, found[name].shape) == (getattr(paddle, dtype), shape)
        assert np.array(found[name]).tobytes().hex() == data, name
    """,
    "gluon": TOLD + """
    import mxnet as mx, numpy as np
    with mx.util.np_shape(bool(sys.argv[3:])):
        found = mx.nd.load(sys.argv[1])
        assert list(found) == list(told)
        for name, (dtype, shape, data) in told.items():
            array = found[name].asnumpy()
            kind = np.dtype([("bfloat16", np.uint16)]) if dtype == "bfloat16" else np.dtype(dtype)
            assert (array.dtype, list(array.shape)) == (kind, shape), name
            assert array.tobytes().hex() == data, name
    """,
}  # fmt: skip


@systems
def test_the_system_loads_every_dtype(system, tmp_path):
    told = of_every_dtype(system)
    WRITERS[system](tmp_path / "net", told)
    run(system, EQUAL[system], tmp_path / "net", described(tmp_path / "told.json", told))


@systems
def test_the_system_loads_scalars_empty_arrays_and_odd_names(system, tmp_path):
    told = {"scalar": np.float32(2.5), "empty": np.zeros((0, 3), np.float32),
            "inner": np.zeros((2, 0), np.int64), "ß 重み/x y": np.ones((2, 1)),
            "x" * 300: np.ones(3, np.float32)}  # fmt: skip
    WRITERS[system](tmp_path / "net", told, {"tied": "scalar"})
    told["tied"] = told["scalar"]
    run(system, EQUAL[system], tmp_path / "net", described(tmp_path / "told.json", told), "np")


MLP = {
    "0.weight": np.arange(35, dtype=np.float32).reshape(7, 5),
    "0.bias": np.arange(7, dtype=np.float32),
    "2.weight": np.arange(21, dtype=np.float32).reshape(3, 7) - 10,
    "2.bias": np.arange(3, dtype=np.float32),
}


def test_a_net_of_pytorch_takes_its_state_dict_with_ties(tmp_path):
    script = """
        import sys, torch
        from torch import nn
        for mmap in (False, True):
            state = torch.load(sys.argv[1], weights_only=True, mmap=mmap)
            net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
            net.tied = net[0]
            tied, first = state["tied.weight"], state["0.weight"]
            assert tied.data_ptr() == first.data_ptr() and first.data_ptr() % 64 == 0
            assert tied.untyped_storage()._cdata == first.untyped_storage()._cdata
            net.load_state_dict(state, strict=True)
            assert net[2].weight.tolist() == state["2.weight"].tolist()
            assert not mmap or net.load_state_dict(state, strict=True, assign=True)
    """
    aliases = {"tied.weight": "0.weight", "tied.bias": "0.bias"}
    write_pytorch(tmp_path / "net.pt", MLP, aliases)
    run("torch", script, tmp_path / "net.pt")


def test_a_net_of_paddle_takes_its_state_dict(tmp_path):
    script = """
        import sys, paddle
        from paddle import nn
        state = paddle.load(sys.argv[1])
        net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3), nn.BatchNorm1D(3))
        missing, unexpected = net.set_state_dict(state)
        assert not unexpected and all(name.startswith("3.") for name in missing)
        for name, tensor in net.state_dict().items():
            assert name in missing or (tensor == state[name]).all()
        assert (state["0.bias"] == paddle.arange(7, dtype="float32")).all()
    """
    told = {k: v.T if "weight" in k else v for k, v in MLP.items()}
    write_paddle(tmp_path / "net.pdparams", told)
    run("paddle", script, tmp_path / "net.pdparams")


def test_numpy_1_unpickles_what_paddle_gets(tmp_path):
    """The environment of MXNet has an old NumPy; this one's is 2."""
    script = """
        import pickle, sys
        import numpy as np
        with open(sys.argv[1], "rb") as file:
            found = pickle.load(file, encoding="latin1")
        assert found["0.weight"].tolist() == np.arange(35).reshape(7, 5).tolist()
        assert found["tied"] is found["0.weight"] and found["half"].dtype == np.uint16
        print(np.__version__)
    """
    told = MLP | {"half": np.ones(3, jnp.bfloat16)}
    write_paddle(tmp_path / "net.pdparams", told, {"tied": "0.weight"})
    assert run("gluon", script, tmp_path / "net.pdparams").startswith("1.")
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    subprocess.run([*command, tmp_path / "net.pdparams"], check=True)


def test_a_net_of_gluon_takes_its_parameters(tmp_path):
    script = """
        import sys
        import mxnet as mx
        from mxnet.gluon import nn
        net = nn.HybridSequential()
        net.add(nn.Dense(7, activation="relu"), nn.BatchNorm(), nn.Dense(3))
        net.load_parameters(sys.argv[1])
        assert net[0].bias.data().asnumpy().tolist() == list(range(7))
        told = mx.nd.load(sys.argv[1])["2.weight"].asnumpy()
        assert net[2].weight.data().asnumpy().tolist() == told.tolist()
        assert net(mx.nd.ones((2, 5))).shape == (2, 3)
    """
    norm = {f"1.{name}": np.ones(7, np.float32)
            for name in ("gamma", "beta", "running_mean", "running_var")}  # fmt: skip
    write_gluon(tmp_path / "net.params", MLP | norm)
    run("gluon", script, tmp_path / "net.params")


KERAS = """
    import json, sys
    import keras, numpy as np
    from keras import layers
    def mlp():
        return keras.Sequential([keras.Input((5,)), layers.Dense(7, activation="relu"),
                                 layers.Dense(3)])
    def normed():
        return keras.Sequential([keras.Input((5,)), layers.Dense(7), layers.BatchNormalization(),
                                 layers.Dropout(0.5), layers.Dense(3)])
"""
GROUPS = {
    "mlp": {
        "layers/dense/vars": [MLP["0.weight"].T, MLP["0.bias"]],
        "layers/dense_1/vars": [MLP["2.weight"].T, MLP["2.bias"]],
    },
}
GROUPS["normed"] = {
    "layers/dense/vars": GROUPS["mlp"]["layers/dense/vars"],
    "layers/batch_normalization/vars": [np.full(7, n, np.float32) for n in range(1, 5)],
    "layers/dense_1/vars": GROUPS["mlp"]["layers/dense_1/vars"],
}


@pytest.mark.parametrize("net", GROUPS)
def test_nets_of_keras_load_their_weights(net, tmp_path):
    script = (
        KERAS
        + """
    net = globals()[sys.argv[2]]()
    net.load_weights(sys.argv[1])
    for name, (dtype, shape, data) in json.load(open(sys.argv[3])).items():
        found = np.asarray(net.weights[int(name)])
        assert (str(found.dtype), list(found.shape), found.tobytes().hex()) == (dtype, shape, data)
    """
    )
    path = tmp_path / "net.weights.h5"
    write_keras_weights(path, GROUPS[net], {"layers/dense/vars": "dense_17"})
    arrays = [array for group in GROUPS[net].values() for array in group]
    told = described(tmp_path / "told.json", {str(i): a for i, a in enumerate(arrays)})
    run("keras", script, path, net, told)


def layer(kind, **config):
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def test_keras_loads_a_model_of_which_all_was_written_by_hand(tmp_path):
    script = (
        KERAS
        + """
    net = keras.models.load_model(sys.argv[1])
    twin = mlp()
    twin.load_weights(sys.argv[1])
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    kernel, bias, last, offset = [np.asarray(w) for w in net.weights]
    np.testing.assert_allclose(net(x), np.maximum(x @ kernel + bias, 0) @ last + offset, rtol=1e-4)
    np.testing.assert_array_equal(net(x), twin(x))
    assert kernel.tolist() == np.arange(35).reshape(7, 5).T.tolist()
    assert net.layers[1].name == "head"
    """
    )
    layers = [
        layer("InputLayer", batch_shape=[None, 5], dtype="float32", name="input"),
        layer("Dense", name="wide", units=7, activation="relu"),
        layer("Dense", name="head", units=3),
    ]
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "net", "layers": layers},
        "build_config": {"input_shape": [None, 5]},
    }
    write_keras_archive(tmp_path / "net.keras", config, GROUPS["mlp"])
    run("keras", script, tmp_path / "net.keras")


def test_keras_loads_every_dtype(tmp_path):
    script = (
        TOLD
        + """
    import keras, numpy as np
    from keras import layers
    class Mine(layers.Layer):
        def build(self, shape):
            for dtype, shape, _ in told.values():
                self.add_weight(shape=shape, dtype=dtype, initializer="zeros", trainable=False)
    net = keras.Sequential([Mine()])
    net.build((2, 2))
    net.load_weights(sys.argv[1])
    for weight, (dtype, shape, data) in zip(net.weights, told.values()):
        found = np.asarray(weight)
        assert (str(found.dtype), found.tobytes().hex()) == (dtype, data)
    """
    )
    wide = ("float64", "int64", "uint64")  # JAX has them only when asked to
    told = {k: v for k, v in of_every_dtype("keras").items() if not k.startswith(wide)}
    told |= {"scalar": np.float32(2.5), "empty": np.zeros((0, 3), np.float32)}
    write_keras_weights(tmp_path / "net.weights.h5", {GROUP: list(told.values())})
    run("keras", script, tmp_path / "net.weights.h5", described(tmp_path / "told.json", told))
