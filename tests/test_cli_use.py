"""`kuai eval`, `predict` and `show`: using a run, and trusting nothing that it says."""

from __future__ import annotations

import csv
import io
import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

import kuai as library
from kuai import nn
from kuai.cli import main
from tests.cli_helpers import SMALL, caller, quiet_environment, write_blobs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with data and a run, to copy."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as monkeypatch:
        quiet_environment(monkeypatch, folder)
        write_blobs(folder / "blobs.npz")
        words = ("--data", "blobs.npz", *SMALL, "--epochs", "30", "--out", "run", "--quiet")
        assert main(["train", *words]) == 0
    return folder


@pytest.fixture
def kuai(trained, monkeypatch, tmp_path, capsys):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    quiet_environment(monkeypatch, tmp_path)
    return caller(capsys)


@pytest.fixture
def bare(monkeypatch, tmp_path, capsys):
    """Without a run."""
    quiet_environment(monkeypatch, tmp_path)
    return caller(capsys)


def net_of(folder):
    return library.models.mlp((8,), 3).load(folder / "weights.safetensors")


def change(folder, **changes):
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# ---- eval


def test_eval_takes_the_part_that_was_held_out(kuai, tmp_path):
    trained = json.loads((tmp_path / "run" / "run.json").read_text())["results"]["scores"]
    for part in ("train", "validation", "test"):
        found = json.loads(kuai("eval", "run", "--part", part, "--json").out)
        assert found["part"] == part
        assert found["accuracy"] == trained[part]["accuracy"]
        np.testing.assert_allclose(found["loss"], trained[part]["loss"], rtol=1e-5)
    answer = kuai("eval", "run")
    assert answer.err == "blobs.npz: test, 12 examples\n"
    assert answer.out.splitlines()[1].split() == ["accuracy", "1.0000"]


def test_eval_of_other_data_takes_all_of_it(kuai, tmp_path):
    write_blobs(tmp_path / "other.npz", examples=21)
    found = json.loads(kuai("eval", "run/weights.safetensors", "--data", "other.npz", "--json").out)
    assert (found["part"], found["examples"]) == ("all", 21)
    data = np.load(tmp_path / "other.npz")
    expected = (np.asarray(net_of(tmp_path / "run")(data["x"])).argmax(-1) == data["y"]).mean()
    assert found["accuracy"] == expected


def test_eval_knows_labels_by_their_names(bare, tmp_path):
    points, names = np.eye(3).repeat(20, 0), np.repeat(["cat", "dog", "eel"], 20)
    np.savez(tmp_path / "animals.npz", x=points, y=names)
    words = ("--hidden", "8", "--lr", "0.05", "--epochs", "20", "--out", "run")
    assert bare("train", "--data", "animals.npz", *words).code == 0
    np.savez(tmp_path / "eels.npz", x=points[40:], y=names[40:])  # alone, "eel" would be class 0
    assert json.loads(bare("eval", "run", "--data", "eels.npz", "--json").out)["accuracy"] == 1.0
    np.savez(tmp_path / "fox.npz", x=points[:2], y=["fox", "dog"])
    answer = bare("eval", "run", "--data", "fox.npz")
    assert answer.code == 1
    assert "expected the classes that the net was trained on (cat, dog, eel), got fox" in answer.err


def test_eval_refuses_parts_of_data_that_has_none(kuai, tmp_path):
    write_blobs(tmp_path / "other.npz", examples=21)
    answer = kuai("eval", "run", "--data", "other.npz", "--part", "test")
    assert answer.code == 2
    assert "other.npz is not the data that the net was trained on" in answer.err


def test_eval_of_weights_that_stand_alone_wants_to_know_the_net(kuai, tmp_path):
    (tmp_path / "run" / "weights.safetensors").rename(tmp_path / "alone.safetensors")
    answer = kuai("eval", "alone.safetensors", "--data", "blobs.npz")
    assert answer.code == 2
    assert "say which net it belongs to: --net mlp" in answer.err
    words = ("--net", "mlp", "--hidden", "8", "--dropout", "0", "--json")
    found = kuai("eval", "alone.safetensors", "--data", "blobs.npz", *words)
    assert json.loads(found.out)["accuracy"] == 1.0
    assert "no weights.safetensors yet; kuai train --resume --out run" in kuai("eval", "run").err


