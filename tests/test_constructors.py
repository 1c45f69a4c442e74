"""What inspect, help and IPython tell of a block's class: the arguments of its constructor."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import pickle
import pydoc
import re
import traceback
from typing import Any

import jax.numpy as jnp
import jaxtyping
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, SignatureError
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


# ---- arguments that a constructor does not take


@pytest.fixture
def annotations_not_enforced():
    """As for users, whose constructor arguments no type checker sees."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Own:
    """Classes above, so that mypy lets bad arguments pass."""

    wide: Any = Wide
    inherits: Any = Inherits
    fields: Any = Fields


def with_one_more(init):
    @functools.wraps(init)
    def call(self, extra, *args):
        init(self, *args)

    return call


class Decorated(kuai.Block):
    """Its `__init__` runs inside a function that takes one argument more."""

    @with_one_more
    def __init__(self, width):
        super().__init__()
        self.width = 1 + width


class Fails(kuai.Block):
    def __init__(self, width):
        super().__init__()
        self.width = 1 + width


class Holds(kuai.Block):
    def __init__(self):
        super().__init__()
        self.inner = Own.wide()


loose: Any = nn
models: Any = kuai.models
loose_kuai: Any = kuai

UNBOUND = [
    (
        lambda: loose.Conv2d(3, kernel_size=3),
        (
            "Conv2d: expected the arguments (filters, kernel, strides=1, padding='valid', "
            "dilation=1, groups=1, use_bias=True, activation=None, init=None, bias_init='zeros', "
            "layout='channels_last', dtype='float32'), got kernel_size, which it does not take, "
            "and no kernel; did you mean kernel?"
        ),
    ),
    (lambda: loose.LSTM(hidden_size=3), "got hidden_size, which it does not take, and no units"),
    (lambda: loose.Dense(3, bias=False), "got bias, which it does not take; did you mean use_bias"),
    (lambda: loose.MultiHeadAttention(num_heads=2), "no heads; did you mean heads?"),
    (lambda: loose.MaxPool2d(kernel_size=2), "MaxPool2d: expected the arguments (pool, strides="),
    (lambda: loose.Dense(), "Dense: expected the arguments (units, activation=None"),
    (lambda: loose.Dense(), "dtype='float32'), got no units"),
    (lambda: loose.Dense(3, units=3), "got units twice, by place and by name"),
    (lambda: loose.ReLU(inplace=True), "ReLU: expected no arguments, got inplace, which it does"),
    (lambda: loose.ReLU(True), "ReLU: expected no arguments, got 1 by place, where it takes 0"),
    (
        lambda: loose.Sequential(name="net"),
        "Sequential: expected the arguments (*blocks), got name",
    ),
    (lambda: models.resnet18(num_classes=10), "num_classes, which it does not take; did you mean"),
    (lambda: models.vgg11(num_classes=10), "num_classes, which it does not take; did you mean cl"),
    (lambda: models.mlp(num_classes=10), "mlp: expected the arguments (hidden=(256, 128), cla"),
    (lambda: models.lenet(num_classes=10), "lenet: expected the arguments (classes=10, *, activ"),
    (
        lambda: Own.wide(3, 4),
        "(width, *, depth=2), got 2 by place, where it takes 1; write the others",
    ),
    (
        lambda: Own.wide(dept=3),
        "got dept, which it does not take, and no width; did you mean depth?",
    ),
    (lambda: Own.inherits(), "Inherits: expected the arguments (width, *, depth=2), got no width"),
    (lambda: Holds(), "Wide: expected the arguments (width, *, depth=2), got no width"),
    (lambda: Own.fields(4, size=2), "Fields: expected the arguments (width, depth=2), got size"),
    (
        lambda: loose_kuai.grad(models.mlp(), argnums=1),
        "got argnums, which it does not take; here it is",
    ),
    (
        lambda: loose_kuai.grad(models.mlp(), 0),
        "grad: expected the arguments (function, *, wrt=None",
    ),
    (
        lambda: loose_kuai.value_and_grad(models.mlp(), argnums=1),
        (
            "value_and_grad: expected the arguments (function, *, wrt=None, has_aux=False), got "
            "argnums, which it does not take; here it is wrt="
        ),
    ),
    (
        lambda: models.GPT2(5, layers=1, heads=1, width=2).generate(
            jnp.array([[1]]), max_new_tokens=3
        ),
        "no length; here it is length=",
    ),
    (
        lambda: models.GPT2(5, layers=1, heads=1, width=2).generate(jnp.array([[1]]), 3, 4),
        "GPT2.generate: expected the arguments (tokens, length, *, lengths=None, temperature=0.0",
    ),
]


@pytest.mark.usefixtures("annotations_not_enforced")
@pytest.mark.parametrize(("make", "text"), UNBOUND)
def test_arguments_that_it_does_not_take_are_told(make, text):
    with pytest.raises(SignatureError, match=re.escape(text)) as caught:
        make()
    assert isinstance(caught.value, ArgumentError)
    assert isinstance(caught.value, TypeError)


@pytest.mark.usefixtures("annotations_not_enforced")
@pytest.mark.parametrize("make", [lambda: Fails("a"), lambda: Decorated(None, "a")])
def test_a_type_error_from_inside_a_constructor_stays_what_it_is(make):
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        make()
    assert type(caught.value) is TypeError
    assert traceback.extract_tb(caught.value.__traceback__)[-1].line == "self.width = 1 + width"


def test_a_constructor_written_in_c_keeps_pythons_words():
    class Odd(kuai.Block):
        __init__ = dict.__init__

    with pytest.raises(TypeError, match="descriptor '__init__'"):
        Odd(3)
