"""What `nn.Repeat` refuses, and the words it does so with."""

from __future__ import annotations

import itertools
import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, DtypeError, RegistrationError, ShapeError
from tests.repeating import X

REPEAT: Any = nn.Repeat  # called with what its types forbid, too
WIDTHS = itertools.cycle([4, 5])


def tanhs(n: Any = 2, **options: Any) -> Any:
    return REPEAT(nn.Tanh(), n, **options)


def one_after_the_other(*layers: Any) -> Any:
    return REPEAT(iter(layers).__next__, len(layers))


REFUSED: dict[str, Any] = {
    "of at least 1, got 0; write for example n=12": (ArgumentError, lambda: tanhs(0)),
    "number of layers of at least 1, got True;": (ArgumentError, lambda: tanhs(True)),
    "number of layers of at least 1, got 2.0;": (ArgumentError, lambda: tanhs(2.0)),
    "expected unroll to be True, or a number of layers of at least 1, got 0; write for example": (
        ArgumentError,
        lambda: tanhs(unroll=0),
    ),
    "such as 'dots', a function of jax.checkpoint_policies, or False, got 'dotz'": (
        ArgumentError,
        lambda: tanhs(remat="dotz"),
    ),
    "or False, got 3; remat() keeps nothing but the inputs": (
        ArgumentError,
        lambda: tanhs(remat=3),
    ),
    "expected a block, or a function that makes one, got int 3; write for example nn.Repeat(": (
        RegistrationError,
        lambda: REPEAT(3, 2),
    ),
    "expected the function to make a block, got ndarray for layer 0; return the layer from it": (
        RegistrationError,
        lambda: REPEAT(lambda: np.ones(2), 2),
    ),
    "got layer 1 where weight.shape is (None, 5), and (None, 4) in layer 0; make every layer by "
    "the same code, pass what differs as per_layer=, or use nn.Sequential": (
        ArgumentError,
        lambda: REPEAT(lambda: nn.Dense(next(WIDTHS)), 2),
    ),
    "got layer 1 where the layer itself is ReLU, and Tanh in layer 0; make": (
        ArgumentError,
        lambda: one_after_the_other(nn.Tanh(), nn.ReLU()),
    ),
    "got layer 2 where block is ReLU, and Tanh in layer 0; make": (
        ArgumentError,
        lambda: one_after_the_other(*map(nn.Residual, [nn.Tanh(), nn.Tanh(), nn.ReLU()])),
    ),
    "got layer 1 where rate is 0.2, and 0.1 in layer 0; make": (
        ArgumentError,
        lambda: one_after_the_other(nn.Dropout(0.1), nn.Dropout(0.2)),
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_bad_arguments_are_named(text):
    error, make = REFUSED[text]
    with pytest.raises(error, match="Repeat: .*" + re.escape(text)):
        make()


def plus(x: Any, a: Any) -> Any:
    return x + total(a)


def total(tree: Any) -> Any:
    return sum(tree) if isinstance(tree, tuple) else tree


CALLS: dict[str, Any] = {
    "layers.0 (Dense): expected a layer that keeps the shape (5, 4) of its input, got (5, 3); "
    "change its last layer, or put what changes the shape before the nn.Repeat": (
        ShapeError,
        lambda: nn.Dense(3),
        {},
    ),
    "layers.0 (Lambda): expected a layer that keeps the dtype float32 of its input, got bfloat16; "
    "cast the input with x.astype('bfloat16'), or the layers with .astype('float32')": (
        DtypeError,
        lambda: nn.Lambda(lambda x: x.astype("bfloat16")),
        {},
    ),
    "layers.0 (Lambda): expected a layer that returns what it takes, PyTreeDef(*), and maybe more "
    "behind it in a tuple, got PyTreeDef({'x': *}); change what it returns": (
        ShapeError,
        lambda: nn.Lambda(lambda x: {"x": x}),
        {},
    ),
    "layers (Repeat): expected per_layer['a'] to have a row for each of 3 layers on its first "
    "axis, got shape (2,); stack one value a layer": (
        ShapeError,
        lambda: nn.Lambda(plus),
        {"a": jnp.ones(2)},
    ),
    "expected per_layer['a'][1] to have a row for each of 3 layers on its first axis, got": (
        ShapeError,
        lambda: nn.Lambda(plus),
        {"a": (jnp.ones(3), 1.0)},
    ),
    "layers (Repeat): expected per_layer to be a dict keyword -> arrays, got list; write for "
    "example per_layer={'cache': caches}": (ArgumentError, nn.Tanh, [jnp.ones(3)]),
}


class Both(kuai.Block):
    """A keyword for all layers, and one for each by the same name."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Repeat(nn.Lambda(plus), 3)

    def forward(self, x):
        return self.layers(x, a=1.0, per_layer={"a": jnp.ones(3)})


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
def test_a_keyword_that_is_given_twice_is_named(hybridized):
    text = (
        "Both: layers (Repeat): expected each keyword either for all layers or in per_layer, got "
        "'a' in both; leave it out of one"
    )
    with pytest.raises(ArgumentError, match=re.escape(text)):
        Both().hybridize(hybridized)(X)


class Net(kuai.Block):
    def __init__(self, make):
        super().__init__()
        self.layers = nn.Repeat(make, 3)

    def forward(self, x, rows):
        return self.layers(x, per_layer=rows)


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize("text", CALLS)
def test_bad_calls_are_named_with_their_path(text, hybridized):
    error, make, rows = CALLS[text]
    with pytest.raises(error, match="Net: .*" + re.escape(text)):
        Net(make).hybridize(hybridized)(X, rows)
