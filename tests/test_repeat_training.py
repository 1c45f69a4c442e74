"""Training a `Repeat`: optimizers see stacks, and end where they end for a `Sequential`."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from tests.repeating import Layer, X, arrays_of, assert_near, assert_same_values, is_stacked, pair

Y = X[::-1]


def make():
    return nn.Residual(nn.Dense(4, activation="tanh"))


def trainer_of(net, optimizer=None, **options):
    return kuai.Trainer(net, optimizer or optax.adamw(1e-2), kuai.losses.mse, seed=0, **options)


def test_steps_and_fits_are_those_of_a_sequential():
    nets = pair(3)
    trainers = [trainer_of(net) for net in nets]
    for trainer in trainers:
        for _ in range(3):
            trainer.step((X, Y))
        trainer.fit((X, Y), epochs=2, batch_size=3, shuffle=False, progress=False)
    assert_same_values(*nets)
    assert is_stacked(nets[0])
    assert sorted(trainers[0].optimizer_state[0].mu) == [
        f"*.{name}" for name in ("dense.bias", "dense.weight", "norm.bias", "norm.weight")
    ]
    assert trainers[0].evaluate((X, Y)) == pytest.approx(trainers[1].evaluate((X, Y)), rel=1e-4)


@pytest.mark.slow
def test_the_optimizer_keeps_what_it_knows_when_layers_are_taken_apart_and_put_together():
    nets = pair(3, make)
    trainers = [trainer_of(net) for net in nets]
    for change in (None, lambda net: net[1].freeze(), lambda net: net[1].unfreeze(), None):
        for net, trainer in zip(nets, trainers, strict=True):
            if change is not None:
                change(net)
            trainer.step((X, Y))
            trainer.step((X, Y))
        assert is_stacked(nets[0]) == nets[0][1].block.params.weight.trainable
        assert_same_values(*nets)


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_saved(tmp_path):
    def trainer():
        return trainer_of(nn.Sequential(nn.Dense(4), nn.Repeat(Layer, 3)))

    whole, first, second = trainer(), trainer(), trainer()
    whole.fit((X, Y), epochs=3, batch_size=3, progress=False)
    first.fit((X, Y), epochs=2, batch_size=3, progress=False)
    first.save(tmp_path / "run.safetensors")
    second.load(tmp_path / "run.safetensors").fit((X, Y), 3, batch_size=3, progress=False)
    jax.tree.map(np.testing.assert_array_equal, arrays_of(whole.net), arrays_of(second.net))
    assert is_stacked(second.net[1])


@pytest.mark.slow
def test_training_a_layer_of_a_repeat_by_itself():
    nets = pair(3, make)
    for net in nets:
        net.hybridize()(X)
        trainer_of(net[1]).step((X, Y))
    assert_same_values(*nets)
    assert_near(nets[0](X), nets[1](X))


@pytest.mark.slow
def test_a_trainer_in_plain_python():
    nets = pair(2, make)
    for net in nets:
        net.hybridize()(X)
        net.hybridize(False)
        trainer_of(net, compile=False).step((X, Y))
    assert_same_values(*nets)


def test_with_unroll_an_optimizer_sees_each_layer():
    net = nn.Repeat(make, 2, unroll=True)
    trainer = trainer_of(net, optax.lamb(1e-2))
    trainer.step((X, Y))
    assert sorted(trainer.optimizer_state[0].mu) == sorted(dict(net.named_parameters()))
