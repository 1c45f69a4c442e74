"""Bad arguments and inputs of recurrent layers: each error says where, what, and what to do."""

from __future__ import annotations

import re
from typing import Any

import jax.numpy as jnp
import pytest

import kuai
from kuai.errors import ArgumentError, DtypeError, ShapeError, SignatureError

nn: Any = kuai.nn  # so that mypy lets bad arguments pass
X = jnp.ones((2, 5, 3))

CONSTRUCTORS = [
    (lambda: nn.LSTM(0), "LSTMCell: expected units to be an integer of at least 1, got 0; write"),
    (
        lambda: nn.LSTM(3, 4),
        "LSTM: expected the arguments (units, *, layers=1, bidirectional=False",
    ),
    (lambda: nn.GRU(3, 4), "got 2 by place, where it takes 1; write the others by name"),
    (lambda: nn.RNN(3, "relu", 4), "got 3 by place, where it takes 2; write the others by name"),
    (lambda: nn.GRU(4, layers=0), "GRU: expected layers to be an integer of at least 1, got 0"),
    (lambda: nn.RNN(4, dropout=1.0), "RNN: expected dropout to be a number from 0 up to below 1"),
    (lambda: nn.RNN(4, activation="tahn"), "expected an activation's name, a function, a block or"),
    (lambda: nn.GRUCell(4, dtype="int8"), "GRUCell: expected a floating dtype, got 'int8'; write"),
    (
        lambda: nn.LSTMCell(4, forget_bias="1"),
        "LSTMCell: expected forget_bias to be a number from 0 up to below inf, got '1'",
    ),
    (
        lambda: nn.Bidirectional(nn.GRUCell(2), join="mean"),
        "Bidirectional: expected join 'concat', 'sum' or a function, got 'mean'",
    ),
]


