"""`fit`, `evaluate` and `predict`: every form of data, exact means, and ways to end."""

from __future__ import annotations

import functools
import signal

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kuai
from kuai import nn
from kuai.data import ArrayBatches
from kuai.train import source
from tests.weights import assert_same, weights_of


def data(rows=50, width=4, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, width)).astype(np.float32), rng.integers(0, classes, rows)


def trainer_of(net=None, optimizer=None, **options):
    net = (
        nn.Sequential(nn.Dense(8, "relu"), nn.Dropout(0.3), nn.BatchNorm(), nn.Dense(3))
        if net is None
        else net
    )
    optimizer = optax.adam(0.01) if optimizer is None else optimizer
    return kuai.Trainer(net, optimizer, kuai.losses.softmax_cross_entropy, **options)


def without_seconds(history):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in history]


def fitted(form=None, **options):
    kuai.seed(1)
    trainer = trainer_of(metrics=["accuracy"])
    arrays = data()
    history = trainer.fit(arrays if form is None else form(arrays), **options)
    return weights_of(trainer.net), without_seconds(history), kuai.random.get_state()


@functools.cache
def run_to_compare_with(**options):
    return fitted(batch_size=8, **options)


@pytest.mark.parametrize("steps", [1, 8, None])
def test_results_do_not_depend_on_the_steps_a_call(steps):
    weights, history, state = run_to_compare_with(epochs=3, steps_per_call=3)
    again = fitted(epochs=3, batch_size=8, steps_per_call=steps)
    assert_same(again[0], weights)
    assert again[1:] == (history, state)
    assert state["count"] == 3 * 7


def batches_of(arrays):
    return list(ArrayBatches(arrays, 8))


def torch_loader(arrays):
    torch = pytest.importorskip("torch")
    dataset = torch.utils.data.TensorDataset(*map(torch.tensor, arrays))
    return torch.utils.data.DataLoader(dataset, batch_size=8)


