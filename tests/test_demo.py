"""The chapter's listings print what the book says of them, and the demo runs them all."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
LISTINGS = sorted((EXAMPLES / "chapter").glob("*.py"))


def printed(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    runpy.run_path(str(EXAMPLES / "chapter" / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def test_every_listing_is_tested_here():
    text = Path(__file__).read_text()
    assert [file.stem for file in LISTINGS if f'printed("{file.stem}"' not in text] == []
    assert len(LISTINGS) == 7


def test_dense_mlp(capsys):
    output = printed("01_dense_mlp", capsys)
    assert "Sequential(Dense(256, activation='relu'), Dense(10))" in output
    assert "input (2, 20) -> output (2, 10)" in output


def test_custom_block(capsys):
    output = printed("02_custom_block", capsys)
    assert "output (2, 10)" in output
    assert re.findall(r"^(\S+) +(\(.*\))$", output, re.MULTILINE)[-4:] == [
        ("hidden.weight", "(20, 256)"),
        ("hidden.bias", "(256,)"),
        ("out.weight", "(256, 10)"),
        ("out.bias", "(10,)"),
    ]


def test_my_sequential(capsys):
    output = printed("03_my_sequential", capsys)
    assert "output (2, 10)" in output
    assert "['steps.0.weight', 'steps.0.bias', 'steps.1.weight', 'steps.1.bias']" in output


def test_forward_is_python(capsys):
    output = printed("04_forward_is_python", capsys)
    assert "trained: ['dense.weight', 'dense.bias']" in output  # rand_weight is not
    sums = [float(text) for text in re.findall(r"(?:MLP:|chimera:|hybridized:) +(\S+)", output)]
    assert len(sums) == 3
    assert all(abs(value) <= 1 for value in sums)  # the while has halved it down
    assert sums[2] == pytest.approx(sums[1], rel=1e-5)
    assert re.search(r"its while in line \d+ made [1-9]\d* trips", output)
    assert "0.net.0.weight         (20, 64)" in output


def test_blocks_in_a_list(capsys):
    output = printed("05_blocks_in_a_list", capsys)
    assert len(re.findall(r"blocks_in_order\.[01]\.(?:weight|bias) +\(.*gradient \(", output)) == 4


def test_parallel_block(capsys):
    output = printed("06_parallel_block", capsys)
    assert "outputs (2, 3) and (2, 4) -> together (2, 7)" in output
    assert "nn.Parallel gives the same: True" in output


def test_many_instances(capsys):
    output = printed("07_many_instances", capsys)
    numbers = [int(text) for text in re.findall(r"(\d+) numbers to train", output)]
    one = (20 * 16 + 16) + (16 * 20 + 20)
    assert numbers == [3 * one, 3 * one, one]


@pytest.mark.slow
def test_the_demo_ends_with_a_net_that_reads_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUAI_CACHE", "off")
    demo = runpy.run_path(str(EXAMPLES / "demo.py"))
    assert demo["main"]() == 0
    output = capsys.readouterr().out
    assert all(file.name in output for file in LISTINGS)
    assert max(map(len, output.splitlines())) <= 100
    (accuracy,) = re.findall(r"^test .* (\S+)$", output, re.MULTILINE)
    assert float(accuracy) >= 0.97
    for name in re.findall(r"^runs/demo/(\S+)$", output, re.MULTILINE):
        assert (tmp_path / "runs" / "demo" / name).stat().st_size > 0
    assert "Open runs/demo/report.html first" in output
