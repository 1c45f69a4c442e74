"""What the tests of the command line share."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from kuai.cli import main


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Kuai = Callable[..., Answer]


def quiet_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """An empty folder, and no setting from outside but that no compiled program is kept.

    What the command line sets for its process is left out (JAX's cache, kept memory) or put back
    (the log).
    """
    for name in [name for name in os.environ if name.startswith("KUAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KUAI_CACHE", "off")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("kuai.cli.cache.set_up", lambda choice: None)
    monkeypatch.setattr(import_module("kuai.hybrid.memory"), "keep_memory", lambda: True)
    logger = logging.getLogger("kuai")
    monkeypatch.setattr(logger, "handlers", list(logger.handlers))
    monkeypatch.setattr(logger, "level", logger.level)


def caller(capsys: pytest.CaptureFixture[str]) -> Kuai:
    def kuai(*words: Any) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Answer(code, *capsys.readouterr())

    return kuai


def write_blobs(path: Path, examples: int = 60) -> Path:
    """Three classes of points in the plane, well apart."""
    generator = np.random.default_rng(0)
    labels = np.arange(examples) % 3
    points = generator.normal(size=(examples, 2)) * 0.2 + np.eye(3)[labels][:, :2] * 3
    np.savez(path, x=points.astype(np.float32), y=labels)
    return path


SMALL = ("--hidden", "8", "--dropout", "0", "--batch-size", "16", "--lr", "0.01")
