"""The summary as text: a table that fits the terminal."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from kuai import nn
from kuai.show import table

X = np.ones((2, 20), np.float32)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def mlp():
    return nn.Sequential(nn.Dense(256, activation="relu"), nn.Dense(10))


def test_the_text_reads_as_a_table():
    lines = str(mlp().summary(X)).splitlines()
    assert lines[1].split("┃")[1:4] == [" path  ", " block      ", " output   "]
    assert lines[4].replace(" ", "") == "│0│Dense│(2,256)│5,376│yes│21.0KiB│21.5k││"
    assert lines[-1].startswith("parameters 7,946 · trainable 7,946 · frozen 0")
    assert repr(mlp().summary(X)) == str(mlp().summary(X))


def deep():
    names = [f"a_block_with_a_long_name_{number}" for number in range(3)]
    net = nn.Dense(1000)
    for name in names:
        net = nn.Sequential((name, net), nn.LayerNorm())
    return net.summary(jnp.ones((7, 300)))


@pytest.mark.parametrize("columns", [30, 47, 80, 119, 500])
def test_the_text_is_no_wider_than_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, str(deep()).splitlines())) <= columns


def test_where_no_terminal_is_known_the_text_has_80_columns(monkeypatch):
    def unknown(descriptor):
        raise OSError("not a terminal")

    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr("os.get_terminal_size", unknown)
    assert 60 < max(map(len, str(deep()).splitlines())) <= 80


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [(200, []), (80, ["note"]), (70, ["note", "bytes"]), (60, ["note", "bytes", "trainable"])],
)
def test_columns_that_a_narrow_table_can_spare_go_first(monkeypatch, columns, left_out):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = str(mlp().summary(X)).splitlines()
    headings = [name for name in table.HEADINGS if name not in left_out]
    assert lines[1].strip("┃ ").split() == " ┃ ".join(headings).split()
    assert "Dense" in lines[4]
    assert "(2, 256)" in lines[4]


def test_a_note_that_says_something_is_not_spared(monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    layer = nn.Dense(20)
    assert "note" in str(nn.Sequential(layer, layer).summary(X)).splitlines()[1]


def test_markup_in_names_is_shown_as_it_is():
    net = nn.BlockDict({"[bold]<b>": nn.Dense(2)})
    summary = net.summary()
    assert "[bold]<b>" in str(summary)
    assert "&lt;b&gt;" in summary._repr_html_()
    assert "<b>" not in summary._repr_html_()
