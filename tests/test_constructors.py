"""What inspect, help and IPython tell of a block's class: the arguments of its constructor."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import pydoc
from typing import Any

import pytest

import kuai
from kuai import nn
from tests.catalogue import CATALOGUE

KINDS = sorted({type(entry.make()) for entry in CATALOGUE}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_signature_of_a_class_is_its_constructors(kind):
    shown = inspect.signature(kind)
    written = inspect.signature(kind.__init__)
    assert list(shown.parameters.values()) == list(written.parameters.values())[1:]
    assert shown.return_annotation == written.return_annotation


def test_help_shows_the_arguments():
    assert "class GELU(kuai.core.block.Block)\n |  GELU(approximate: 'bool' = True)" in (
        pydoc.plain(pydoc.render_doc(nn.GELU))
    )


def test_ipythons_help_shows_the_arguments(tmp_path, monkeypatch):
    pytest.importorskip("IPython", reason="IPython is a peer: make peers")
    from IPython.core.history import HistoryManager
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setattr(HistoryManager, "enabled", False)
    shell = InteractiveShell(user_ns={"nn": nn})
    assert "units: 'int'" in shell.object_inspect("nn.Dense")["init_definition"]


class Wide(kuai.Block):
    def __init__(self, width: int, *, depth: int = 2) -> None:
        super().__init__()
        self.width, self.depth = width, depth


class Inherits(Wide):
    pass


class Overrides(Wide):
    def __init__(self) -> None:
        super().__init__(3)


class States(kuai.Block):
    __signature__ = inspect.Signature([inspect.Parameter("n", inspect.Parameter.KEYWORD_ONLY)])

    def __init__(self, **options: Any) -> None:
        super().__init__()


@dataclasses.dataclass
class Fields(kuai.Block):
    width: int
    depth: int = 2


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (Wide, "(width: 'int', *, depth: 'int' = 2) -> 'None'"),
        (Inherits, "(width: 'int', *, depth: 'int' = 2) -> 'None'"),
        (Overrides, "() -> 'None'"),
        (States, "(*, n)"),
        (Fields, "(width: 'int', depth: 'int' = 2) -> None"),
        (kuai.Block, "() -> 'None'"),
        (type(kuai.Block), str(inspect.signature(type(kuai.Block).__init__)).replace("cls, ", "")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_classes_of_users(kind, shown):
    assert str(inspect.signature(kind)) == shown


def test_a_constructor_set_later_is_shown():
    class Net(kuai.Block):
        pass

    def take_rate(self, rate):
        super(Net, self).__init__()

    Net.__init__ = take_rate
    assert str(inspect.signature(Net)) == "(rate)"
    Net.__signature__ = inspect.Signature()
    assert str(inspect.signature(Net)) == "()"


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_classes_and_blocks_are_copied_and_pickled_as_before(again):
    assert again(Wide) is Wide
    block = again(Wide(4, depth=1))
    assert (type(block), block.width, block.depth) == (Wide, 4, 1)