FORMS = {
    "list": batches_of,
    "generators": lambda arrays: lambda: iter(batches_of(arrays)),
    "torch": torch_loader,
    "batches": lambda arrays: ArrayBatches(arrays, 8),
    "jax": lambda arrays: [(jnp.asarray(x), jnp.asarray(y)) for x, y in batches_of(arrays)],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data_gives_the_same_run(form):
    weights, history, state = run_to_compare_with(epochs=2, shuffle=False)
    again = fitted(FORMS[form], epochs=2)
    assert again[1:] == (history, state)
    assert_same(again[0], weights)


def test_large_arrays_are_stacked_and_give_the_same_run(monkeypatch):
    weights, history, _ = run_to_compare_with(epochs=2)
    monkeypatch.setattr(source, "_RESIDENT_BYTES", 0)
    for options in ({}, {"steps_per_call": 1}):
        again = fitted(epochs=2, batch_size=8, **options)
        assert_same(again[0], weights)
        assert again[1] == history


def test_a_generator_serves_one_epoch():
    with pytest.raises(kuai.errors.DataError, match="used up after one epoch"):
        fitted(lambda arrays: iter(batches_of(arrays)), epochs=2)


def test_loss_and_metrics_of_an_epoch_are_exact_means():
    x, y = data(rows=10)
    net = nn.Dense(3)
    trainer = trainer_of(net, optax.sgd(0.0), metrics=["accuracy"])
    history = trainer.fit((x, y), batch_size=4)
    scores = np.asarray(x, np.float64) @ np.asarray(net.weight, np.float64)
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    assert history.loss[0] == pytest.approx(-logs[np.arange(10), y].mean(), rel=1e-6)
    assert history.accuracy[0] == pytest.approx((scores.argmax(1) == y).mean(), rel=1e-6)
    found = trainer.evaluate((x, y), batch_size=3)
    assert found["loss"] == pytest.approx(history.loss[0], rel=1e-6)
    assert found["accuracy"] == pytest.approx(history.accuracy[0], rel=1e-6)


@settings(max_examples=10)
@given(rows=st.integers(1, 20), size=st.integers(1, 25), drop=st.booleans())
def test_every_example_is_used_once_an_epoch(rows, size, drop):
    net = nn.Dense(1, use_bias=False, init="zeros")
    x = np.eye(rows, dtype=np.float32)
    trainer = kuai.Trainer(net, optax.sgd(1.0), lambda output, target: -(output * target).sum())
    if drop and rows < size:
        with pytest.raises(kuai.errors.DataError, match="not one full batch"):
            trainer.fit((x, np.ones((rows, 1), np.float32)), batch_size=size, drop_last=drop)
        return
    trainer.fit((x, np.ones((rows, 1), np.float32)), batch_size=size, drop_last=drop)
    used = np.asarray(net.weight)[:, 0]
    assert set(used) <= {0.0, 1.0}
    assert used.sum() == (rows // size * size if drop else rows)


def test_epochs_have_orders_of_their_own_and_go_on_counting():
    class Order(kuai.Block):
        def __init__(self):
            self.scale = kuai.Parameter(jnp.ones(()))
            self.seen = kuai.State(jnp.zeros(()))

        def forward(self, x):
            self.seen = self.seen * 2 + x[0, 0]
            return x * self.scale

    x = np.array([[0.0], [1.0], [1.0], [0.0], [1.0], [0.0]], np.float32)
    seen = []
    for _ in range(2):
        trainer = kuai.Trainer(Order(), optax.sgd(0.0), kuai.losses.mse)
        run = []
        for _ in range(4):
            trainer.net.seen = jnp.zeros(())
            trainer.fit((x, x), batch_size=1)
            run.append(float(trainer.net.seen))
        seen.append(run)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 1
    assert trainer.history.epoch == [1, 2, 3, 4]


def test_validation_by_data_and_by_a_share():
    x, y = data()
    trainer = trainer_of(metrics=["accuracy"])
    history = trainer.fit((x, y), epochs=2, batch_size=8, validation=(x[:20], y[:20]))
    assert {"val_loss", "val_accuracy"} <= history[0].keys()
    assert history.val_loss[-1] == trainer.evaluate((x[:20], y[:20]), batch_size=8)["loss"]
    shared = trainer_of().fit((x, y), batch_size=8, validation=0.2)
    assert shared.steps == [5]


def test_predict_gives_a_row_for_each_example_in_eval_mode():
    x, _ = data(rows=11)
    trainer = trainer_of()
    trainer.fit(data(), batch_size=10)
    found = trainer.predict(x, batch_size=4)
    np.testing.assert_allclose(found, trainer.net(x), rtol=1e-5, atol=1e-6)
    assert found.shape == (11, 3)
    with pytest.raises(
        kuai.errors.DataError, match=r"one output for each of 3 examples, got shape \(\)"
    ):
        kuai.Trainer(nn.Lambda(jnp.sum), optax.sgd(0.1), kuai.losses.mse).predict(x[:3])


def test_fast_dev_run_and_overfit_batches():
    x, y = data()
    fast = trainer_of().fit((x, y), epochs=9, batch_size=8, validation=(x, y), fast_dev_run=True)
    assert (len(fast), fast.steps) == (1, [2])
    net = nn.Sequential(nn.Dense(64, "relu"), nn.Dense(3))
    few = trainer_of(net, optax.adam(0.03)).fit((x, y), epochs=80, batch_size=8, overfit_batches=1)
    assert few.steps[-1] == 80
    assert few.loss[-1] < 0.05
    listed = trainer_of().fit(batches_of((x, y)), epochs=2, fast_dev_run=True)
    assert listed.steps == [2]


def test_training_learns():
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    net = nn.Sequential(nn.Dense(16, "tanh"), nn.Dense(3))
    trainer = trainer_of(net, optax.adam(0.02), metrics=["accuracy"])
    trainer.fit((x, y), epochs=60, batch_size=16)
    assert trainer.evaluate((x, y))["accuracy"] > 0.95


class Poison(kuai.Block):
    """Divides by the first feature: infinite where that is 0."""

    def __init__(self):
        self.dense = nn.Dense(3)

    def forward(self, x):
        return self.dense(x) / x[:, :1]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_loss_that_is_not_finite_names_the_block_and_keeps_the_net(compiled):
    x, y = data(rows=40)
    x[26, 0] = 0

    class Middle(kuai.Block):
        def __init__(self):
            self.poison = Poison()

        def forward(self, x):
            return self.poison(x)

    net = nn.Sequential(Middle(), nn.Dropout(0.1))
    trainer = trainer_of(net, compile=compiled)
    text = (
        r"step 4 \(epoch 1, batch 4\): expected a finite loss, got (nan|inf); the first block "
        r"whose output was not finite is 0\.poison \(Poison\)"
    )
    with pytest.raises(kuai.errors.NonFiniteError, match=text):
        trainer.fit((x, y), batch_size=8, shuffle=False)
    kept, count = weights_of(net), kuai.random.get_state()["count"]
    kuai.seed(0)
    twin = nn.Sequential(Middle(), nn.Dropout(0.1))
    short = trainer_of(twin, compile=compiled)
    short.fit((x[:24], y[:24]), batch_size=8, shuffle=False)
    assert_same(kept, weights_of(twin))
    assert count == kuai.random.get_state()["count"] == 3
    assert trainer.position.batch == trainer.position.steps == 3


def test_data_that_is_not_finite_is_told():
    x, y = data(rows=8)
    x[0, 0] = np.nan
    with pytest.raises(kuai.errors.NonFiniteError, match=r"itself is not finite: batch\[0\]"):
        trainer_of().fit((x, y), batch_size=8)


def test_a_gradient_that_is_not_finite_is_told():
    trainer = kuai.Trainer(
        nn.Dense(1, init="zeros"), optax.sgd(0.1), lambda o, t: jnp.sqrt((o**2).sum())
    )
    with pytest.raises(kuai.errors.NonFiniteError, match="weight is not finite already: the"):
        trainer.fit((np.ones((4, 2), np.float32), np.ones((4, 1))), epochs=2, batch_size=2)


class Interrupting(kuai.callbacks.Callback):
    def on_epoch_end(self, trainer, record):
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal: a process that a script starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_the_net_as_of_the_last_whole_step():
    x, y = data(rows=16)
    trainer = trainer_of()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit((x, y), epochs=5, batch_size=8, callbacks=[Interrupting()])
    left = weights_of(trainer.net)
    kuai.seed(0)
    twin = trainer_of()
    twin.fit((x, y), epochs=1, batch_size=8)
    assert_same(left, weights_of(twin.net))
    trainer.fit((x, y), epochs=1, batch_size=8)
    assert trainer.position.epoch == 2


def test_ctrl_c_while_results_are_stored_loses_nothing(monkeypatch):
    x, y = map(jnp.asarray, data(rows=8))
    trainer = trainer_of(nn.Dense(3))
    trainer.step((x, y))
    store, calls = kuai.Parameter.store, []

    def interrupted(self, array):
        calls.append(self)
        if len(calls) == 1:
            raise KeyboardInterrupt
        store(self, array)

    monkeypatch.setattr(kuai.Parameter, "store", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.step((x, y))
    monkeypatch.undo()
    assert all(np.isfinite(np.asarray(value)).all() for value in weights_of(trainer.net).values())
    assert int(trainer.optimizer_state[0].count) == 2


def test_ctrl_c_from_the_data():
    def stream():
        yield from batches_of(data(rows=24))
        raise KeyboardInterrupt

    trainer = trainer_of()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(stream, steps_per_call=1)
    assert trainer.position.batch == 2  # the third waited for a fourth to tell whether it was last
    trainer.step(data(rows=8))


BAD_FITS = [
    ({"batch_size": 0}, "ArgumentError", "batch_size: expected a whole number from 1, got 0"),
    ({"epochs": 0}, "ArgumentError", "epochs: expected a whole number from 1, got 0"),
    (
        {"steps_per_call": 0},
        "ArgumentError",
        "steps_per_call: expected a whole number from 1",
    ),
    ({"validation": 1.5}, "DataError", "expected a share between 0 and 1"),
    ({"data": (np.ones((3, 4), np.float32), np.zeros(2, int))}, "DataError", "equal length"),
    ({"data": (np.ones((0, 4), np.float32), np.zeros(0, int))}, "DataError", "no examples"),
    ({"data": []}, "DataError", "the data gave no batch"),
    ({"data": 3}, "DataError", "expected arrays such as"),
    ({"data": (np.ones((3, 4), np.float32),)}, "DataError", r"expected \(x, y\)"),
    (
        {"data": (np.ones((3, 4), np.float32), np.array([0, 3, 1]))},
        "DataError",
        r"class numbers from 0 to 2, since the net has 3 outputs, got 3 at \[1\] \(1 such labels\)",
    ),
    (
        {"validation": (np.ones((1, 4), np.float32), np.array([-1]))},
        "DataError",
        r"got -1 at \[0\]",
    ),
]


class Halving(kuai.Block):
    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(3)

    def forward(self, x):
        while jnp.abs(x).sum() > 1:
            x = x / 2
        return self.dense(x)


class Measuring(Halving):
    def forward(self, x):
        return self.dense(x / max(float(jnp.abs(x).sum()), 1.0))


@pytest.mark.parametrize(("block", "compile"), [(Halving, True), (Measuring, False)])
def test_labels_are_looked_at_for_nets_that_ask_arrays(block, compile):
    trainer = trainer_of(block(), compile=compile)
    x, labels = data(rows=8)
    with pytest.raises(kuai.errors.DataError, match="class numbers from 0 to 2"):
        trainer.fit((x, labels + 1), batch_size=4)
    assert np.isfinite(trainer.fit((x, labels), batch_size=4)[-1]["loss"])


@pytest.mark.parametrize(("wrong", "error", "message"), BAD_FITS, ids=range(len(BAD_FITS)))
def test_what_fit_refuses(wrong, error, message):
    trainer = trainer_of()
    trainer.step(data(rows=8))
    before, state = weights_of(trainer.net), kuai.random.get_state()
    options = {"data": data(), **wrong}
    with pytest.raises(getattr(kuai.errors, error), match=message):
        trainer.fit(options.pop("data"), **options)
    assert_same(weights_of(trainer.net), before)
    assert kuai.random.get_state() == state


def test_a_batch_larger_than_the_data_is_the_data():
    history = trainer_of().fit(data(rows=5), batch_size=100)
    assert history.steps == [1]


def test_evaluate_refuses_labels_that_are_no_class():
    with pytest.raises(kuai.errors.DataError, match="got 7"):
        trainer_of().evaluate((np.ones((2, 4), np.float32), np.array([0, 7])))


def test_the_history_reads_as_a_table():
    history = trainer_of().fit(data(), epochs=2)
    assert len(history) == 2
    assert repr(history).splitlines()[0].split() == ["epoch", "steps", "loss", "seconds"]
    with pytest.raises(AttributeError, match="has no 'accuracy'; it has epoch, steps, loss"):
        _ = history.accuracy


def test_a_bar_is_drawn_on_stderr_only_when_wanted(capsys):
    trainer_of().fit(data(), epochs=2)
    assert capsys.readouterr() == ("", "")
    trainer_of().fit(data(), epochs=2, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "epoch 2" in shown.err
    assert "loss" in shown.err
