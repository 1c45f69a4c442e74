"""Bad arguments and inputs: each error says where, what was expected, what came, what to do."""

from __future__ import annotations

import re
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import kuai
from kuai.errors import ArgumentError, DtypeError, ShapeError, SignatureError

nn: Any = kuai.nn  # so that mypy lets bad arguments pass
X = jnp.ones((2, 4))


@pytest.fixture(autouse=True)
def annotations_not_enforced():
    """As for users, whose constructor arguments no type checker sees."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


UNITS = "Dense: expected units to be an integer of at least 1, got {}; write for example units=2"
CONSTRUCTORS = [
    (lambda: nn.Dense(0), UNITS.format("0")),
    (lambda: nn.Dense(-3), UNITS.format("-3")),
    (lambda: nn.Dense("3"), UNITS.format("'3'")),
    (lambda: nn.Dense(True), UNITS.format("True")),
    (lambda: nn.Dense(3.0), UNITS.format("3.0")),
    (lambda: nn.Dense(None), UNITS.format("None")),
    (
        lambda: nn.Dense(3, dtype=int),
        "Dense: expected a floating dtype, got <class 'int'>; write for example dtype=",
    ),
    (lambda: nn.BatchNorm(dtype="flaot32"), "BatchNorm: expected a floating dtype, got 'flaot32'"),
    (lambda: nn.Embedding(0, 4), "Embedding: expected size to be an integer of at least 1, got 0"),
    (lambda: nn.Embedding(4, 0), "Embedding: expected features to be an integer of at least 1"),
    (lambda: nn.Flatten(-1), "Flatten: expected start to be an integer of at least 0, got -1"),
    (lambda: nn.LayerNorm(axes=0), "LayerNorm: expected axes to be an integer of at least 1"),
    (lambda: nn.LayerNorm(epsilon=-1e-5), "LayerNorm: expected epsilon to be a number from 0 up"),
    (lambda: nn.BatchNorm(axis="1"), "BatchNorm: expected axis to be an integer, got '1'; write"),
    (
        lambda: nn.BatchNorm(momentum=1.5),
        "BatchNorm: expected momentum to be a number from 0 to 1, got 1.5; write for",
    ),
    (
        lambda: nn.Dropout(1),
        "Dropout: expected rate to be a number from 0 up to below 1, got 1; write for",
    ),
    (lambda: nn.Dropout(-0.1), "got -0.1; write"),
    (lambda: nn.Dropout("0.5"), "got '0.5'; write"),
    (lambda: nn.Dropout(float("nan")), "got nan; write"),
    (lambda: nn.Dropout(0.5, shared_axes=(1.5,)), "Dropout: expected shared_axes to be an integer"),
    (lambda: nn.Dense(3, dtype=int), "dtype='float32' or dtype=jnp.bfloat16"),
    (lambda: nn.BatchNorm(momentum=1.5), "got 1.5; write for example momentum=0.1"),
    (lambda: nn.Dropout(1), "got 1; write for example rate=0.1"),
    (lambda: nn.BatchNorm(axis="1"), "got '1'; write for example -1"),
    (lambda: nn.Softmax(axis=None), "Softmax: expected axis to be an integer, got None; write"),
]


@pytest.mark.parametrize(("make", "text"), CONSTRUCTORS)
def test_a_bad_argument_is_named(make, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        make()


def test_numpy_integers_are_sizes():
    assert repr(nn.Dense(np.int64(3))) == "Dense(3)"


def test_an_integer_rate_and_momentum_are_numbers():
    assert (nn.Dropout(0).rate, nn.BatchNorm(momentum=1).momentum) == (0, 1)


INPUTS = [
    (None, ArgumentError, "expected an array, got None; pass an array"),
    ([1.0, 2.0], ArgumentError, "got a list of length 2; wrap it in jnp.asarray(...)"),
    ([1, 2], ArgumentError, "got a list of length 2; wrap it in jnp.asarray(...)"),
    (3, ArgumentError, "expected an array, got int 3; wrap it in jnp.asarray(...)"),
    ("text", ArgumentError, "expected an array, got str 'text'; pass an array"),
    (jnp.ones((2, 4), int), DtypeError, "expected a floating input, got int32 of shape (2, 4)"),
    (jnp.ones((2, 4), int), DtypeError, "; cast it with x.astype('float32')"),
    (jnp.ones((2, 4), bool), DtypeError, "expected a floating input, got bool of shape (2, 4)"),
    (jnp.ones((2, 4), complex), DtypeError, "expected a floating input, got complex64"),
    (np.ones((2, 4), "int8"), DtypeError, "expected a floating input, got int8 of shape (2, 4)"),
]  # fmt: skip


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize("known", [False, True], ids=["fresh", "initialized"])
@pytest.mark.parametrize(("x", "error", "text"), INPUTS)
@pytest.mark.parametrize("make", [lambda: nn.Dense(3), nn.LayerNorm, nn.BatchNorm])
def test_a_bad_input_is_named_with_its_path(make, x, error, text, known, hybridized):
    net = nn.Sequential({"first": make()})
    if known:
        net.initialize(sample=X)
    net.hybridize(hybridized)
    before = [(holder.shape, holder.ready) for _, holder in net.named_holders()]
    where = f"Sequential: first ({type(net.first).__name__}): "
    with pytest.raises(error, match=re.escape(where) + ".*" + re.escape(text)):
        net(x)
    assert [(holder.shape, holder.ready) for _, holder in net.named_holders()] == before


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Dense(3), "; give it that width, or make a new layer for the new one"),
        (nn.LayerNorm, "; give it those sizes, or make a new layer for the new ones"),
        (
            lambda: nn.Dense(3),
            "0 (Dense): expected an input with 4 features on axis -1, got shape (2, 5); give it",
        ),
        (
            nn.LayerNorm,
            "Sequential: 0 (LayerNorm): expected an input that ends in (4,), got shape (2, 5)",
        ),
        (
            lambda: nn.LayerNorm(use_scale=False),
            "Sequential: 0 (LayerNorm): expected an input that ends in (4,), got shape (2, 5)",
        ),
        (
            nn.BatchNorm,
            "Sequential: 0 (BatchNorm): expected an input with 4 features on axis 1, got shape",
        ),
    ],
)
def test_another_width_later_is_an_error(make, text, hybridized):
    net = nn.Sequential(make()).hybridize(hybridized)
    net(X)
    with pytest.raises(ShapeError, match=re.escape(text)):
        net(jnp.ones((2, 5)))
    assert net(X).shape[0] == 2


@pytest.mark.parametrize(
    ("make", "shape", "text"),
    [
        (lambda: nn.Dense(3), (), "Dense: expected an input of at least 1 axis, got shape ()"),
        (
            lambda: nn.LayerNorm(axes=2),
            (4,),
            "LayerNorm: expected an input of more than 2 axes",
        ),
        (nn.BatchNorm, (4,), "got shape (4,); add a batch axis with x[None]"),
        (lambda: nn.Flatten(3), (2, 2), "Flatten: expected an input of at least 3 axes, got shape"),
        (
            lambda: nn.BatchNorm(axis=2),
            (2, 4),
            "BatchNorm: expected an input with an axis 2, got shape (2, 4); choose another axis",
        ),
    ],
)
def test_too_few_axes_is_an_error(make, shape, text):
    with pytest.raises(ShapeError, match=re.escape(text)):
        make()(jnp.ones(shape))


def test_a_shared_axis_that_is_not_there_is_an_error():
    text = "Dropout: expected an input with an axis 2, got shape (2, 4); choose another axis"
    with kuai.train_mode(), pytest.raises(ShapeError, match=re.escape(text)):
        nn.Dropout(0.5, shared_axes=(2,))(X)


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize("rows", [0, 1])
def test_batch_norm_cannot_train_on_fewer_than_two_rows(rows, hybridized):
    norm = nn.BatchNorm().initialize(sample=X).hybridize(hybridized)
    text = (
        "BatchNorm: expected at least two values for each feature in training, got shape "
        f"({rows}, 4); use a larger batch, or eval mode"
    )
    with kuai.train_mode(), pytest.raises(ShapeError, match=re.escape(text)):
        norm(jnp.ones((rows, 4)))
    np.testing.assert_array_equal(norm.running_mean, np.zeros(4))
    assert norm(jnp.ones((rows, 4))).shape == (rows, 4)


@pytest.mark.parametrize(
    ("indices", "error", "text"),
    [
        ([0, 7], ArgumentError, "Embedding: expected indices from 0 to 4, got 7; make the"),
        ([0, -1], ArgumentError, "expected indices from 0 to 4, got -1; make the embedding larger"),
        ([0.0], DtypeError, "Embedding: expected integer indices, got float32 of shape (1,); cast"),
        ([True], DtypeError, "expected integer indices, got bool of shape (1,); cast them with"),
        ([], DtypeError, "expected integer indices, got float32 of shape (0,); cast them with"),
    ],
)
def test_bad_indices_are_named(indices, error, text):
    with pytest.raises(error, match=re.escape(text)):
        nn.Embedding(5, 2)(jnp.array(indices))


def test_a_list_of_indices_is_no_array():
    text = "Embedding: expected an array, got a list of length 2; wrap it in jnp.asarray(...)"
    with pytest.raises(ArgumentError, match=re.escape(text)):
        nn.Embedding(5, 2)([1, 2])


def test_too_many_inputs_are_refused_by_name_and_no_features_are_not():
    x = jnp.ones((2, 3))
    text = re.escape("Dense: expected the arguments forward(x), got 2 by place, where it takes 1")
    ready = nn.Dense(3).initialize(sample=x)
    for dense in (nn.Dense(3), ready, nn.Dense(3).hybridize()):
        with pytest.raises(SignatureError, match=f"^{text}(?!;)"):
            dense(x, x)
        with pytest.raises(SignatureError, match=r"^Dense: .* forward\(x\), got no x(?!;)"):
            dense()
        with pytest.raises(
            SignatureError, match=r"forward\(x\), got mask, which it does not take(?!;)"
        ):
            dense(x, mask=x)
    assert nn.Dense(3)(x[:, :0]).tolist() == [[0.0] * 3] * 2
