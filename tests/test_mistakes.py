"""What users get wrong with nets, data and training: a short message that says what to do."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, DataError, NonFiniteError

X = np.linspace(-1, 1, 48, dtype=np.float32).reshape(12, 4)
LABELS = np.arange(12, dtype=np.int32) % 3


def trainer(net=None, loss=kuai.losses.softmax_cross_entropy, **keywords):
    return kuai.Trainer(net or nn.Dense(3), optax.sgd(0.1), loss, **keywords)


LISTS = {
    "fit": (lambda: trainer().fit((X.tolist(), LABELS)), "the data: ", " at [0]"),
    "evaluate": (lambda: trainer().evaluate((X, LABELS.tolist())), "the data: ", " at [1]"),
    "step": (lambda: trainer().step((X.tolist(), LABELS)), "the batch: ", " at [0]"),
    "dict": (
        lambda: trainer().fit({"x": X.tolist(), "target": LABELS}), "the data: ", " at ['x']"
    ),
    "two inputs": (
        lambda: trainer().fit(((X, X.tolist()), LABELS)), "the data: ", " at [0][1]"
    ),
    "predict": (lambda: trainer().predict(X.tolist()), "batch 0 of epoch 0: ", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_numbers_is_no_array(name):
    call, where, place = LISTS[name]
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == (
        f"{where}expected arrays, got a list of numbers{place}; make an array of it with "
        "np.asarray(numbers, np.float32), or np.int32 for labels"
    )


def test_many_arrays_of_unequal_lengths_are_not_all_told():
    arrays = {f"array_{number}": np.zeros(number + 1) for number in range(100)}
    with pytest.raises(DataError, match=r"\['array_7'\] has shape \(8,\), and 100 in all$"):
        kuai.data.as_batches(arrays)


def test_text_is_no_data():
    with pytest.raises(
        DataError, match=r"batches, got the text 'digits'; kuai\.data\.load makes a Dataset of a"
    ):
        trainer().fit("digits")


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("returned", "told"),
    [(None, "None; does it end with `return`?"), ("a", "str"), ((1.0, 2.0), "tuple")],
    ids=str,
)
def test_a_loss_that_returns_no_array(returned, told, compiled):
    wrong = trainer(loss=lambda output, target: returned, compile=compiled)
    for call in (wrong.step, wrong.evaluate, wrong.fit):
        with pytest.raises(ArgumentError) as caught:
            call((X, LABELS))
        (message,) = caught.value.args
        assert message == (
            "loss: expected the function to return a scalar array, such as "
            f"jnp.square(output - target).mean(), got {told}"
        )


@pytest.mark.parametrize("share", [2, True, 1])
def test_a_whole_number_is_no_share_for_validation(share):
    with pytest.raises(ArgumentError) as caught:
        trainer().fit((X, LABELS), validation=share)
    assert str(caught.value) == (
        f"validation={share}: expected a share between 0 and 1 such as 0.1, or data such as (x, y)"
    )


class Fixed(kuai.Block):
    def __init__(self):
        self.table = jnp.ones((4, 3))

    def forward(self, x):
        return x @ self.table


UNTRAINABLE = [
    (Fixed(), r"Fixed .* got constants alone \(table\): .* write kuai\.Parameter\(array\) for"),
    (nn.Dense(3).freeze(), r"Dense .* got frozen ones alone \(weight, bias\); call unfreeze\(\)"),
    (
        nn.Sequential(nn.Dense(3), nn.LayerNorm()).freeze(),
        r"Seq.* \(0\.weight, 0\.bias, 1\.weight, \.\.\.\); c",
    ),
    (nn.Identity(), "Identity .* got none; add a layer with parameters"),
]


@pytest.mark.parametrize(("net", "message"), UNTRAINABLE, ids=range(len(UNTRAINABLE)))
def test_a_net_with_nothing_to_train_says_what_it_has(net, message):
    with pytest.raises(ArgumentError, match=f"^Trainer: expected {message}"):
        trainer(net).fit((X, LABELS))


LOSSES = [
    kuai.losses.softmax_cross_entropy,
    functools.partial(kuai.losses.softmax_cross_entropy, label_smoothing=0.1),
    lambda output, target: kuai.losses.softmax_cross_entropy(output, target),
]


@pytest.mark.parametrize("loss", LOSSES, ids=["plain", "partial", "own"])
@pytest.mark.parametrize("label", [7, -1])
def test_a_label_out_of_range_in_batches_is_blamed_and_not_the_loss(loss, label):
    wrong = LABELS.copy()
    wrong[5] = label
    with pytest.raises(NonFiniteError) as caught:
        trainer(loss=loss).fit([(X, wrong)])
    assert str(caught.value) == (
        "step 1 (epoch 1, batch 1): expected a finite loss, got nan; the labels are out of range: "
        f"expected class numbers from 0 to 2, since the net has 3 outputs, got {label} at [5] (1 "
        "such labels); mend the labels, or give the last layer one output for each class; the net "
        "is as it was before this step"
    )


def test_a_loss_that_is_not_finite_by_itself_is_still_blamed():
    with pytest.raises(NonFiniteError, match="finite: the loss function made it so from them and"):
        trainer(loss=lambda output, target: output.mean() * jnp.nan).fit([(X, LABELS)])


@pytest.mark.parametrize("active", ["yes", None, 1])
def test_hybridize_takes_true_or_false(active):
    net = nn.Dense(3)
    with pytest.raises(ArgumentError) as caught:
        net.hybridize(active)
    assert str(caught.value) == f"Dense.hybridize: expected True or False, got {active!r}"
    assert not net.hybridized


def made():
    return nn.Dense(3).initialize(sample=X)


def trained():
    found = trainer()
    found.step((X, LABELS))
    return found


@pytest.mark.parametrize("path", [None, 3])
@pytest.mark.parametrize("make", [made, trained])
@pytest.mark.parametrize("method", ["save", "load"])
def test_what_is_no_path_is_refused(make, method, path):
    with pytest.raises(ArgumentError) as caught:
        getattr(make(), method)(path)
    assert str(caught.value) == (
        f"path: expected text or a pathlib.Path, got {path}; give the file's name, such as "
        "'net.safetensors'"
    )


@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("summary", lambda net: net.summary((2, 4))),
        ("summary", lambda net: net.summary(2, 4)),
        ("initialize", lambda net: net.initialize(sample=(2, 4))),
    ],
)
def test_a_shape_is_no_sample(where, call):
    net = nn.Dense(3)
    with pytest.raises(ArgumentError) as caught:
        call(net)
    assert str(caught.value) == (
        f"{where}: expected an array as a sample, got (2, 4), which reads like a shape; give "
        "jnp.zeros((2, 4))"
    )
    assert net.params.weight.shape == (None, 3)


class Canvas(kuai.Block):
    """Takes a shape, and is right to."""

    def __init__(self):
        self.colour = kuai.Parameter(jnp.ones(()))

    def forward(self, shape):
        return jnp.broadcast_to(self.colour, shape)


def test_a_block_may_take_a_shape():
    assert Canvas().summary((2, 4)).rows[0].outputs == ((2, 4),)
