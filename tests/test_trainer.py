"""`Trainer.step`: the arithmetic, the memory it takes over, and nets that change between steps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from tests.weights import assert_same, weights_of


def data(rows=16, width=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, width)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(rng.integers(0, classes, rows))


def mlp(**options):
    return nn.Sequential(nn.Dense(8, activation="relu"), nn.Dense(3), **options)


def trainer_of(net, optimizer=None, **options):
    optimizer = optax.sgd(0.1) if optimizer is None else optimizer
    return kuai.Trainer(net, optimizer, kuai.losses.softmax_cross_entropy, **options)


@pytest.mark.parametrize("compiled", [True, False])
def test_steps_are_those_of_torch(compiled):
    torch = pytest.importorskip("torch")
    net, (x, y) = mlp(), data()
    net(x)
    peer = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    with torch.no_grad():
        for theirs, ours in ((peer[0], net[0]), (peer[2], net[1])):
            theirs.weight.copy_(torch.tensor(np.array(ours.weight).T))
            theirs.bias.copy_(torch.tensor(np.array(ours.bias)))
    optimizer = torch.optim.SGD(peer.parameters(), lr=0.1, momentum=0.9)
    trainer = trainer_of(net, optax.sgd(0.1, momentum=0.9), compile=compiled)
    for _ in range(5):
        optimizer.zero_grad()
        theirs = torch.nn.functional.cross_entropy(
            peer(torch.tensor(np.array(x))), torch.tensor(np.array(y)).long()
        )
        theirs.backward()
        optimizer.step()
        ours = trainer.step((x, y)).loss
        np.testing.assert_allclose(float(ours), theirs.item(), rtol=2e-6)
    np.testing.assert_allclose(net[0].weight, peer[0].weight.detach().numpy().T, atol=2e-6)


def test_a_step_gives_loss_and_metrics_of_the_batch():
    net, (x, y) = mlp(), data()
    net(x)
    output = net(x)
    result = trainer_of(net, metrics=["accuracy"]).step((x, y))
    assert dict(result).keys() == {"loss", "accuracy"}
    assert isinstance(result["loss"], jax.Array)
    expected = float((output.argmax(-1) == y).mean())
    assert float(result["accuracy"]) == pytest.approx(expected, abs=1e-7)
    assert repr(result).startswith("StepResult(loss=")


def test_an_array_that_was_read_survives_the_steps_after():
    net, batch = mlp(), data()
    trainer = trainer_of(net, optax.adam(0.1))
    trainer.step(batch)
    weight, state = net[0].weight, trainer.optimizer_state
    before = np.array(weight), np.array(state[0].mu["0.weight"])
    trainer.step(batch)
    trainer.step(batch)
    np.testing.assert_array_equal(weight, before[0])
    np.testing.assert_array_equal(state[0].mu["0.weight"], before[1])
    assert not np.array_equal(net[0].weight, before[0])


def test_a_hybridized_net_trains_to_the_same_weights():
    plain, hybrid, batch = mlp(), mlp().hybridize(), data()
    for net in (plain, hybrid):
        trainer = trainer_of(net)
        for _ in range(3):
            trainer.step(batch)
    assert_same(weights_of(plain), weights_of(hybrid))


def test_batch_norm_statistics_move_in_training_only():
    net, batch = nn.Sequential(nn.Dense(3), nn.BatchNorm()), data()
    trainer = trainer_of(net)
    trainer.step(batch)
    moved = np.array(net[1].running_mean)
    assert np.abs(moved).max() > 0
    trainer.evaluate(batch)
    np.testing.assert_array_equal(net[1].running_mean, moved)


def test_eval_mode_around_a_step_wins():
    net, batch = nn.Sequential(nn.Dense(3), nn.BatchNorm()), data()
    with kuai.eval_mode():
        trainer_of(net).step(batch)
    np.testing.assert_array_equal(net[1].running_mean, np.zeros(3))


def test_dropout_draws_from_the_stream_of_the_process():
    batch = data()
    results = []
    for compiled in (True, False):
        kuai.seed(3)
        net = nn.Sequential(nn.Dropout(0.5), nn.Dense(3))
        trainer = trainer_of(net, compile=compiled)
        losses = [float(trainer.step(batch).loss) for _ in range(3)]
        results.append((losses, kuai.random.get_state()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    assert results[0][1] == results[1][1] == {"seed": 3, "count": 3}


def test_a_seed_of_its_own_leaves_the_process_alone():
    trainer = trainer_of(nn.Sequential(nn.Dropout(0.5), nn.Dense(3)), seed=5)
    trainer.step(data())
    assert kuai.random.get_state() == {"seed": 0, "count": 0}
    assert trainer.engine.keys.state() == {"seed": 5, "count": 1, "own": 1}


def test_a_changed_rate_takes_effect():
    net, batch = nn.Sequential(nn.Dropout(0.0), nn.Dense(3)), data()
    trainer = trainer_of(net)
    trainer.step(batch)
    assert kuai.random.get_state()["count"] == 0
    net[0].rate = 0.5
    trainer.step(batch)
    assert kuai.random.get_state()["count"] == 1


def test_freezing_keeps_the_optimizer_state_of_the_others():
    net, batch = mlp(), data()
    trainer = trainer_of(net, optax.adam(0.1))
    trainer.step(batch)
    kept = np.array(trainer.optimizer_state[0].mu["1.weight"])
    net[0].freeze()
    frozen = np.array(net[0].weight)
    trainer.engine.plan_now()
    state = trainer.optimizer_state[0]
    assert sorted(state.mu) == ["1.bias", "1.weight"]
    np.testing.assert_array_equal(state.mu["1.weight"], kept)
    assert int(state.count) == 1
    trainer.step(batch)
    np.testing.assert_array_equal(net[0].weight, frozen)


def test_a_replaced_block_is_trained_from_a_new_state():
    net, batch = mlp(), data()
    trainer = trainer_of(net, optax.adam(0.1))
    trainer.step(batch)
    net.replace("1", nn.Dense(3))
    trainer.step(batch)
    assert np.abs(trainer.optimizer_state[0].mu["1.weight"]).max() > 0
    assert int(trainer.optimizer_state[0].count) == 2


def test_a_value_assigned_between_steps_is_used():
    net, (x, y) = nn.Dense(3), data()
    trainer = trainer_of(net)
    trainer.step((x, y))
    net.weight = jnp.zeros_like(net.weight)
    net.bias = jnp.zeros_like(net.bias)
    assert float(trainer.step((x, y)).loss) == pytest.approx(np.log(3), rel=1e-6)


def test_a_tied_parameter_is_updated_once():
    class Tied(kuai.Block):
        def __init__(self):
            self.first = nn.Dense(4, use_bias=False)
            self.second = nn.Dense(4, use_bias=False)
            self.second.weight = self.first.params.weight

        def forward(self, x):
            return self.second(self.first(x))

    net, x = Tied(), jnp.asarray(np.eye(4, dtype=np.float32))
    net(x)
    before = jnp.array(net.first.weight)
    expected = before - 0.1 * jax.grad(lambda w: jnp.mean((x @ w @ w) ** 2))(before)
    trainer = kuai.Trainer(net, optax.sgd(0.1), kuai.losses.mse)
    trainer.step((x, jnp.zeros((4, 4))))
    np.testing.assert_allclose(net.first.weight, expected, rtol=1e-5, atol=1e-7)
    assert sorted(trainer.engine.plan_now().paths) == ["first.weight"]


def test_several_inputs_and_named_inputs():
    class Two(kuai.Block):
        def __init__(self):
            self.left, self.right = nn.Dense(1), nn.Dense(1)

        def forward(self, a, b):
            return self.left(a) + self.right(b)

    a, b, y = jnp.ones((4, 2)), jnp.ones((4, 3)), jnp.zeros((4, 1))
    losses = []
    for batch in (((a, b), y), {"b": b, "a": a, "target": y}):
        kuai.seed(0)
        losses.append(float(kuai.Trainer(Two(), optax.sgd(0.1), kuai.losses.mse).step(batch).loss))
    assert losses[0] == losses[1]


class Halving(kuai.Block):
    def __init__(self):
        self.dense = nn.Dense(2)

    def forward(self, x):
        x = self.dense(x)
        while jnp.abs(x).sum() > 1:
            x = x / 2
        return x


def test_branching_on_values_trains_compiled_as_it_does_uncompiled():
    batch = jnp.ones((2, 2)), jnp.ones((2, 2))
    losses = []
    for compiled in (True, False):
        net = Halving().initialize(sample=batch[0], seed=1)
        trainer = kuai.Trainer(net, optax.sgd(0.1), kuai.losses.mse, compile=compiled)
        losses.append([float(trainer.step(batch).loss) for _ in range(4)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    assert losses[0][-1] < losses[0][0]


def test_what_cannot_be_compiled_says_how_to_train_it():
    class Deciding(Halving):
        def forward(self, x):
            return super().forward(x) * float(x.sum())

    batch = jnp.ones((2, 2)), jnp.ones((2, 2))
    with pytest.raises(kuai.errors.HybridizeError, match=r"float\(\).* compile=False\) trains it"):
        kuai.Trainer(Deciding(), optax.sgd(0.1), kuai.losses.mse).step(batch)


def test_a_loss_that_is_not_finite_changes_nothing():
    net, (x, y) = mlp(), data()
    trainer = trainer_of(net, optax.adam(0.1))
    trainer.step((x, y))
    before = weights_of(net)
    assert np.isnan(trainer.step((x * jnp.nan, y)).loss)
    assert_same(weights_of(net), before)
    assert int(trainer.optimizer_state[0].count) == 1


def test_an_array_that_forward_leaves_on_the_block_is_there_afterwards():
    class Leaves(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(3)

        def forward(self, x):
            self.seen = self.dense(x)
            return self.seen

    net, (x, y) = Leaves(), data()
    trainer = trainer_of(net)
    trainer.step((x, y))
    trainer.step((x[:4], y[:4]))
    assert net.seen.shape == (4, 3)
    trainer.fit((np.asarray(x), np.asarray(y)), batch_size=6, epochs=2)
    assert net.seen.shape == (4, 3)


def test_the_rate_of_an_injected_optimizer_can_be_set():
    net, batch = mlp(), data()
    trainer = trainer_of(net, optax.inject_hyperparams(optax.sgd)(learning_rate=0.1))
    trainer.step(batch)
    state = trainer.optimizer_state
    state.hyperparams["learning_rate"] = 0.0
    trainer.optimizer_state = state
    before = weights_of(net)
    trainer.step(batch)
    assert_same(weights_of(net), before)


def test_bfloat16_parameters_stay_bfloat16():
    net, (x, y) = mlp().astype(jnp.bfloat16), data()
    net(x.astype(jnp.bfloat16))
    trainer_of(net, optax.adam(0.1)).step((x.astype(jnp.bfloat16), y))
    assert net[0].weight.dtype == jnp.bfloat16


BAD_TRAINERS = [
    (
        {"optimizer": "adam"},
        r"an optax optimizer such as optax.adam\(1e-3\), got the name 'adam'",
    ),
    ({"optimizer": optax.adam}, "got the function adam; call it with a learning rate"),
    ({"loss": "mse"}, r"loss: expected a function of \(output, target\) .* got 'mse'"),
    ({"net": lambda x: x}, "net: expected a block, got function"),
    ({"metrics": ["accuracy", "accuracy"]}, "expected different names"),
    ({"seed": -1}, r"seed: expected an integer from 0 to 2\*\*32 - 1, got -1"),
]


@pytest.mark.parametrize(("wrong", "message"), BAD_TRAINERS, ids=lambda value: str(value)[:30])
def test_arguments_that_are_refused(wrong, message):
    good = {"net": nn.Dense(1), "optimizer": optax.sgd(0.1), "loss": kuai.losses.mse}
    with pytest.raises(kuai.errors.ArgumentError, match=message):
        kuai.Trainer(**{**good, **wrong})


def test_an_optimizer_of_torch_is_named():
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    with pytest.raises(kuai.errors.ArgumentError, match=r"got torch\.optim\.sgd\.SGD"):
        kuai.Trainer(nn.Dense(1), theirs, kuai.losses.mse)


BAD_BATCHES = [
    ((jnp.ones((3, 2)), jnp.ones((2, 1))), "equal length"),
    ((jnp.ones((0, 2)), jnp.ones((0, 1))), "no examples"),
    (jnp.ones((3, 2)), r"expected \(x, y\)"),
    ((jnp.ones((3, 2)),) * 3, "got 3 arrays; put several inputs in a tuple of their own"),
    ({"x": jnp.ones((3, 2))}, "expected the key 'target'"),
    ((None, jnp.ones((3, 1))), "expected an array of numbers"),
]


@pytest.mark.parametrize(("batch", "message"), BAD_BATCHES, ids=range(len(BAD_BATCHES)))
def test_batches_that_are_refused(batch, message):
    net = nn.Dense(1)
    with pytest.raises(kuai.errors.DataError, match=message):
        kuai.Trainer(net, optax.sgd(0.1), kuai.losses.mse).step(batch)
    assert net.params.weight.shape == (None, 1)


def test_a_wrong_width_says_where():
    net, (x, y) = mlp(), data()
    trainer = trainer_of(net)
    trainer.step((x, y))
    before = weights_of(net)
    with pytest.raises(kuai.errors.ShapeError, match="Sequential: 0 "):
        trainer.step((x[:, :3], y))
    assert_same(weights_of(net), before)
    assert kuai.random.get_state()["count"] == 0


def test_a_loss_that_is_no_scalar_is_refused():
    trainer = kuai.Trainer(nn.Dense(1), optax.sgd(0.1), lambda output, target: output - target)
    with pytest.raises(kuai.errors.ShapeError, match=r"expected a scalar .* got shape \(2, 1\)"):
        trainer.step((jnp.ones((2, 1)), jnp.ones((2, 1))))


@pytest.mark.parametrize("ready", [True, False])
def test_a_block_outside_the_net_is_refused(ready):
    outside = nn.Dense(3)
    if ready:
        outside(jnp.ones((1, 3)))

    class Hidden(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(3)

        def forward(self, x):
            return outside(self.dense(x))

    what = "calls Dense" if ready else r"reads Parameter\(shape=\(3, 3\)"
    message = f"{what}.*which does not stand on the net"
    with pytest.raises(kuai.errors.RegistrationError, match=message):
        trainer_of(Hidden()).step(data())
