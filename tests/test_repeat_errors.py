"""What `nn.Repeat` refuses, and the words it does so with."""

from __future__ import annotations

import itertools
import re

import jax.numpy as jnp
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, DtypeError, RegistrationError, ShapeError
from tests.repeating import X

WIDTHS = itertools.count(4)
REFUSED = [
    (lambda: nn.Repeat(nn.Tanh(), 0), ArgumentError,
     "Repeat: expected a number of layers of at least 1, got 0; write for example n=12"),
    (lambda: nn.Repeat(nn.Tanh(), True), ArgumentError, "of at least 1, got True; write"),
    (lambda: nn.Repeat(nn.Tanh(), 2.0), ArgumentError, "of at least 1, got 2.0; write"),
    (lambda: nn.Repeat(nn.Tanh(), 2, unroll=0), ArgumentError,
     "Repeat: expected unroll to be True, or a number of layers of at least 1, got 0; write"),
    (lambda: nn.Repeat(nn.Tanh(), 2, remat="dots"), ArgumentError,
     "Repeat: expected remat to be True, False, a policy or its name, got 'dots'; names are"),
    (lambda: nn.Repeat(nn.Tanh(), 2, remat=3), ArgumentError, "or its name, got 3; names are"),
    (lambda: nn.Repeat(3, 2), RegistrationError,
     "Repeat: expected a block, or a function that makes one, got int 3; write for example "),
    (lambda: nn.Repeat(lambda: jnp.ones(2), 2), RegistrationError,
     "Repeat: expected the function to make a block, got ArrayImpl for layer 0; return the layer"),
    (lambda: nn.Repeat(lambda: nn.Dense(next(WIDTHS)), 2), ArgumentError,
     "Repeat: expected equal layers, got layer 1 where weight.shape is (None, 5), and (None, "
     "4) in layer 0; make every layer by the same code, pass what differs as per_layer=, or use nn.Sequential"),
    (lambda: nn.Repeat(iter([nn.Tanh(), nn.ReLU()]).__next__, 2), ArgumentError,
     "got layer 1 where the layer itself is ReLU, and Tanh in layer 0; make"),
    (lambda: nn.Repeat(iter([nn.Residual(nn.Tanh()), nn.Residual(nn.ReLU())]).__next__, 2),
     ArgumentError, "got layer 1 where block is ReLU, and Tanh in layer 0; make"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "text"), REFUSED)
def test_bad_arguments_are_named(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


CALLS = [
    (lambda: nn.Dense(3), {}, ShapeError,
     "layers.0 (Dense): expected a layer that keeps the shape (5, 4) of its input, got (5, 3); "
     "change its last layer, or put what changes the shape before the nn.Repeat"),
    (lambda: nn.Lambda(lambda x: x.astype("bfloat16")), {}, DtypeError,
     "layers.0 (Lambda): expected a layer that keeps the dtype float32 of its input, got bfloat16; "
     "cast the input with x.astype('bfloat16'), or the layers with .astype('float32')"),
    (lambda: nn.Lambda(lambda x: {"x": x}), {}, ShapeError,
     "layers.0 (Lambda): expected a layer that returns what it takes, PyTreeDef(*), and maybe "
     "more behind it in a tuple, got PyTreeDef({'x': *}); change what it returns"),
    (lambda: nn.Lambda(lambda x, a: x + a), {"a": jnp.ones(2)}, ShapeError,
     "layers (Repeat): expected per_layer['a'] to have a row for each of 3 layers on its first "
     "axis, got shape (2,); stack one value a layer"),
    (lambda: nn.Lambda(lambda x, a: x + a), {"a": (jnp.ones(3), 1.0)}, ShapeError,
     "expected per_layer['a'][1] to have a row for each of 3 layers on its first axis, got shape"),
    (lambda: nn.Tanh(), [jnp.ones(3)], ArgumentError,
     "layers (Repeat): expected per_layer to be a dict keyword -> arrays, got list; write for "
     "example per_layer={'cache': caches}"),
]  # fmt: skip


class Net(kuai.Block):
    def __init__(self, make):
        super().__init__()
        self.layers = nn.Repeat(make, 3)

    def forward(self, x, rows):
        return self.layers(x, per_layer=rows)


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize(("make", "rows", "error", "text"), CALLS)
def test_bad_calls_are_named_with_their_path(make, rows, error, text, hybridized):
    net = Net(make).hybridize(hybridized)
    with pytest.raises(error, match=re.escape("Net: ") + ".*" + re.escape(text)):
        net(X, rows)