# ---- what a run says is data


def test_a_run_cannot_make_anybody_import_code(kuai, tmp_path):
    (tmp_path / "trap.py").write_text("raise SystemExit('the trap was run')\n")
    change(tmp_path / "run", net={"net": "trap:make", "outputs": 3, "options": {}})
    for words in (("eval", "run"), ("show", "run"), ("predict", "run", "--data", "blobs.npz")):
        answer = kuai(*words)
        assert (answer.code, answer.out) == (2, "")
        assert "--net trap:make says that you want it to run" in answer.err
    answer = kuai("train", "--resume", "--out", "run")
    assert "--net trap:make says that you want it to run" in answer.err


def test_a_net_of_ones_own_is_used_when_it_is_named(bare, tmp_path):
    (tmp_path / "own_linear.py").write_text("from kuai import nn\n\nnet = lambda: nn.Dense(3)\n")
    write_blobs(tmp_path / "blobs.npz")
    words = ("--data", "blobs.npz", "--net", "own_linear:net")
    assert bare("train", *words, "--epochs", "1", "--out", "run").code == 0
    assert bare("eval", "run").code == 2
    assert bare("eval", "run", "--net", "own_linear:net").code == 0
    assert "the run's net is 'own_linear:net'" in bare("eval", "run", "--net", "mlp").err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected the record of a run, but"),
        ("[]", "expected the record of a run in format 1"),
        ('{"format": 99}', "another version of kuai may have written it"),
        ('{"format": 1}', "does not say which net it is"),
        ('{"format": 1, "net": {"net": "mlp", "outputs": 3, "options": {"hidden": ["x"]}}}',
         "describes no net that kuai knows"),
        ('{"format": 1, "net": {"net": "transformer", "outputs": 3, "options": {}}}',
         "describes no net that kuai knows"),
        ("[" * 100_000, "expected the record of a run, but"),
    ],
)  # fmt: skip
def test_a_record_that_is_none_is_one_clear_error(kuai, tmp_path, text, said):
    (tmp_path / "run" / "run.json").write_text(text)
    answer = kuai("eval", "run", "--data", "blobs.npz")
    assert (answer.code, answer.out) == (1, "")
    assert said in answer.err
    assert "Traceback" not in answer.err


