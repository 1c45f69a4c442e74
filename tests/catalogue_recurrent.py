"""The recurrent layers of kuai.nn: one entry each, of outputs. tests/test_recurrent.py has more."""

from __future__ import annotations

from typing import Any

import numpy as np

from kuai import nn
from tests.entry import Entry
from tests.oracles_recurrent import gru_step, lstm_step, over_time, rnn_step

SEQUENCES = ((2, 3, 4),)


def torch_names(cells: int, both: bool, at: str = "inner.") -> dict[str, str]:
    """Paths of `cells` → names of torch's parameters."""
    names: dict[str, str] = {}
    for cell in range(cells):
        layer, back = (cell // 2, cell % 2) if both else (cell, 0)
        end = f"l{layer}" + "_reverse" * back
        names |= {
            f"cells.{cell}.input_weight": f"{at}weight_ih_{end}.T",
            f"cells.{cell}.recurrent_weight": f"{at}weight_hh_{end}.T",
            f"cells.{cell}.bias": f"{at}bias_ih_{end}",
            f"cells.{cell}.recurrent_bias": f"{at}bias_hh_{end}",
        }
    return names


def outputs_alone(torch: Any, module: Any) -> Any:
    class Outputs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            return self.inner(x)[0]

    return Outputs()


def reversed_then_both(a, x):
    x = over_time(rnn_step(), 1, a, "0.cell.", x, reverse=True)
    back = over_time(gru_step, 1, a, "1.back.", x, reverse=True)
    return over_time(gru_step, 1, a, "1.ahead.", x) + back


RECURRENT = [
    Entry(
        "RNN",
        lambda: nn.RNN(5, activation="relu", return_state=False, time_major=True),
        lambda a, x: np.swapaxes(
            over_time(rnn_step(lambda s: np.maximum(s, 0)), 1, a, "cells.0.", np.swapaxes(x, 0, 1)),
            0,
            1,
        ),
        inputs=((3, 2, 4),),
        output=(3, 2, 5),
        peer=lambda t: outputs_alone(t, t.nn.RNN(4, 5, nonlinearity="relu")),
        names=torch_names(1, False),
        mixed="promoted",
        batch=1,
    ),
    Entry(
        "LSTM",
        lambda: nn.LSTM(5, return_state=False),
        lambda a, x: over_time(lstm_step, 2, a, "cells.0.", x),
        inputs=SEQUENCES,
        output=(2, 3, 5),
        peer=lambda t: outputs_alone(t, t.nn.LSTM(4, 5, batch_first=True)),
        names=torch_names(1, False),
        mixed="promoted",
    ),
    Entry(
        "GRU",
        lambda: nn.GRU(5, return_state=False),
        lambda a, x: over_time(gru_step, 1, a, "cells.0.", x),
        inputs=SEQUENCES,
        output=(2, 3, 5),
        peer=lambda t: outputs_alone(t, t.nn.GRU(4, 5, batch_first=True)),
        names=torch_names(1, False),
        mixed="promoted",
    ),
    Entry(
        "Recurrent and Bidirectional",
        lambda: nn.Sequential(
            nn.Recurrent(nn.RNNCell(3, use_bias=False), reverse=True, return_state=False),
            nn.Bidirectional(nn.GRUCell(5), join="sum", return_state=False),
        ),
        reversed_then_both,
        inputs=SEQUENCES,
        output=(2, 3, 5),
        mixed="promoted",
    ),
]
