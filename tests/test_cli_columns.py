"""Tables whose columns have names: put in the order of the training, or refused."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pytest

from kuai.cli import main
from tests.cli_helpers import SMALL, caller, quiet_environment

NAMES = ("width", "height", "weight")
X = np.random.default_rng(0).normal(size=(60, 3)).round(3)
Y = (X[:, 0] > 0).astype(int)  # which column is which matters


def write(path, names, columns, labels=False):
    """Columns of X by their numbers, under names or none."""
    table = [X[:, columns].astype(str), *([Y[:, None].astype(str)] if labels else [])]
    head = [[*names, *(["label"] if labels else [])]] if names else []
    path.write_text("".join(",".join(row) + "\n" for row in [*head, *np.hstack(table)]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as monkeypatch:
        quiet_environment(monkeypatch, folder)
        write(folder / "train.csv", NAMES, [0, 1, 2], labels=True)
        words = ("--data", "train.csv", *SMALL, "--epochs", "20", "--out", "run", "--quiet")
        assert main(["train", *words]) == 0
        write(folder / "bare.csv", (), [0, 1, 2], labels=True)
        words = ("--data", "bare.csv", *SMALL, "--epochs", "1", "--out", "nameless", "--quiet")
        assert main(["train", *words]) == 0
    return folder


@pytest.fixture
def kuai(trained, monkeypatch, tmp_path, capsys):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    quiet_environment(monkeypatch, tmp_path)
    return caller(capsys)


def labels(answer):
    return [int(row["label"]) for row in csv.DictReader(io.StringIO(answer.out))]


def test_a_run_keeps_the_names(trained):
    record = json.loads((trained / "run" / "run.json").read_text())
    assert record["data"]["columns"] == list(NAMES)
    assert json.loads((trained / "nameless" / "run.json").read_text())["data"]["columns"] is None


def test_inputs_are_put_in_the_order_of_the_training_by_name(kuai, tmp_path):
    write(tmp_path / "same.csv", NAMES, [0, 1, 2])
    write(tmp_path / "moved.csv", ("weight", "width", "height"), [2, 0, 1])
    same, moved = (kuai("predict", "run", "--input", f"{name}.csv") for name in ("same", "moved"))
    assert same.out == moved.out
    assert np.mean(np.array(labels(same)) == Y) > 0.8  # a wrong order is right by half
    assert same.err == ""
    assert moved.err == (
        "moved.csv: columns put in the order of the training: width, height, weight\n"
    )


def test_data_with_targets_is_put_in_order_too(kuai, tmp_path):
    write(tmp_path / "moved.csv", ("weight", "width", "height"), [2, 0, 1], labels=True)
    found = [
        json.loads(kuai("eval", "run", "--data", data, "--part", "test", "--json").out)
        for data in ("train.csv", "moved.csv")  # known to be the data of the training
    ]
    assert [{**scores, "data": None} for scores in found] == [{**found[0], "data": None}] * 2
    written = [kuai("predict", "run", "--data", data).out for data in ("train.csv", "moved.csv")]
    assert written[0] == written[1]


@pytest.mark.parametrize(("names", "columns"), [((), [2, 0, 1]), (NAMES[::-1], [2, 0, 1])])
def test_without_names_on_one_side_the_order_counts(kuai, tmp_path, names, columns):
    write(tmp_path / "x.csv", names, columns)
    np.save(tmp_path / "x.npy", X[:, columns])
    run = "nameless" if names else "run"
    assert kuai("predict", run, "--input", "x.csv") == kuai("predict", run, "--input", "x.npy")


OTHER = [
    (("width", "height", "depth"), "got width, height, depth; weight missing; depth not known"),
    (("width", "height"), "got width, height; weight missing"),
    ((*NAMES, "label"), "weight, label; label not known; a table with a target is for --data"),
    ((*NAMES, "width"), "got width, height, weight, width"),
]


@pytest.mark.parametrize(("names", "said"), OTHER)
def test_other_columns_are_refused(kuai, tmp_path, names, said):
    write(tmp_path / "x.csv", names, [0] * len(names))
    answer = kuai("predict", "run", "--input", "x.csv")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(
        "kuai: error: x.csv: expected the columns that the net was trained on (width, height, "
        "weight), each once, got "
    )
    assert answer.err.endswith(f"{said}\n")


def test_another_number_of_columns_without_names_is_refused(kuai, tmp_path):
    write(tmp_path / "x.csv", (), [0, 1])
    answer = kuai("predict", "run", "--input", "x.csv")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        "kuai: error: x.csv: expected 3 columns, as in the training (width, height, weight), got "
        "inputs of shape (2,)\n"
    )


def test_many_columns_are_not_all_told(kuai, tmp_path):
    write(tmp_path / "x.csv", [f"c{number}" for number in range(40)], [0] * 40)
    told = kuai("predict", "run", "--input", "x.csv").err
    assert "got c0, c1, c2, c3, c4, c5, c6, c7, ...; width, height, weight missing; c0, c1" in told
    assert "c9" not in told


def test_a_wrong_width_is_told_without_the_noise_of_jax(kuai, tmp_path):
    np.save(tmp_path / "x.npy", X[:, :2])
    answer = kuai("predict", "nameless", "--input", "x.npy")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        "kuai: error: Sequential: 1 (Dense): expected an input with 3 features on axis -1, got "
        "shape (60, 2); give it that width, or make a new layer for the new one\n"
    )