@pytest.mark.parametrize(("make", "text"), CONSTRUCTORS)
def test_a_bad_argument_is_named(make, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        make()


def test_a_cell_that_is_no_block_is_refused():
    with pytest.raises(kuai.errors.RegistrationError, match="Recurrent: expected a block"):
        nn.Recurrent(3)


CALLS: list[Any] = [
    (
        lambda: nn.LSTM(4),
        (X[0],),
        ShapeError,
        "LSTM: expected an input (batch, time, features), got shape (5, 3); add a batch axis",
    ),
    (
        lambda: nn.GRU(4, time_major=True),
        (X[0],),
        ShapeError,
        "(time, batch, features), got shape (5, 3); add a batch axis with x[:, None]",
    ),
    (
        lambda: nn.LSTM(4),
        (X[:, :0],),
        ShapeError,
        "LSTM: expected an input (batch, time, features) of at least one step, got shape (2, 0, 3)",
    ),
    (
        lambda: nn.GRU(4),
        (X[..., None],),
        ShapeError,
        "GRU: expected an input of three axes, batch, time and features, got 4; flatten the others",
    ),
    (
        lambda: nn.RNN(4),
        (jnp.ones((2, 5, 3), int),),
        DtypeError,
        "cells.0 (RNNCell): expected a floating input, got int32 of shape (2, 3); cast it with",
    ),
    (
        lambda: nn.LSTM(4),
        ([1.0],),
        ArgumentError,
        "LSTM: expected an array, got a list of length 1; wrap it in jnp.asarray(...)",
    ),
    (
        lambda: nn.GRU(4),
        (X, None, jnp.array([5, 6])),
        ArgumentError,
        "GRU: expected lengths from 0 to 5, the number of steps, got 6; look at the data, or pad",
    ),
    (lambda: nn.GRU(4), (X, None, jnp.array([-1, 6])), ArgumentError, "number of steps, got -1;"),
    (
        lambda: nn.GRU(4),
        (X, None, jnp.array([5])),
        ShapeError,
        "expected one length for each of 2 sequences, got shape (1,); pass an array of shape (2,)",
    ),
    (
        lambda: nn.GRU(4),
        (X, None, jnp.array([5.0, 1.0])),
        DtypeError,
        "GRU: expected integer lengths, got float32 of shape (2,); cast them with",
    ),
    (
        lambda: nn.GRU(4, layers=2),
        (X, jnp.zeros((1, 2, 4))),
        ShapeError,
        "GRU: expected a state of shape (2, batch, units), one for each layer and direction, got",
    ),
    (
        lambda: nn.GRU(4),
        (X, jnp.zeros((1, 3, 4))),
        ShapeError,
        "(GRUCell): expected a hidden state of shape (2, 4) for an input of shape (2, 3), got (3",
    ),
    (
        lambda: nn.LSTM(4),
        (X, (jnp.zeros((1, 2, 4)), jnp.zeros((1, 2, 5)))),
        ShapeError,
        "expected a cell state of shape (2, 4) for an input of shape (2, 3), got (2, 5); None",
    ),
    (
        lambda: nn.LSTM(4),
        (X, jnp.zeros((1, 2, 4))),
        ArgumentError,
        "cells.0 (LSTMCell): expected the state as a tuple (hidden, cell), got ",
    ),
    (
        lambda: nn.LSTMCell(4),
        (X[:, 0], (jnp.zeros((2, 4)),)),
        ArgumentError,
        "LSTMCell: expected the state as a tuple (hidden, cell), got tuple of 1; None stands for",
    ),
    (
        lambda: nn.Bidirectional(nn.GRUCell(4)),
        (X, jnp.zeros((2, 4))),
        ArgumentError,
        "Bidirectional: expected the state as a tuple (ahead's, back's), got ",
    ),
    (
        lambda: nn.Recurrent(nn.Lambda(lambda x, state: (x, state))),
        (X,),
        ArgumentError,
        "Recurrent: expected a state to begin with, got none, and Lambda has no initial_state(self",
    ),
    (
        lambda: nn.Recurrent(nn.Lambda(lambda x, state: x)),
        (X, jnp.zeros(2)),
        ArgumentError,
        "Recurrent: expected the cell Lambda to return (output, state), got ",
    ),
    (
        lambda: nn.Recurrent(nn.Lambda(lambda x, state: (x, x))),
        (X, jnp.zeros(2)),
        ShapeError,
        (
            "Recurrent: expected the cell Lambda to return a state like the one it was given, "
            "float32[2], got float32[2, 3]; every step needs the same shapes and dtypes"
        ),
    ),
]


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize(("make", "inputs", "error", "text"), CALLS)
def test_a_bad_input_is_named(make, inputs, error, text, hybridized):
    net = make().hybridize(hybridized)
    if hybridized and "number of steps" in text:
        pytest.skip("a program does not look at values; tests/test_recurrent.py says what it does")
    with pytest.raises(error, match=re.escape(text)):
        net(*inputs)


def test_another_width_later_is_an_error():
    net = nn.LSTM(4)
    net(X)
    text = (
        "cells.0 (LSTMCell): expected an input with 3 features on axis -1, got shape (2, 2); give"
    )
    with pytest.raises(ShapeError, match=re.escape(text)):
        net(X[..., :2])


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize("after", [lambda: nn.Dense(2), nn.ReLU], ids=["Dense", "ReLU"])
def test_a_state_that_a_sequential_hands_on_is_told(after, hybridized):
    net = nn.Sequential(nn.LSTM(4), after()).hybridize(hybridized)
    text = (
        "expected the arguments forward(x), got 2 by place, where it takes 1; the step before gave "
        "a tuple of 2, and its parts are handed on one by one: let it give one array (a recurrent "
        "layer does with return_state=False)"
    )
    with pytest.raises(SignatureError, match=re.escape(text)):
        net(X)


def test_inputs_of_a_sequential_itself_are_no_step_befores():
    with pytest.raises(
        SignatureError, match=r"0 \(Dense\): .* got 2 by place, where it takes 1(?!;)"
    ):
        nn.Sequential(nn.Dense(2), nn.ReLU())(X, X)