# ---- predict


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predict_gives_label_and_probability(kuai, tmp_path):
    x = np.load(tmp_path / "blobs.npz")["x"]
    logits = np.asarray(net_of(tmp_path / "run")(x), np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = rows(kuai("predict", "run", "--data", "blobs.npz", "--batch-size", "7").out)
    assert [int(row["index"]) for row in found] == list(range(60))
    assert [int(row["label"]) for row in found] == list(probabilities.argmax(-1))
    told = [float(row["probability"]) for row in found]
    np.testing.assert_allclose(told, probabilities.max(-1), rtol=1e-5)


@pytest.mark.parametrize("kind", ["npz", "one.npz", "npy", "csv", "named.csv"])
def test_predict_takes_inputs_alone(kuai, tmp_path, kind):
    x = np.load(tmp_path / "blobs.npz")["x"][:5]
    file = tmp_path / f"inputs.{kind}"
    if kind == "npz":
        np.savez(file, x=x, other=np.zeros(3))
    elif kind == "one.npz":
        np.savez(file, whatever=x)
    elif kind == "npy":
        np.save(file, x)
    else:
        np.savetxt(file, x, delimiter=",", header="a,b" if "named" in kind else "", comments="")
    found = rows(kuai("predict", "run", "--input", file).out)
    assert found == rows(kuai("predict", "run", "--data", "blobs.npz").out)[:5]


def test_predict_writes_csv_json_and_npz(kuai, tmp_path):
    shown = kuai("predict", "run", "--data", "blobs.npz")
    for name in ("p.csv", "p.json", "p.npz"):
        answer = kuai("predict", "run", "--data", "blobs.npz", "--out", name)
        assert (answer.code, answer.out, answer.err) == (0, "", f"{name}: 60 examples\n")
    assert (tmp_path / "p.csv").read_text() == shown.out
    labels = [row["label"] for row in rows(shown.out)]
    assert [row["label"] for row in json.loads((tmp_path / "p.json").read_text())] == labels
    with np.load(tmp_path / "p.npz") as archive:
        assert archive["label"].tolist() == labels
        np.testing.assert_allclose(archive["probabilities"].sum(-1), 1, rtol=1e-6)


def test_predict_gives_numbers_where_the_net_was_trained_on_numbers(bare, tmp_path):
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    np.savez(tmp_path / "line.npz", x=x, y=3 * x + 1)
    words = ("--data", "line.npz", "--hidden", "", "--epochs", "1", "--out", "run")
    assert bare("train", *words).code == 0
    net = nn.Sequential(nn.Flatten(), nn.Dense(1)).load(tmp_path / "run" / "weights.safetensors")
    found = rows(bare("predict", "run", "--data", "line.npz").out)
    told = [float(row["output"]) for row in found]
    np.testing.assert_allclose(told, net(jnp.asarray(x))[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("x.txt", b"1,2", 2, "expected a file that ends in .npz, .npy or .csv"),
        (
            "x.csv",
            b"1,a\n",
            1,
            "column '2': expected a number, got 'a'. There is no target",
        ),
        ("x.csv", b"1,2\n3\n", 1, "x.csv, line 2: expected 2 cells, got 1"),
        ("x.csv", b"", 1, "the table is empty; expected one example a line"),
        ("x.npy", b"\x93NUMPY", 1, "x.npy is no array that can be read"),
        ("x.npz", b"PK", 1, "expected a NumPy archive (.npz), but it cannot be unpacked"),
    ],
)
def test_predict_says_what_is_wrong_with_inputs(kuai, tmp_path, name, content, code, said):
    (tmp_path / name).write_bytes(content)
    answer = kuai("predict", "run", "--input", name)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_predict_takes_no_memory_for_what_a_header_claims(kuai, tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 2)}
    )
    (tmp_path / "x.npy").write_bytes(header.getvalue() + bytes(64))
    answer = kuai("predict", "run", "--input", "x.npy")
    assert answer.code == 1
    assert "its shape needs 16000000000" in answer.err


def test_predict_runs_no_pickle(kuai, tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    answer = kuai("predict", "run", "--input", "x.npy")
    assert answer.code == 1
    assert "Python objects" in answer.err


# ---- show


def test_show_counts_a_net_before_it_is_trained(bare):
    found = json.loads(bare("show", "mlp", "--hidden", "32", "--shape", "8,8", "--json").out)
    assert found["parameters"] == 64 * 32 + 32 + 32 * 10 + 10
    assert found["flops"] > 2 * 64 * 32
    assert "2,410" in bare("show", "mlp", "--hidden", "32", "--shape", "8,8").out


def test_show_counts_a_shared_block_once(bare, tmp_path):
    (tmp_path / "own_shared.py").write_text(
        "from kuai import nn\n\nlayer = nn.Dense(4)\nnet = nn.Sequential(layer, layer)\n"
    )
    found = json.loads(bare("show", "own_shared:net", "--shape", "4", "--json").out)
    assert found["parameters"] == 20
    assert [row["shared_with"] for row in found["rows"]] == [None, None, "0"]


def test_show_of_a_run_and_of_its_weights_is_the_same(kuai):
    one, other = kuai("show", "run", "--json"), kuai("show", "run/weights.safetensors", "--json")
    assert one.out == other.out
    assert json.loads(one.out)["parameters"] == 2 * 8 + 8 + 8 * 3 + 3


def test_show_lists_arrays_of_weights_that_stand_alone(bare, tmp_path):
    net = nn.Sequential(nn.Dense(2), nn.Dense(2))
    net[1].weight = net[0].params.weight
    net(jnp.ones((1, 2)))
    net.save(tmp_path / "w.safetensors")
    found = json.loads(bare("show", "w.safetensors", "--json").out)
    assert {row["name"]: row["shape"] for row in found["arrays"]} == {
        "0.weight": [2, 2],
        "0.bias": [2],
        "1.bias": [2],
    }
    assert (found["elements"], found["aliases"]) == (8, {"1.weight": "0.weight"})
    assert "1.weight is 0.weight" in bare("show", "w.safetensors").out
