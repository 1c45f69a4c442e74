"""Saving and loading: exact, tied or not, before shapes are known, and all or nothing."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import files, nn
from kuai.errors import (
    ArgumentError,
    CheckpointError,
    DeferredInitError,
    FileAccessError,
    FileFormatError,
)


def mlp(*units):
    return nn.Sequential(*[nn.Dense(n) for n in units])


def values(net):
    return {path: np.asarray(holder.array) for path, holder in net.named_holders()}


def same(left, right):
    return left.keys() == right.keys() and all(
        left[k].dtype == right[k].dtype and left[k].tobytes() == right[k].tobytes() for k in left
    )


def ready(net, width=3):
    return net.initialize(sample=jnp.ones((1, width)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


class Everything(kuai.Block):
    def __init__(self):
        self.dense = nn.Dense(2)
        self.half = kuai.Parameter(jnp.array([1.5, float("nan"), -float("inf")], jnp.bfloat16))
        self.table = np.arange(4)
        self.flags = {"on": [np.array([True, False])]}
        self.count = kuai.State(3)
        self.scratch = kuai.State(7, persistent=False)
        self.empty = np.zeros((0, 2), np.float32)

    def forward(self, x):
        return self.dense(x)


def test_every_kind_of_array_comes_back_exactly(path):
    net = ready(Everything())
    net.save(path)
    other = Everything()
    other.half = jnp.zeros(3, jnp.bfloat16)
    other.scratch = jnp.asarray(9)
    assert other.load(path) is other
    kept = {name: value for name, value in values(other).items() if name != "scratch"}
    assert same(kept, {name: value for name, value in values(net).items() if name != "scratch"})
    assert int(other.scratch) == 9
    assert "scratch" not in files.read_arrays(path)[0]


def test_loading_settles_shapes(path):
    net = ready(mlp(4, 2), width=5)
    net.save(path)
    fresh = mlp(4, 2).load(path)
    assert fresh[0].weight.shape == (5, 4)
    x = jnp.ones((2, 5))
    np.testing.assert_array_equal(fresh(x), net(x))


def test_saving_needs_values(path):
    with pytest.raises(
        DeferredInitError, match=r"save: 0.weight, 0.bias of Sequential have no val"
    ):
        mlp(2).save(path)
    assert not path.exists()


class Pair(kuai.Block):
    """Two tables, tied or not."""

    def __init__(self, tied):
        self.a = nn.Embedding(3, 2)
        self.b = nn.Embedding(3, 2)
        if tied:
            self.b.weight = self.a.params.weight


def test_tied_arrays_are_stored_once_with_aliases(path):
    Pair(True).initialize().save(path)
    arrays, metadata = files.read_arrays(path)
    assert [*arrays] == ["a.weight"]
    assert json.loads(metadata["kuai.aliases"]) == {"b.weight": "a.weight"}


def test_an_untied_net_loads_a_tied_file_and_the_reverse(path):
    tied = Pair(True).initialize()
    tied.save(path)
    untied = Pair(False).load(path)
    np.testing.assert_array_equal(untied.b.weight, tied.a.weight)
    assert untied.a.params.weight is not untied.b.params.weight
    untied.save(path)
    again = Pair(True).load(path)
    np.testing.assert_array_equal(again.b.weight, tied.a.weight)


def test_a_tied_net_does_not_choose_between_unequal_arrays(path):
    Pair(False).initialize().save(path)
    net = Pair(True).initialize(seed=5)
    before = values(net)
    message = r"a.weight: tied here, but a.weight and b.weight differ in the file; untie it"
    with pytest.raises(CheckpointError, match=message):
        net.load(path)
    assert same(values(net), before)


def test_shared_blocks_load_where_they_are_not_shared_and_the_reverse(path):
    shared = ready(kuai.replicate(nn.Dense(3), 3, share=True))
    shared.save(path)
    apart = mlp(3, 3, 3).load(path)
    np.testing.assert_array_equal(apart[2].weight, shared[0].weight)
    apart.save(path)
    again = kuai.replicate(nn.Dense(3), 3, share=True).load(path)
    np.testing.assert_array_equal(again[1].weight, shared[0].weight)


def test_everything_that_does_not_fit_is_said_at_once(path):
    files.write_arrays(
        path,
        {
            "0.weight": np.zeros((3, 5), np.float32),
            "0.bias": np.zeros(4, np.int32),
            "1.wieght": np.zeros((4, 2), np.float32),
            "extra": np.zeros(1, np.float32),
            "1.bias": np.ones(2, np.float32),
        },
    )
    net = ready(mlp(4, 2))
    before = values(net)
    with pytest.raises(CheckpointError) as caught:
        net.load(path)
    assert str(caught.value) == (
        f"{path} does not fit Sequential; nothing was changed.\n"
        "Arrays that differ:\n"
        "  0.weight: expected (3, 4) float32, got (3, 5) float32\n"
        "  0.bias: expected (4,) float32, got (4,) int32\n"
        "Expected, and not in the file:\n"
        "  1.weight (near: 1.wieght)\n"
        "In the file, and not expected:\n"
        "  1.wieght (near: 1.weight)\n"
        "  extra"
    )
    with pytest.raises(CheckpointError, match="Arrays that differ") as caught:
        net.load(path, strict=False)
    assert "1.wieght" not in str(caught.value)
    assert same(values(net), before)


def test_strict_false_takes_what_fits(path):
    ready(mlp(4, 2)).save(path)
    source = mlp(4, 2).load(path)
    net = nn.Sequential(nn.Dense(4), ("head", nn.Dense(7)))
    with pytest.raises(
        CheckpointError, match=r"load\(path, strict=False\) takes the names that fit"
    ):
        net.load(path)
    assert net[0].params.weight.shape == (None, 4)
    net.load(path, strict=False)
    np.testing.assert_array_equal(net[0].weight, source[0].weight)
    assert not net.head.params.weight.ready
    assert net(jnp.ones((1, 3))).shape == (1, 7)


def test_kinds_of_dtype_are_kept_and_widths_cast(path):
    files.write_arrays(path, {"weight": np.full((3, 1), 1 / 3), "bias": np.zeros(1)})
    net = nn.Dense(1, dtype=jnp.bfloat16).load(path)
    assert net.weight.dtype == jnp.bfloat16
    assert float(net.weight[0, 0]) == float(jnp.bfloat16(1 / 3))
    counter = kuai.Block()
    counter.count = kuai.State(0)
    files.write_arrays(path, {"count": np.array(2**40)})
    with pytest.raises(CheckpointError, match=r"count: expected \(\) int32, got \(\) int64"):
        counter.load(path)


def test_a_compiled_net_uses_what_was_loaded(path):
    net = ready(mlp(2)).hybridize()
    net(jnp.ones((1, 3)))
    files.write_arrays(
        path, {"0.weight": np.ones((3, 2), np.float32), "0.bias": np.ones(2, np.float32)}
    )
    assert net.load(path)(jnp.ones((1, 3))).tolist() == [[4, 4]]


def test_saving_again_replaces_the_file_whole(path):
    net = ready(mlp(2))
    net.save(path)
    net[0].bias = jnp.ones(2)
    net.save(path)
    assert mlp(2).load(path)[0].bias.tolist() == [1, 1]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_files_that_cannot_be_read_or_written(path, tmp_path):
    net = ready(mlp(2))
    before = values(net)
    with pytest.raises(FileAccessError):
        net.save(tmp_path / "no" / "folder.safetensors")
    with pytest.raises(FileNotFoundError):
        net.load(path)
    net.save(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(FileFormatError):
        net.load(path)
    path.write_text("not weights")
    with pytest.raises(FileFormatError, match="expected a file of weights"):
        net.load(path)
    assert same(values(net), before)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(FileAccessError):
        ready(mlp(2)).save(tmp_path / "taken" / "net.safetensors")
    assert (tmp_path / "taken").read_text() == ""


@pytest.mark.parametrize("aliases", ["{", "[1]", '{"a": 1}', "[" * 10_000])
def test_damaged_aliases_are_a_format_error(path, aliases):
    files.write_arrays(path, {"bias": np.zeros(1, np.float32)}, {"kuai.aliases": aliases})
    with pytest.raises(FileFormatError, match="expected the aliases of tied arrays as a JSON obje"):
        nn.Dense(1).load(path)


def test_aliases_in_a_circle_end(path):
    aliases = json.dumps({"weight": "bias.x", "bias": "weight"})
    files.write_arrays(path, {"other": np.zeros(1, np.float32)}, {"kuai.aliases": aliases})
    with pytest.raises(CheckpointError, match="Expected, and not in the file"):
        nn.Dense(1).load(path)


@pytest.mark.parametrize("name", ["net.pt", "net.weights.h5", "net.pdparams", "net.params"])
def test_a_name_of_another_system_is_not_given_to_a_file_of_kuai(name, tmp_path):
    net = nn.Dense(2).initialize(sample=jnp.ones((1, 3)))
    with pytest.raises(ArgumentError, match=r"give system='\w+', or a name that ends in .safeten"):
        net.save(tmp_path / name)
    assert not (tmp_path / name).exists()
