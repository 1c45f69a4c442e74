"""`kuai train`: what a run leaves behind, and that an interrupted one loses nothing."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kuai.cli import training
from kuai.cli.progress import EveryEpoch
from kuai.cli.settings import Settings
from kuai.files import read_arrays
from tests.cli_helpers import SMALL, caller, quiet_environment, write_blobs

FILES = {"run.json", "weights.safetensors", "checkpoint.safetensors", "metrics.jsonl", "curve.png",
         "net.svg", "report.html"}  # fmt: skip


@pytest.fixture
def kuai(monkeypatch, tmp_path, capsys):
    quiet_environment(monkeypatch, tmp_path)
    write_blobs(tmp_path / "blobs.npz")
    return caller(capsys)


def train(kuai, *words):
    return kuai("train", "--data", "blobs.npz", *SMALL, *words)


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times(folder):
    return [{k: v for k, v in record.items() if "second" not in k} for record in records(folder)]


def weights(folder):
    return read_arrays(folder / "weights.safetensors")[0]


def assert_equal_weights(one, other):
    found, expected = weights(one), weights(other)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, name)


@pytest.fixture
def stop_after(monkeypatch):
    """Ctrl-C at the end of an epoch."""

    def arrange(epoch):
        whole = EveryEpoch.on_epoch_end

        def on_epoch_end(self, trainer, record):
            whole(self, trainer, record)
            if record["epoch"] == epoch:
                monkeypatch.setattr(EveryEpoch, "on_epoch_end", whole)
                raise KeyboardInterrupt

        monkeypatch.setattr(EveryEpoch, "on_epoch_end", on_epoch_end)

    return arrange


def test_a_run_leaves_its_files_and_tells_them(kuai, tmp_path):
    answer = train(kuai, "--epochs", "3", "--out", "a")
    assert answer.code == 0, answer.err
    assert {file.name for file in (tmp_path / "a").iterdir()} == FILES
    assert [record["epoch"] for record in records(tmp_path / "a")] == [1, 2, 3]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= records(tmp_path / "a")[0].keys()
    assert (tmp_path / "a" / "curve.png").read_bytes().startswith(b"\x89PNG")
    ElementTree.fromstring((tmp_path / "a" / "net.svg").read_text())  # noqa: S314  # our own file
    assert "<h1>mlp on blobs.npz</h1>" in (tmp_path / "a" / "report.html").read_text()
    listed = re.findall(r"^a/(\S+)$", answer.out, re.MULTILINE)
    assert set(listed) == FILES - {"run.json", "checkpoint.safetensors"}


def test_progress_goes_to_stderr_a_line_an_epoch_when_that_is_no_terminal(kuai):
    answer = train(kuai, "--epochs", "2", "--out", "a")
    assert "blobs.npz: 43 train, 5 validation, 12 test examples; mlp into a\n" in answer.err
    assert re.findall(r"^epoch (\d+/\d+)  loss ", answer.err, re.MULTILINE) == ["1/2", "2/2"]
    assert "\x1b" not in answer.out + answer.err
    assert train(kuai, "--epochs", "1", "--out", "b", "--quiet").err == ""


def test_json_tells_the_scores_of_every_part(kuai):
    found = json.loads(train(kuai, "--epochs", "40", "--out", "a", "--json").out)
    assert found["epochs"] == 40
    assert set(found["scores"]) == {"train", "validation", "test"}
    assert found["scores"]["test"]["accuracy"] == 1.0
    assert found["scores"]["test"]["loss"] < 0.3


def test_without_held_out_parts_nothing_is_said_of_them(kuai):
    found = train(kuai, "--epochs", "1", "--out", "a", "--test", "0", "--validation", "0", "--json")
    assert set(json.loads(found.out)["scores"]) == {"train"}


def test_the_same_seed_gives_the_same_run_and_another_another(kuai, tmp_path):
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        train(kuai, "--epochs", "2", "--out", name, "--seed", seed, "--dropout", "0.2")
    assert_equal_weights(tmp_path / "a", tmp_path / "b")
    assert without_times(tmp_path / "a") == without_times(tmp_path / "b")
    assert not np.array_equal(
        weights(tmp_path / "a")["1.weight"], weights(tmp_path / "c")["1.weight"]
    )


def test_the_test_part_is_the_same_for_every_seed_and_never_trained_on():
    from kuai.cli.datasets import part
    from kuai.data import load

    data = load("digits")
    one, other = (part(data, test=0.2, validation=0.1, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(one.test.x, other.test.x)
    assert not np.array_equal(one.validation.x, other.validation.x)
    assert len(one.train) + len(one.validation) + len(one.test) == len(data)
    trained_on = {row.tobytes() for row in (*one.train.x, *one.validation.x)}
    assert not trained_on & {row.tobytes() for row in one.test.x}


def test_a_regression_is_told_by_its_targets(kuai, tmp_path):
    x = np.linspace(-1, 1, 80, dtype=np.float32)[:, None]
    np.savez(tmp_path / "line.npz", x=x, y=3 * x + 1)
    words = ("--data", "line.npz", "--hidden", "", "--lr", "0.1", "--epochs", "40", "--json")
    answer = kuai("train", *words, "--out", "a")
    assert answer.code == 0, answer.err
    scores = json.loads(answer.out)["scores"]["test"]
    assert scores.keys() == {"loss", "mae"}
    assert scores["mae"] < 0.05
    np.testing.assert_allclose(weights(tmp_path / "a")["1.weight"], [[3.0]], atol=0.1)


def test_a_folder_with_a_run_is_refused(kuai, tmp_path):
    train(kuai, "--epochs", "1", "--out", "a")
    before = (tmp_path / "a" / "run.json").read_bytes()
    answer = train(kuai, "--epochs", "2", "--out", "a")
    assert (answer.code, answer.out) == (1, "")
    assert "--resume goes on with that run, --force replaces it" in answer.err
    assert (tmp_path / "a" / "run.json").read_bytes() == before
    assert train(kuai, "--epochs", "2", "--out", "a", "--force").code == 0
    assert [record["epoch"] for record in records(tmp_path / "a")] == [1, 2]


def test_a_wrong_command_leaves_the_old_run_alone(kuai, tmp_path):
    train(kuai, "--epochs", "1", "--out", "a")
    before = {file: file.read_bytes() for file in (tmp_path / "a").iterdir()}
    assert train(kuai, "--out", "a", "--force", "--net", "gone:net").code == 2
    assert {file: file.read_bytes() for file in (tmp_path / "a").iterdir()} == before


@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_run_goes_on_as_if_it_had_not_stopped(kuai, tmp_path, stop_after, stop):
    words = ("--epochs", "4", "--dropout", "0.2")
    train(kuai, *words, "--out", "whole")
    stop_after(stop)
    stopped = train(kuai, *words, "--out", "a")
    assert stopped.code == 130
    assert "kuai train --resume --out a goes on" in stopped.err
    assert json.loads((tmp_path / "a" / "run.json").read_text())["status"] == "interrupted"
    assert not (tmp_path / "a" / "weights.safetensors").exists()
    assert kuai("train", "--resume", "--out", "a").code == 0
    assert_equal_weights(tmp_path / "a", tmp_path / "whole")
    assert without_times(tmp_path / "a") == without_times(tmp_path / "whole")


def test_a_killed_run_whose_last_line_is_lost_goes_on_too(kuai, tmp_path, stop_after):
    train(kuai, "--epochs", "3", "--out", "whole")
    stop_after(2)
    train(kuai, "--epochs", "3", "--out", "a")
    file = tmp_path / "a" / "metrics.jsonl"
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    assert kuai("train", "--resume", "--out", "a").code == 0
    assert without_times(tmp_path / "a") == without_times(tmp_path / "whole")


def test_a_finished_run_can_be_trained_longer(kuai, tmp_path):
    words = ("--schedule", "constant", "--epochs")
    train(kuai, *words, "3", "--out", "whole")
    train(kuai, *words, "1", "--out", "a")
    assert kuai("train", "--resume", "--out", "a", "--epochs", "3").code == 0
    assert_equal_weights(tmp_path / "a", tmp_path / "whole")


def test_the_rate_falls_to_nothing_by_the_last_step():
    settings = Settings(optimizer="sgd", lr=0.5, batch_size=4, epochs=3, overfit_batches=None)
    settings.schedule = "cosine"
    rate = training.schedule(settings, examples=10)
    assert [float(rate(step)) for step in (0, 9)] == [0.5, 0.0]
    np.testing.assert_allclose(rate(3), 0.5 * (1 + np.cos(np.pi / 3)) / 2, rtol=1e-6)
    settings.overfit_batches = 1
    assert float(training.schedule(settings, examples=10)(3)) == 0.0
    settings.schedule = "constant"
    assert training.schedule(settings, examples=10) == 0.5


def test_resume_refuses_other_settings_and_other_data(kuai, tmp_path):
    train(kuai, "--epochs", "1", "--out", "a")
    answer = kuai("train", "--resume", "--out", "a", "--lr", "0.5")
    assert answer.code == 2
    assert "--lr 0.5: the run was begun with 0.01 and goes on as it began" in answer.err
    answer = kuai("train", "--resume", "--out", "a", "--epochs", "2")
    assert answer.code == 2
    assert "the run's learning rate falls to 0 by epoch 1, so it ends there" in answer.err
    write_blobs(tmp_path / "blobs.npz", examples=63)
    answer = kuai("train", "--resume", "--out", "a")
    assert answer.code == 1
    assert "the data has changed since the run in a was begun" in answer.err
    assert "(60 examples then, 63 now)" in answer.err


def test_resume_wants_a_checkpoint(kuai, tmp_path):
    train(kuai, "--epochs", "1", "--out", "a")
    (tmp_path / "a" / "checkpoint.safetensors").unlink()
    answer = kuai("train", "--resume", "--out", "a")
    assert answer.code == 1
    assert "stopped before its first epoch was whole" in answer.err


def test_fast_dev_run_keeps_nothing(kuai, tmp_path):
    answer = train(kuai, "--fast-dev-run", "--out", "a")
    assert (answer.code, answer.out) == (0, "fast-dev-run: everything works; nothing is kept\n")
    assert not (tmp_path / "a").exists()


def test_overfit_batches_trains_on_the_first_batches_only(kuai):
    words = ("--overfit-batches", "1", "--epochs", "60", "--out", "a", "--json")
    answer = train(kuai, *words)
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["epochs"] == 60


def test_find_lr_suggests_a_rate_and_draws_the_curve(kuai, tmp_path):
    answer = train(kuai, "--find-lr", "--out", "a", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert 1e-6 <= found["learning_rate"] <= 1
    assert len(found["rates"]) == len(found["losses"]) > 10
    assert found["files"] == ["a/find_lr.png"]
    assert {file.name for file in (tmp_path / "a").iterdir()} == {"find_lr.png"}


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "lamb", "lion", "rmsprop", "adagrad",
                                  "sgd", "momentum"])  # fmt: skip
def test_every_optimizer_goes_downhill_at_its_usual_rate(name):
    settings = Settings(optimizer=name, lr=None)
    optimizer = training.optimizer(settings, training.learning_rate(settings))
    weight = {"w": jnp.array([1.0, -2.0])}
    state = optimizer.init(weight)
    with jax.numpy_dtype_promotion("standard"):  # optax relies on it
        for _ in range(20):
            updates, state = optimizer.update(weight, state, weight)  # the gradient of |w|² / 2
            weight = {"w": weight["w"] + updates["w"]}
    assert float(jnp.sum(jnp.square(weight["w"]))) < 5.0


def test_too_small_data_for_a_part_is_said_with_the_flag(kuai, tmp_path):
    write_blobs(tmp_path / "blobs.npz", examples=3)
    answer = train(kuai, "--test", "0.1")
    assert answer.code == 2
    assert "--test 0.1: that share of 3 examples is none" in answer.err


def test_a_net_of_ones_own_is_imported_from_here(kuai, tmp_path):
    (tmp_path / "own_net.py").write_text(
        "from kuai import nn\n\n\ndef make():\n    return nn.Sequential(nn.Dense(3))\n"
    )
    answer = train(kuai, "--net", "own_net:make", "--epochs", "1", "--out", "a")
    assert answer.code == 0, answer.err
    assert weights(tmp_path / "a").keys() == {"0.weight", "0.bias"}


@pytest.mark.parametrize(
    ("net", "said"),
    [
        ("gone:make", "--net gone:make: expected a module that can be imported from"),
        ("own_wrong:mak", "the module own_wrong has no 'mak'; did you mean 'make'?"),
        ("own_wrong:make", "it is called without arguments, but make() missing 1 required"),
        ("own_wrong:number", "expected a function or class that makes a net, or a net, got int"),
        ("own_wrong:text", "expected a kuai.Block from it, got str"),
    ],
)
def test_a_wrong_factory_is_wrong_usage(kuai, tmp_path, net, said):
    (tmp_path / "own_wrong.py").write_text(
        "number = 3\n\n\ndef make(units):\n    pass\n\n\ndef text():\n    return 'net'\n"
    )
    answer = train(kuai, "--net", net)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


@pytest.mark.slow
def test_the_mlp_reads_digits(kuai):
    answer = kuai("train", "--data", "digits", "--net", "mlp", "--epochs", "20", "--json")
    found = json.loads(answer.out)
    assert found["out"] == "runs/digits"
    assert found["scores"]["test"]["accuracy"] >= 0.97
