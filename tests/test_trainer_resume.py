"""A run that is interrupted and taken up again ends bit for bit as one that was not."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from kuai.callbacks import BestWeights, Checkpoint, EarlyStopping


def data(rows=40):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    return x, rng.integers(0, 3, rows)


def trainer_of(optimizer=None, net=None, **options):
    if net is None:
        net = nn.Sequential(nn.Dense(6, "relu"), nn.Dropout(0.3), nn.BatchNorm(), nn.Dense(3))
    optimizer = optax.adam(0.01) if optimizer is None else optimizer
    options.setdefault("metrics", ["accuracy"])
    return kuai.Trainer(net, optimizer, kuai.losses.softmax_cross_entropy, **options)


def everything(trainer):
    weights = {path: np.array(h.array) for path, h in trainer.net.named_holders()}
    leaves = [np.array(leaf) for leaf in jax.tree.leaves(trainer.optimizer_state)]
    records = [{k: v for k, v in r.items() if k != "seconds"} for r in trainer.history]
    return weights, leaves, records, trainer.engine.keys.state()


def assert_same(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


class Stopper:
    """Batches that end in Ctrl-C after some of them, once."""

    def __init__(self, batches, after):
        self.batches, self.after = batches, after

    def __iter__(self):
        for number, batch in enumerate(self.batches):
            if number == self.after:
                raise KeyboardInterrupt
            yield batch


@pytest.mark.parametrize("seed", [None, 7])
def test_interrupted_in_the_middle_of_an_epoch(tmp_path, seed):
    x, y = data()
    batches = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 40, 8)]
    kuai.seed(1)
    whole = trainer_of(seed=seed)
    whole.fit(batches, epochs=3, steps_per_call=2)

    kuai.seed(1)
    broken = trainer_of(seed=seed)
    broken.fit(batches, epochs=1, steps_per_call=2)
    broken.position = broken.position._replace(start=0)
    with pytest.raises(KeyboardInterrupt):
        broken.fit(Stopper(batches, 4), epochs=2, steps_per_call=2)
    assert broken.position.batch == 2
    broken.save(tmp_path / "run.safetensors")

    kuai.seed(99)
    again = trainer_of(seed=seed).load(tmp_path / "run.safetensors")
    assert again.position.batch == 2
    again.fit(batches, epochs=2, steps_per_call=2)
    assert_same(everything(again), everything(whole))


class Breaking(kuai.callbacks.Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, trainer, record):
        if record["epoch"] == self.epoch:
            raise KeyboardInterrupt


def test_interrupted_between_epochs_with_shuffling_validation_and_callbacks(tmp_path):
    path = tmp_path / "run.safetensors"
    options = {"epochs": 12, "batch_size": 8, "validation": 0.2}

    def callbacks():
        return [EarlyStopping(patience=3, restore_best=True), BestWeights("val_accuracy")]

    kuai.seed(2)
    whole = trainer_of(optax.adam(0.3))
    whole.fit(data(), callbacks=callbacks(), **options)

    kuai.seed(2)
    broken = trainer_of(optax.adam(0.3))
    with pytest.raises(KeyboardInterrupt):
        broken.fit(data(), callbacks=[*callbacks(), Checkpoint(path), Breaking(2)], **options)
    kuai.seed(5)
    again = trainer_of(optax.adam(0.3)).load(path)
    again.fit(data(), callbacks=callbacks(), **options)
    assert_same(everything(again), everything(whole))


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    trainer = trainer_of()
    trainer.fit(data(), epochs=2)
    trainer.save(tmp_path / "run.safetensors")
    again = trainer_of().load(tmp_path / "run.safetensors")
    before = everything(again)
    assert len(again.fit(data(), epochs=2)) == 0
    assert_same(everything(again), before)
    assert again.history.epoch == [1, 2]


def test_steps_of_ones_own_go_on(tmp_path):
    x, y = data(8)
    whole, first = trainer_of(seed=1), trainer_of(seed=1)
    for _ in range(4):
        whole.step((x, y))
    for _ in range(2):
        first.step((x, y))
    first.save(tmp_path / "run.safetensors")
    again = trainer_of(seed=0).load(tmp_path / "run.safetensors")
    for _ in range(2):
        again.step((x, y))
    assert_same(everything(again), everything(whole))
    assert again.position.steps == 4


def test_noise_of_the_optimizer_goes_on(tmp_path):
    def noisy():
        return optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(0)), optax.sgd(0.1))

    x, y = data(8)
    first = trainer_of(noisy())
    first.step((x, y))
    first.save(tmp_path / "run.safetensors")
    state = kuai.random.get_state()
    first.step((x, y))
    again = trainer_of(noisy()).load(tmp_path / "run.safetensors")
    assert kuai.random.get_state() == state
    again.step((x, y))
    for left, right in zip(again.net.parameters(), first.net.parameters(), strict=True):
        np.testing.assert_array_equal(left.array, right.array)


def saved(tmp_path):
    trainer = trainer_of()
    trainer.fit(data(), epochs=1, batch_size=8)
    trainer.save(tmp_path / "run.safetensors")
    return tmp_path / "run.safetensors"


def other_net():
    return nn.Sequential(nn.Dense(6, "relu"), nn.Dropout(0.3), nn.BatchNorm(), nn.Dense(4))


MISFITS = [
    (lambda: trainer_of(optax.sgd(0.1, momentum=0.9)), "the optimizer's state does not fit"),
    (lambda: trainer_of(net=other_net()), r"expected float32 \(4,\), got float32 \(3,\)"),
    (lambda: trainer_of(net=nn.Dense(3)), "does not fit"),
]


@pytest.mark.parametrize(("make", "message"), MISFITS, ids=["optimizer", "shapes", "names"])
def test_a_checkpoint_of_another_trainer_is_refused_whole(tmp_path, make, message):
    path = saved(tmp_path)
    trainer = make()
    trainer.step(data(8))
    before = everything(trainer)
    with pytest.raises(kuai.errors.CheckpointError, match=message):
        trainer.load(path)
    assert_same(everything(trainer), before)


def test_other_data_is_refused(tmp_path):
    trainer = trainer_of().load(saved(tmp_path))
    with pytest.raises(kuai.errors.DataError, match="belongs to data with examples=40"):
        trainer.fit(data(30), epochs=2, batch_size=8)
    assert trainer.fit(data(), epochs=2, batch_size=8).epoch == [2]


def test_weights_alone_are_no_checkpoint(tmp_path):
    net = nn.Dense(3).initialize(sample=np.ones((1, 4), np.float32))
    net.save(tmp_path / "net.safetensors")
    with pytest.raises(kuai.errors.CheckpointError, match=r"load them with net\.load"):
        trainer_of(net=nn.Dense(3)).load(tmp_path / "net.safetensors")


def test_nothing_to_save_yet(tmp_path):
    with pytest.raises(kuai.errors.DeferredInitError, match="train a step, or call initialize"):
        trainer_of().save(tmp_path / "run.safetensors")


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(kuai.errors.FileAccessError):
        trainer_of().load(tmp_path / "none.safetensors")
