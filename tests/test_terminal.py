"""On a terminal: colours only where they are wanted, and lines that fit it."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys

import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from kuai.train.progress import Bar

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7](;[0-9;]*)?m|\x1b\[[0-9;]*38;")
ESCAPE = "\x1b"
TRAINING = """
import numpy as np, optax, kuai
from kuai import nn
net = nn.Dense(1)
trainer = kuai.Trainer(net, optax.sgd(0.1), kuai.losses.mse)
trainer.fit((np.ones((64, 2), np.float32), np.ones((64, 1), np.float32)), epochs=2)
"""


def on_a_terminal(command: list[str], **variables: str) -> str:
    """What a command writes to stdout and stderr that are both one terminal."""
    ours, theirs = pty.openpty()
    unset = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"KUAI_CACHE": "off", "COLUMNS": "80", "TERM": "xterm-256color", **variables}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    chunks = []
    while chunk := _read(ours):
        chunks.append(chunk)
    os.close(ours)
    assert process.wait() == 0, b"".join(chunks)
    return b"".join(chunks).decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux says so when the other end is closed
        return b""


SHOW = [sys.executable, "-m", "kuai", "show", "mlp"]
TRAIN = [sys.executable, "-c", TRAINING]


@pytest.mark.parametrize("command", [SHOW, TRAIN], ids=["show", "train"])
def test_a_dumb_terminal_gets_no_codes(command):
    text = on_a_terminal(command, TERM="dumb")
    assert ESCAPE not in text
    assert "FLOPs" in text or "epoch 2" in text


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_respected(variables, coloured):
    assert bool(COLOUR.search(on_a_terminal(TRAIN, **variables))) == coloured


@pytest.fixture
def trainer():
    return kuai.Trainer(nn.Dense(1), optax.sgd(0.1), kuai.losses.mse, ["mae", "r2"])


DATA = np.ones((64, 2), np.float32), np.ones((64, 1), np.float32)


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_progress_is_no_wider_than_the_terminal(monkeypatch, capsys, trainer, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    trainer.fit(DATA, epochs=2, validation=0.25, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "epoch 2" in captured.err
    assert max(map(len, captured.err.splitlines())) <= columns


def test_the_line_of_the_bar_itself_fits_too(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    bar = Bar()
    try:
        bar.epoch(100, 1000, 100_000, 0)
        bar.advance(50_000, {"loss": 123.456, "accuracy": 0.5})
        with bar._console.capture() as captured:
            bar._console.print(bar._progress.get_renderable())
    finally:
        bar.close()
    lines = captured.get().splitlines()
    assert len(lines) == 1
    assert 30 < len(lines[0]) <= 40


def test_the_library_logs_nowhere_unless_a_program_asks():
    code = "import logging, kuai; logging.getLogger('kuai.any').error('heard?')"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("", "")
    handlers = logging.getLogger("kuai").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
