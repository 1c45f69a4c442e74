"""`kuai convert`: from one system's file to another's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kuai import interop
from kuai.interop.writers.pytorch import write_pytorch
from tests.cli_helpers import caller, quiet_environment
from tests.fuzz.seeds import GOLDENS

NETS = """\
from kuai import nn


def mlp():
    return nn.Sequential(nn.Dense(7, activation="relu"), nn.Dense(3))


def convbn():
    conv = nn.Conv2d(4, 3, padding="same")
    return nn.Sequential(conv, nn.BatchNorm(), nn.ReLU(), nn.Flatten(), nn.Dense(2))
"""


@pytest.fixture
def kuai(tmp_path, monkeypatch, capsys):
    quiet_environment(monkeypatch, tmp_path)
    (tmp_path / "converted_nets.py").write_text(NETS)
    return caller(capsys)


ENDS = ("net.safetensors", "net.pt", "net.weights.h5", "net.pdparams", "net.params")


@pytest.mark.parametrize("source", ["gluon/mlp.params", "torch/mlp.pt", "keras/mlp.keras"])
def test_any_systems_file_becomes_any_others(kuai, tmp_path, source):
    reached = []
    given = GOLDENS / source
    for end in ENDS:  # each from the one before
        answer = kuai("convert", given, end, "--net", "converted_nets:mlp")
        assert (answer.code, answer.err) == (0, "")
        given = tmp_path / end
        reached.append(interop.read(given).system)
    assert reached == ["kuai", "torch", "keras", "paddle", "gluon"]
    kuai("convert", given, "again.pt", "--net", "converted_nets:mlp")
    first, last = interop.read(tmp_path / "net.pt"), interop.read(tmp_path / "again.pt")
    assert list(first) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(np.array_equal(first[name], last[name]) for name in first)


def test_it_tells_what_goes_where(kuai):
    words = ("convert", GOLDENS / "gluon" / "mlp.params", "net.pt", "--net", "converted_nets:mlp")
    lines = kuai(*words).out.splitlines()
    assert " ".join(lines[1].split()) == "0.weight (7, 5) → 0.weight (5, 7) transposed"
    assert lines[-1] == "net.pt (torch) is written"
    told = json.loads(kuai(*words, "--json").out)
    assert (told["from"], told["to"], told["written"]) == ("gluon", "torch", True)
    assert told["moves"][0]["our_shapes"] == [[5, 7]]


def test_a_dry_run_writes_nothing(kuai, tmp_path):
    answer = kuai("convert", GOLDENS / "torch" / "checkpoint.pt", "net.params", "--dry-run",
                  "--net", "converted_nets:mlp", "--key", "state_dict")  # fmt: skip
    assert answer.code == 0
    assert "is written" not in answer.out
    assert not (tmp_path / "net.params").exists()


def test_a_net_that_flattens_needs_a_shape(kuai):
    words = ("convert", GOLDENS / "gluon" / "convbn.params", "net.weights.h5")
    answer = kuai(*words, "--net", "converted_nets:convbn")
    assert answer.code == 1
    assert "sample: 4 (Dense) may follow a Flatten of a feature map" in answer.err
    assert "here, --shape gives the shape of one: --shape 28,28,1" in answer.err
    done = kuai(*words, "--net", "converted_nets:convbn", "--shape", "6,6,3")
    assert "3.weight (2, 144)" in done.out
    assert "transposed, rows reordered" in done.out


def test_a_map_says_what_goes_where(kuai, tmp_path):
    kuai("convert", GOLDENS / "torch" / "mlp.pt", "net.safetensors", "--net", "converted_nets:mlp")
    source = interop.read(GOLDENS / "torch" / "mlp.pt")
    arrays = {"head.weight": source["2.weight"], "head.bias": source["2.bias"],
              "body.weight": source["0.weight"], "body.bias": source["0.bias"],
              "steps": np.array(3)}  # fmt: skip
    write_pytorch(tmp_path / "named.pt", arrays, {})
    words = ("convert", "named.pt", "other.safetensors", "--net", "converted_nets:mlp")
    assert kuai(*words).code == 1
    assert kuai(*words, "--map", "body=0,head=1,steps=").code == 0
    assert "has 'haed', which matches no name" in kuai(*words, "--map", "body=0,haed=1").err
    found, expected = (interop.read(tmp_path / f"{n}.safetensors") for n in ("other", "net"))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("net.pt",), "--net: expected the net that the weights are of; give module:factory"),
        (("net.zip", "--net", "mlp"), "TARGET: expected a name that ends in one of .safetensors"),
        (("out.h5", "--net", "mlp"), ".bin, .weights.h5, .keras, .pdparams, .params, got 'out.h5'"),
        (("net.pt", "--net", "mlp", "--to", "mxnet"), "--to: expected one of kuai, torch, keras"),
        (("net.pt", "--net", "mlp", "--map", "a"), "--map: expected their=ours with commas"),
    ],
)
def test_wrong_usage(kuai, words, complaint):
    answer = kuai("convert", GOLDENS / "torch" / "mlp.pt", *words)
    assert answer.code == 2
    assert complaint in answer.err


def test_a_known_net_needs_no_shape_where_nothing_is_flattened(kuai):
    answer = kuai("convert", GOLDENS / "torch" / "mlp.pt", "net.params", "--net", "mlp",
                  "--hidden", 7, "--outputs", 3)  # fmt: skip
    assert (answer.code, answer.err) == (0, "")


def test_the_source_is_not_written_over(kuai, tmp_path):
    data = (GOLDENS / "torch" / "mlp.pt").read_bytes()
    (tmp_path / "net.pt").write_bytes(data)
    (tmp_path / "other.pt").symlink_to("net.pt")
    (tmp_path / "old.pt").write_bytes(b"old")
    for name in ("net.pt", "./net.pt", "other.pt"):
        answer = kuai("convert", "net.pt", name, "--net", "converted_nets:mlp")
        assert (answer.code, answer.out) == (2, "")
        assert f"TARGET: {name!r} is SOURCE itself, which would be lost" in answer.err
    assert (tmp_path / "net.pt").read_bytes() == data
    assert kuai("convert", "net.pt", "old.pt", "--net", "converted_nets:mlp").code == 0


def test_errors_name_the_flags_of_the_command_line(kuai, tmp_path):
    np.savez(tmp_path / "net.npz", weight=np.ones((2, 3), np.float32))
    answer = kuai("convert", "net.npz", "net.pt", "--net", "converted_nets:mlp")
    assert answer.code == 1
    assert "here, --source gives the system of SOURCE: --source torch" in answer.err
    answer = kuai("convert", GOLDENS / "torch" / "lstm.pt", "net.pt", "--net", "converted_nets:mlp")
    assert answer.code == 1
    assert "here, --map gives the mapping: --map encoder=net.0,old_head=" in answer.err


def test_a_wrong_shape_is_refused_and_nothing_written(kuai, tmp_path):
    words = ("convert", GOLDENS / "torch" / "convbn.pt", "net.params")
    answer = kuai(*words, "--net", "converted_nets:convbn", "--shape", "5,5,3")
    assert answer.code == 1
    assert (
        "4 (Dense): expected an input with 144 features on axis -1, got shape (1, 1" in answer.err
    )
    assert not (tmp_path / "net.params").exists()
