"""Caches of whole nets: layers that differ, and what is no cache."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, ShapeError

TOKENS = jnp.array([[1, 2, 3]])


def gpt2() -> Any:
    return kuai.models.GPT2(8, width=4, layers=2, heads=2, positions=10)


def llama() -> Any:
    return kuai.models.Llama(8, width=4, layers=2, heads=2, hidden=4)


def lstm() -> Any:
    return kuai.models.LSTMLanguageModel(8, width=4)


def stack() -> Any:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(2, 4), 2)


def ready(make: Any) -> Any:
    """A net that runs as plain Python, whose parameters have values."""
    net = make().hybridize(False)
    net(TOKENS)
    return net


def layer(head_width: int, rotary: Any = None) -> nn.TransformerEncoderLayer:
    attention = nn.MultiHeadAttention(2, head_width=head_width, causal=True, rotary=rotary)
    return nn.TransformerEncoderLayer(attention, 4, norm_first=True)


@pytest.mark.parametrize(
    "hybridized", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["eager", "hybridized"]
)
@pytest.mark.parametrize("make", [gpt2, llama])
def test_layers_whose_heads_differ_write_as_without_a_cache(make, hybridized):
    net = make()
    net.layers[1] = layer(6, nn.Rotary() if make is llama else None)
    expected = net(TOKENS)
    net.hybridize(hybridized)
    cache = net.make_cache(1, 6)
    assert [own.key.shape for own in cache] == [(1, 6, 2, 2), (1, 6, 2, 6)]
    first, cache = net(TOKENS[:, :2], cache=cache)
    last, cache = net(TOKENS[:, 2:], cache=cache)
    np.testing.assert_allclose(jnp.concatenate([first, last], 1), expected, rtol=1e-5, atol=1e-6)
    assert [own.position.item() for own in cache] == [3, 3]


@pytest.mark.slow
def test_layers_whose_heads_differ_generate():
    net = gpt2()
    net(TOKENS)
    for holder in net.parameters():
        holder.array = holder.array * 5  # so that the likeliest token is clear
    net.layers[1] = layer(6)
    tokens = TOKENS
    for _ in range(3):
        tokens = jnp.append(tokens, net(tokens)[:, -1:].argmax(-1), 1)
    np.testing.assert_array_equal(net.generate(TOKENS, 3), tokens)


def test_equal_layers_have_one_stack():
    cache = ready(gpt2).make_cache(1, 6)
    assert isinstance(cache, nn.KeyValueCache)
    assert (cache.key.shape, cache.position.shape) == ((2, 1, 6, 2, 2), (2,))


def test_a_layer_that_makes_no_cache_is_named():
    net = ready(gpt2)
    net.layers[1] = nn.Identity()
    text = (
        "GPT2.make_cache: expected layers that have make_cache(batch, length), got Identity as "
        "layer 1; give it one, or take it out with del layers[1]"
    )
    with pytest.raises(ArgumentError, match=re.escape(text)):
        net.generate(TOKENS, 2)
    del net.layers[1]
    assert net.generate(TOKENS, 2).shape == (1, 5)
    with pytest.raises(
        ArgumentError, match=r"TransformerEncoder\.make_cache: .* Identity as layer"
    ):
        nn.TransformerEncoder(nn.Identity(), 2).make_cache(1, 2)


def test_a_cache_from_before_a_layer_was_replaced_is_refused():
    net = ready(gpt2)
    cache = net.make_cache(1, 6)
    net.layers[1] = layer(6)
    with pytest.raises(ShapeError, match=re.escape("expected a cache of shape (1, 6, 2, 6), got")):
        net(TOKENS, cache=cache)


def one_layers(net: Any) -> Any:
    return net.layers[0].make_cache(1, 6)


def three_layers(net: Any) -> Any:
    return jax.tree.map(lambda array: jnp.concatenate([array, array[:1]]), net.make_cache(1, 6))


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (lambda _: "x", "str"),
        (lambda _: 5, "int"),
        (lambda _: {}, "dict"),
        (lambda _: (), "0"),
        (lambda net: (one_layers(net), None), "2, 1 of them None"),
        (one_layers, "one"),
        (three_layers, "3"),
    ],
    ids=["str", "int", "dict", "empty tuple", "a None", "one layer's", "three layers'"],
)
@pytest.mark.parametrize("make", [gpt2, llama])
def test_what_is_no_cache_of_each_layer_is_named(make, wrong, got):
    net = ready(make)
    text = (
        f"{type(net).__name__}: expected a cache for each of 2 layers, got {got}; make them with "
        "make_cache(batch, length)"
    )
    with pytest.raises(ArgumentError, match=re.escape(text)):
        net(TOKENS, cache=wrong(net))


@pytest.mark.parametrize(
    ("wrong", "got"),
    [("x", "str"), (5, "int"), ((None, None), "2, 2 of them None"), ([1], "1")],
)
def test_what_is_no_cache_of_a_stack_is_named(wrong, got):
    text = f"TransformerEncoder: expected a cache for each of 2 layers, got {got}; make them with"
    with pytest.raises(ArgumentError, match=re.escape(text)):
        stack()(jnp.ones((1, 3, 4)), cache=wrong)


def test_a_cache_of_another_kind_is_named():
    with pytest.raises(
        ArgumentError, match=r"GPT2: expected nn\.KeyValueCache, got dict; make the"
    ):
        ready(gpt2)(TOKENS, cache={"a": jnp.zeros(2)})
    attention = nn.MultiHeadAttention(2, rotary=nn.Rotary())
    with pytest.raises(
        ArgumentError, match=r"expected a nn\.KeyValueCache, got int; make one with"
    ):
        attention(jnp.ones((1, 3, 4)), cache=5)


def test_the_state_of_an_lstm_model_is_checked():
    net = ready(lstm)
    with pytest.raises(
        ArgumentError, match=r"lstm .LSTM.: expected an array, got str 'x'; pass an"
    ):
        net(TOKENS, cache="x")
    for sizes, name, value in (((-1, 3), "batch", -1), ((1, "3"), "length", "'3'")):
        text = (
            f"LSTMLanguageModel.make_cache: expected {name} to be an integer of at least .*{value}"
        )
        with pytest.raises(ArgumentError, match=text):
            net.make_cache(*sizes)


def test_a_language_model_without_make_cache_says_what_to_define():
    class Silent(kuai.models.LanguageModel):
        pass

    with pytest.raises(
        NotImplementedError, match="Silent: expected the class to define make_cache"
    ):
        Silent().make_cache(1, 2)
