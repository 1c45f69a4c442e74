"""Blocks and summaries in notebooks: IPython's printer, and treescope."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

import kuai
from kuai import nn


class Net(kuai.Block):
    def __init__(self):
        self.dense = nn.Dense(2, init="ones")
        self.body = nn.Sequential(nn.Identity(), ("last", nn.Dense(1)))
        self.rate = 0.5
        self._hidden = 1


@pytest.fixture
def net():
    found = Net()
    found.dense.initialize(sample=jnp.ones((1, 3)))
    return found


class Printer:
    """IPython's printer as far as kuai uses it."""

    def __init__(self):
        self.told = []

    def text(self, text):
        self.told.append(text)

    def break_(self):
        self.told.append("\n")


def wide():
    return nn.Sequential(*[nn.Dense(units, activation="relu") for units in range(1, 5)])


@pytest.mark.parametrize("shown", [nn.Dense(2), wide(), wide().summary()], ids=["a", "b", "c"])
def test_the_printer_gets_the_repr_line_by_line(shown):
    printer = Printer()
    shown._repr_pretty_(printer, cycle=False)
    assert "".join(printer.told) == repr(shown)
    assert not any("\n" in text for text in printer.told if text != "\n")


def test_a_cycle_is_cut_short():
    printer = Printer()
    wide()._repr_pretty_(printer, cycle=True)
    assert printer.told == ["Sequential(...)"]


def test_ipython_indents_a_block_inside_a_list():
    pretty = pytest.importorskip("IPython.lib.pretty", reason="IPython is a peer: make peers")
    first, *rest = pretty.pretty([wide()]).splitlines()
    assert first == "[Sequential("
    assert rest == [
        "   Dense(1, activation='relu'),",
        "   Dense(2, activation='relu'),",
        "   Dense(3, activation='relu'),",
        "   Dense(4, activation='relu'),",
        " )]",
    ]


@pytest.fixture
def treescope():
    return pytest.importorskip("treescope", reason="treescope is a peer: make peers")


def test_treescope_shows_what_stands_on_a_block(treescope, net):
    text = "".join(treescope.render_to_text(net).split())
    assert text.startswith("Net(dense=Dense(weight=<jax.Arrayfloat32(3,2)")
    assert "body=Sequential(Identity(),last=Dense(weight=Parameter(shape=(None,1)," in text
    assert "rate=0.5" in text
    assert "_hidden" not in text


def test_treescope_marks_what_stands_twice_and_ends_at_a_cycle(treescope, net):
    net.again = net.dense
    net.body.parent = net
    text = treescope.render_to_text(net)
    assert text.count("Repeated python obj") >= 2
    assert "parent=<cyclic reference to Net" in text


def paths_of(treescope, shown):
    """What treescope is told to be the way to each thing inside."""
    seen = {}

    def render(value, path=None):
        seen[path] = value
        return treescope.rendering_parts.text("")

    shown.__treescope_repr__("net", render)
    return seen


def test_the_paths_given_to_treescope_are_code(treescope, net):
    for thing in (net, net.body):
        found = paths_of(treescope, thing)
        for path, value in found.items():
            reached = eval(path, {"net": thing})  # noqa: S307  # the paths under test
            assert reached is value or bool((reached == value).all())
    assert list(paths_of(treescope, net.body)) == ["net[0]", "net.last"]


def test_treescope_shows_a_summary_as_its_table(treescope, net):
    text = treescope.render_to_text(net.summary())
    assert "Summary of Net" in text
    assert "parameters" in text


def test_looking_leaves_a_net_as_it_is(treescope, net):
    treescope.render_to_html(net)
    assert net.body.last.params.weight.shape == (None, 1)
    assert not net.body.last.params.weight.ready
