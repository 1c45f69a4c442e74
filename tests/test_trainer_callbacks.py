"""Early stopping, best weights, logs, and the search for a learning rate."""

from __future__ import annotations

import json
import math
import sys

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from kuai.callbacks import BestWeights, Callback, Checkpoint, EarlyStopping, JsonLines
from kuai.train.lr_finder import find_learning_rate


class Scripted(Callback):
    """Puts chosen values into the records, and marks the weights of each epoch."""

    def __init__(self, *values):
        self.values = values

    def on_epoch_end(self, trainer, record):
        record["score"] = self.values[record["epoch"] - 1]
        trainer.net.weight = jnp.full((1, 1), float(record["epoch"]))


def run(values, *callbacks, epochs=None):
    trainer = kuai.Trainer(nn.Dense(1, use_bias=False), optax.sgd(0.0), kuai.losses.mse)
    data = np.ones((2, 1), np.float32), np.ones((2, 1), np.float32)
    history = trainer.fit(data, len(values), callbacks=[Scripted(*values), *callbacks])
    return trainer, history


def test_early_stopping_waits_for_its_patience():
    stop = EarlyStopping("score", patience=2)
    trainer, history = run([1.0, 3.0, 2.0, 3.0, 9.0], stop)
    assert len(history) == 4
    assert (stop.best, stop.best_epoch) == (3.0, 2)
    assert trainer.net.weight[0, 0] == 4


def test_early_stopping_gives_the_best_weights_back():
    trainer, _ = run([1.0, 3.0, 2.0, 3.0, 9.0], EarlyStopping("score", 2, restore_best=True))
    assert trainer.net.weight[0, 0] == 2


def test_small_gains_do_not_count():
    _, history = run([1.0, 1.1, 1.2, 9.0], EarlyStopping("score", 2, min_delta=0.5))
    assert len(history) == 3


@pytest.mark.parametrize(("mode", "best"), [("auto", 2), ("max", 2), ("min", 3)])
def test_best_weights_go_by_the_mode(mode, best, tmp_path):
    path = tmp_path / "best.safetensors"
    trainer, _ = run(
        [1.0, 3.0, math.nan if mode != "min" else 0.0], BestWeights("score", path, mode)
    )
    assert trainer.net.weight[0, 0] == best
    assert nn.Dense(1, use_bias=False).load(path).weight[0, 0] == best


def test_losses_are_better_when_lower():
    assert [BestWeights(name).mode for name in ("val_loss", "mae", "accuracy")] == [
        "min",
        "min",
        "max",
    ]


def test_best_weights_may_stay_away_from_the_net():
    trainer, _ = run([3.0, 1.0], BestWeights("score", restore=False))
    assert trainer.net.weight[0, 0] == 2


def test_the_log_is_json_whatever_the_values(tmp_path):
    path = tmp_path / "metrics.jsonl"
    run([1.0, math.inf], JsonLines(path))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [r["epoch"] for r in records] == [1, 2]
    assert [r["score"] for r in records] == [1.0, None]
    assert records[0]["loss"] >= 0


def test_checkpoints_come_every_so_many_epochs(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer, _ = run([0.0] * 3, Checkpoint(path, every=2))
    twin = kuai.Trainer(nn.Dense(1, use_bias=False), optax.sgd(0.0), kuai.losses.mse).load(path)
    assert (twin.position.epoch, trainer.position.epoch) == (2, 3)


def test_callbacks_are_told_in_order():
    told = []

    class Teller(Callback):
        def on_fit_start(self, trainer):
            told.append("start")

        def on_epoch_end(self, trainer, record):
            told.append(record["epoch"])
            trainer.stop()

        def on_fit_end(self, trainer, history):
            told.append(len(history))

    run([0.0] * 3, Teller())
    assert told == ["start", 1, 1]


WRONG = [
    (lambda: EarlyStopping(patience=0), "expected a patience of at least 1, got 0"),
    (lambda: EarlyStopping(min_delta=-1), "expected min_delta from 0 up, got -1"),
    (lambda: BestWeights(mode="best"), "expected mode 'min', 'max' or 'auto', got 'best'"),
    (lambda: Checkpoint("x", every=0), "expected every to be at least 1, got 0"),
    (lambda: run([1.0], EarlyStopping()), "got 'val_loss'; give fit validation="),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=range(len(WRONG)))
def test_arguments_that_are_refused(make, message):
    with pytest.raises(kuai.errors.ArgumentError, match=message):
        make()


def test_a_log_that_cannot_be_written(tmp_path):
    with pytest.raises(kuai.errors.FileAccessError, match="the log could not be written"):
        run([1.0], JsonLines(tmp_path / "missing" / "metrics.jsonl"))


def line():
    x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    return x, 3 * x


def test_the_search_for_a_rate_changes_nothing():
    net = nn.Sequential(nn.Dropout(0.1), nn.Dense(1))
    trainer = kuai.Trainer(net, optax.adam(1e-3), kuai.losses.mse)
    trainer.step(line())
    before = np.array(net[1].weight), kuai.random.get_state(), trainer.position
    found = find_learning_rate(trainer, line(), low=1e-5, high=100.0)
    assert 1e-3 < found.suggestion < 10
    assert (np.diff(found.rates) > 0).all()
    assert len(found.rates) == len(found.losses)
    np.testing.assert_array_equal(net[1].weight, before[0])
    assert (kuai.random.get_state(), trainer.position) == before[1:]


def test_the_search_stops_where_the_loss_explodes():
    trainer = kuai.Trainer(nn.Dense(1), optax.sgd(1e-3), kuai.losses.mse)
    found = find_learning_rate(trainer, line(), 1e-3, 1e6, optimizer=optax.sgd)
    assert len(found.rates) < 100
    assert np.isfinite(found.losses).all()


def test_the_curve_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    trainer = kuai.Trainer(nn.Dense(1), optax.adam(1e-3), kuai.losses.mse)
    figure = find_learning_rate(trainer, line(), steps=20).plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert figure.axes[0].get_xlabel() == "learning rate"


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    trainer = kuai.Trainer(nn.Dense(1), optax.adam(1e-3), kuai.losses.mse)
    with pytest.raises(kuai.errors.MissingExtraError, match=r'pip install "kuai-nn\[plot\]"'):
        find_learning_rate(trainer, line(), steps=10).plot()


def test_a_range_that_is_empty_is_refused():
    trainer = kuai.Trainer(nn.Dense(1), optax.adam(1e-3), kuai.losses.mse)
    with pytest.raises(kuai.errors.ArgumentError, match="expected 0 < low < high"):
        find_learning_rate(trainer, line(), low=1.0, high=0.1)
