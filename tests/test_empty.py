"""Empty batches: layers take them, what speaks of the examples refuses (decision 11)."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from kuai.errors import DataError, ShapeError

X, Y = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)


def net():
    return nn.Sequential(nn.Dense(5, "relu"), nn.BatchNorm(), nn.Dropout(0.5), nn.Dense(3))


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_net_gives_no_rows_for_no_rows(hybridized):
    found = net().hybridize(hybridized)
    for _ in range(2):
        output = found(X)
        assert (output.shape, output.dtype) == ((0, 3), jnp.float32)
    assert found(np.ones((2, 4), np.float32)).shape == (2, 3)


def test_gradients_over_no_rows_are_zeros():
    loss, gradients = kuai.value_and_grad(lambda net, x: net(x).sum())(nn.Dense(3), X)
    assert float(loss) == 0
    assert {path: float(jnp.abs(g).sum()) for path, g in gradients.items()} == {
        "weight": 0,
        "bias": 0,
    }


def test_torch_takes_it_everywhere():
    torch = pytest.importorskip("torch", reason="torch is a peer: make peers")
    rows = torch.nn.Linear(4, 3)(torch.zeros(0, 4))
    assert rows.shape == torch.nn.BatchNorm1d(3)(rows).shape == (0, 3)
    assert torch.nn.functional.mse_loss(rows, rows).isnan()


@pytest.mark.parametrize("hybridized", [False, True])
def test_batch_norm_takes_no_statistics_of_nothing(hybridized):
    layer = nn.BatchNorm().hybridize(hybridized)
    with kuai.train_mode(), pytest.raises(ShapeError) as caught:
        layer(X)
    assert caught.value.args[0] == (
        "BatchNorm: expected at least two values for each feature in training, got shape (0, 4); "
        "use a larger batch, or eval mode"
    )


def trainer():
    return kuai.Trainer(net(), optax.adam(0.1), kuai.losses.softmax_cross_entropy)


REFUSALS = {
    "step": (lambda: trainer().step((X, Y)), "the batch"),
    "fit": (lambda: trainer().fit((X, Y)), "the data"),
    "fit on batches": (lambda: trainer().fit([(X, Y)]), "batch 0 of epoch 0"),
    "validation": (
        lambda: trainer().fit((np.ones((2, 4)), np.ones(2, int)), validation=(X, Y)), "the data"
    ),
    "evaluate": (lambda: trainer().evaluate((X, Y)), "the data"),
    "predict": (lambda: trainer().predict(X), "the data"),
    "find_learning_rate": (lambda: kuai.find_learning_rate(trainer(), (X, Y)), "the data"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_training_refuses_no_examples(name):
    call, where = REFUSALS[name]
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == (
        f"{where}: there are no examples in it; leave empty batches out, or look at what chose the "
        "examples"
    )


def test_a_step_that_is_refused_changes_nothing():
    found = trainer()
    found.step((np.ones((4, 4), np.float32), np.zeros(4, np.int32)))
    before = np.asarray(found.net[0].weight)
    with pytest.raises(DataError):
        found.step((X, Y))
    np.testing.assert_array_equal(found.net[0].weight, before)
    assert found.position.steps == 1


def test_no_batches_at_all_are_refused():
    with pytest.raises(DataError) as caught:
        trainer().fit([])
    assert str(caught.value) == "the data gave no batch; expected at least one an epoch"


@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("mse: the batch is empty: predictions", lambda: kuai.losses.mse(X, X)),
        ("softmax_cross_entropy: the batch is empty: logits",
         lambda: kuai.losses.softmax_cross_entropy(X, Y)),
        ("accuracy: the batch is empty: output", lambda: kuai.metrics.accuracy()(X, Y)),
    ],
)  # fmt: skip
def test_losses_and_metrics_have_no_value_for_nothing(where, call):
    with pytest.raises(ShapeError) as caught:
        call()
    assert str(caught.value) == (
        f"{where} has the shape (0, 4); leave it out, for nothing has no mean"
    )
