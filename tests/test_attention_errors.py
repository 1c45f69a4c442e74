"""Bad arguments and inputs of attention, positions and transformer layers."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import kuai
from kuai.errors import ArgumentError, DeferredInitError, DtypeError, ShapeError

nn: Any = kuai.nn  # so that mypy lets bad arguments pass
X = jnp.ones((2, 3, 4))


@pytest.fixture(autouse=True)
def annotations_not_enforced():
    """As for users, whose constructor arguments no type checker sees."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


CONSTRUCTORS = [
    (
        lambda: nn.MultiHeadAttention(0),
        "MultiHeadAttention: expected heads to be an integer of at least 1, got 0; write for",
    ),
    (
        lambda: nn.MultiHeadAttention(8, key_heads=3),
        (
            "MultiHeadAttention: expected key_heads to divide heads=8, got 3; write for example "
            "key_heads=8"
        ),
    ),
    (
        lambda: nn.MultiHeadAttention(8, head_width=1.5),
        "MultiHeadAttention: expected head_width to be an integer of at least 1, got 1.5",
    ),
    (
        lambda: nn.MultiHeadAttention(8, dropout=1),
        "MultiHeadAttention: expected dropout to be a number from 0 up to below 1, got 1",
    ),
    (
        lambda: nn.MultiHeadAttention(8, causal="yes"),
        "MultiHeadAttention: expected causal to be True or False, got 'yes'",
    ),
    (
        lambda: nn.MultiHeadAttention(8, use_bias=None),
        "MultiHeadAttention: expected use_bias to be True or False, got None",
    ),
    (
        lambda: nn.MultiHeadAttention(8, rotary=True),
        (
            "MultiHeadAttention: expected rotary to be a block, got True; write for example "
            "rotary=nn.Rotary()"
        ),
    ),
    (
        lambda: nn.MultiHeadAttention(16, 4),
        "got 2 by place, where it takes 1; write the others by name",
    ),
    (lambda: nn.Rotary(0), "Rotary: expected base to be a number above 0, got 0; write for"),
    (
        lambda: nn.Rotary(features=3),
        "Rotary: expected an even number of features, got 3; they turn in pairs",
    ),
    (
        lambda: nn.LinearScaling(-2),
        "LinearScaling: expected factor to be a number above 0, got -2; write for example factor=",
    ),
    (
        lambda: nn.Llama3Scaling(low=4.0, high=4.0),
        "Llama3Scaling: expected high above low, got low=4.0 and high=4.0; exchange them",
    ),
    (
        lambda: nn.Embedding(4, 2, padding_index=4),
        (
            "Embedding: expected padding_index to be an index of the 4 vectors, got 4; write for "
            "example padding_index=0"
        ),
    ),
    (
        lambda: nn.Embedding(4, 2, padding_index="0"),
        "Embedding: expected padding_index to be an integer, got '0'; write for example -1",
    ),
    (
        lambda: nn.FeedForward(8, "gelo"),
        "FeedForward: expected an activation's name, a function, a block or None, got 'gelo'; did",
    ),
    (
        lambda: nn.TransformerEncoderLayer("8", 32),
        (
            "TransformerEncoderLayer: expected a number of heads or a block as attention, got '8'; "
            "write for example 8, or nn.MultiHeadAttention(8, key_heads=2)"
        ),
    ),
    (
        lambda: nn.TransformerEncoderLayer(8, None),
        (
            "TransformerEncoderLayer: expected a number of hidden units or a block as "
            "feed_forward, "
            "got None; write for example 1024, or nn.FeedForward(1024, 'silu', gated=True)"
        ),
    ),
    (
        lambda: nn.TransformerEncoderLayer(8, nn.FeedForward(4), "relu"),
        (
            "expected no activation beside a feed_forward that is a block, got 'relu'; give "
            "it to the "
            "block"
        ),
    ),
    (
        lambda: nn.TransformerEncoderLayer(8, 32, norm="layer"),
        (
            "TransformerEncoderLayer: expected a norm as a block or a function that makes one, got "
            "'layer'; write for example norm=nn.LayerNorm"
        ),
    ),
    (
        lambda: nn.TransformerDecoderLayer(nn.MultiHeadAttention(8), 32),
        (
            "TransformerDecoderLayer: expected a cross_attention beside an attention that "
            "is a block, "
            "got none; write for example cross_attention=nn.MultiHeadAttention(8)"
        ),
    ),
    (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer, 2),
        (
            "TransformerEncoder: expected a layer to copy, got <class 'kuai.nn.transformer."
            "TransformerEncoderLayer'>; write for example nn.TransformerEncoderLayer(8, 1024)"
        ),
    ),
    (
        lambda: nn.TransformerEncoder(nn.Identity(), 0),
        "TransformerEncoder: expected count to be an integer of at least 1, got 0",
    ),
]


@pytest.mark.parametrize(("make", "text"), CONSTRUCTORS)
def test_a_bad_argument_is_named(make, text):
    with pytest.raises(ArgumentError, match=re.escape(text)):
        make()


def mha(**options):
    return nn.MultiHeadAttention(2, **options)


CALLS = [
    (
        lambda: nn.MultiHeadAttention(3)(X),
        ShapeError,
        (
            "MultiHeadAttention: expected an input whose width 3 heads divide, got shape "
            "(2, 3, 4); "
            "change heads, or give head_width"
        ),
    ),
    (
        lambda: mha()(X[0]),
        ShapeError,
        "expected an input (batch, time, features), got shape (3, 4); add a batch axis with",
    ),
    (
        lambda: mha()(X, X[0]),
        ShapeError,
        "expected an input (batch, time, features), got shape (3, 4); add a batch axis with",
    ),
    (
        lambda: mha()(X, mask=jnp.ones((2, 3), bool)),
        ShapeError,
        (
            "MultiHeadAttention: expected a mask that broadcasts to (batch, heads, queries, "
            "keys) = "
            "(2, 2, 3, 3), got shape (2, 3); one of keys is mask[:, None, None, :], one of "
            "queries and "
            "keys mask[:, None]"
        ),
    ),
    (
        lambda: mha()(X, mask=jnp.ones((1, 2, 2, 3, 3), bool)),
        ShapeError,
        "= (2, 2, 3, 3), got shape (1, 2, 2, 3, 3); one of keys",
    ),
    (
        lambda: mha()(X, mask=jnp.ones((3, 3))),
        DtypeError,
        (
            "expected a boolean mask, True where a query may attend to a key, got float32 of shape "
            "(3, 3); write mask=array > 0, or bias=array for numbers that are added to the scores"
        ),
    ),
    (
        lambda: mha()(X, bias=jnp.ones((3, 3), bool)),
        DtypeError,
        "expected a floating bias, got bool of shape (3, 3); cast it, or write mask=array for a",
    ),
    (
        lambda: mha()(X, bias=jnp.ones((3, 4))),
        ShapeError,
        "expected a bias that broadcasts to (batch, heads, queries, keys) = (2, 2, 3, 3), got",
    ),
    (
        lambda: mha()(X, key_lengths=jnp.array([1, 2, 3])),
        ShapeError,
        "expected key_lengths of shape (2,), one for each sequence, got (3,); give the lengths of",
    ),
    (
        lambda: mha()(X, key_lengths=jnp.array([1.0, 2.0])),
        DtypeError,
        "expected integer key_lengths, got float32 of shape (2,); cast them with x.astype('int32')",
    ),
    (
        lambda: mha()(X, key_lengths=jnp.array([2, 4])),
        ArgumentError,
        (
            "MultiHeadAttention: expected key_lengths from 0 to 3, the number of keys, got 4; "
            "look at the data, or pad to the longest"
        ),
    ),
    (
        lambda: mha()(X, jnp.ones((2, 5, 4)), key_lengths=jnp.array([-1, 6])),
        ArgumentError,
        "expected key_lengths from 0 to 5, the number of keys, got -1; look",
    ),
    (
        lambda: nn.TransformerDecoderLayer(2, 8)(X, X, memory_lengths=jnp.array([9, 9])),
        ArgumentError,
        "cross_attention (MultiHeadAttention): expected key_lengths from 0 to 3, the number of",
    ),
    (
        lambda: mha(causal=True)(X, X),
        ArgumentError,
        "expected causal=True for attention of an input to itself, got a context too; leave one",
    ),
    (
        lambda: mha(rotary=nn.Rotary())(X, X),
        ArgumentError,
        "expected rotary positions for attention of an input to itself, got a context too",
    ),
    (
        lambda: mha(head_width=2)(X, X, cache=mha(head_width=2).make_cache(2, 4)),
        ArgumentError,
        "expected a cache for attention of an input to itself, got a context too; leave one of",
    ),
    (
        lambda: mha()(X, positions=jnp.arange(3)),
        ArgumentError,
        "expected positions only with rotary=, got some; give the layer rotary=nn.Rotary(), or",
    ),
    (
        lambda: mha(rotary=nn.Rotary())(X, positions=jnp.arange(4)),
        ShapeError,
        (
            "rotary (Rotary): expected positions of shape (2, 3), (3,), or () for the first "
            "one, got "
            "(4,); give one for each token"
        ),
    ),
    (
        lambda: mha()(X, nn.KeyValues(jnp.ones((2, 5, 2, 3)), jnp.ones((2, 5, 2, 3)))),
        ShapeError,
        (
            "expected keys and values of shape (2, keys, 2, 2), got (2, 5, 2, 3); make them "
            "with this "
            "block's project(context)"
        ),
    ),
    (
        lambda: mha(head_width=2)(X, cache=mha(head_width=2).make_cache(2, 2)),
        ShapeError,
        "expected a cache of at least 3 positions, got one of 2; make it longer: make_cache(2, ",
    ),
    (
        lambda: mha(head_width=2)(X, cache=mha(head_width=2).make_cache(3, 8)),
        ShapeError,
        "expected a cache of shape (2, 8, 2, 2), got (3, 8, 2, 2); make one with make_cache(2, 8)",
    ),
    (
        lambda: mha(head_width=2)(X, cache=(X, X, 0)),
        ArgumentError,
        "expected a nn.KeyValueCache, got tuple; make one with make_cache(batch, length)",
    ),
    (
        lambda: mha().make_cache(2, 8),
        DeferredInitError,
        (
            "MultiHeadAttention.make_cache: the width of the heads is not known yet; call the net "
            "once, or initialize(sample=...) with an input of the right shape; an attention that "
            "is given its head_width needs neither"
        ),
    ),
    (
        lambda: mha().make_cache(2, 0),
        ArgumentError,
        "MultiHeadAttention.make_cache: expected length to be an integer of at least 1, got 0",
    ),
    (
        lambda: mha().project(X),
        DeferredInitError,
        "its number of units follows from the block around it; call that once before putting this",
    ),
    (
        lambda: nn.Rotary()(jnp.ones((2, 3, 1, 5))),
        ShapeError,
        (
            "Rotary: expected an input (batch, length, heads, width) with an even width, got shape "
            "(2, 3, 1, 5); change the width of the heads"
        ),
    ),
    (
        lambda: nn.Rotary(features=6)(jnp.ones((2, 3, 1, 4))),
        ShapeError,
        "with a width of at least 6, got shape (2, 3, 1, 4); change",
    ),
    (
        lambda: nn.PositionEmbedding(2)(X),
        ShapeError,
        (
            "PositionEmbedding: expected a sequence of at most 2 positions, got shape (2, "
            "3, 4); cut "
            "it, or make the table longer"
        ),
    ),
    (
        lambda: nn.PositionEmbedding(5)(X, jnp.array(3)),
        ArgumentError,
        "PositionEmbedding: expected positions from 0 to 4, got 5; cut the sequence, or make the",
    ),
    (
        lambda: nn.PositionEmbedding(5)(X, jnp.array([0, -1, 2])),
        ArgumentError,
        "expected positions from 0 to 4, got -1; cut",
    ),
    (
        lambda: nn.PositionEmbedding(5)(X, jnp.array([0.0, 1.0, 2.0])),
        DtypeError,
        "expected integer positions, got float32 of shape (3,); cast them",
    ),
    (
        lambda: nn.SinusoidalPositions()(X[0]),
        ShapeError,
        "SinusoidalPositions: expected an input (batch, time, features), got shape (3, 4); add a",
    ),
    (
        lambda: nn.Embedding(3, 4).attend(jnp.ones((2, 5))),
        ShapeError,
        "expected an input with 4 features on axis -1, got shape (2, 5); give it that width",
    ),
    (
        lambda: nn.TransformerEncoder(nn.Identity(), 2)(X, cache=()),
        ArgumentError,
        (
            "TransformerEncoder: expected a cache for each of 2 layers, got 0; make them with "
            "make_cache(batch, length)"
        ),
    ),
    (
        lambda: nn.TransformerDecoder(nn.Identity(), 2)(X, nn.KeyValues(X, X)),
        ArgumentError,
        (
            "expected a memory as an array, or projected for each of 2 layers, got one; "
            "make it with "
            "project(memory)"
        ),
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), CALLS)
def test_a_bad_call_is_named(call, error, text):
    with pytest.raises(error, match=re.escape(text)):
        call()


def test_a_full_cache_is_named_where_its_position_is_known_and_gives_nan_where_not():
    attention = nn.MultiHeadAttention(2, causal=True).initialize(sample=X).hybridize(False)
    cache = attention(X, cache=attention.make_cache(2, 4))[1]
    text = (
        "MultiHeadAttention: expected a cache of at least 6 positions, got one of 4 with 3 "
        "written; make it longer: make_cache(2, length)"
    )
    with pytest.raises(ArgumentError, match=re.escape(text)):
        attention(X, cache=cache)
    attention.hybridize()
    assert np.isnan(attention(X, cache=cache)[0]).all()
    assert not np.isnan(attention(X[:, :1], cache=cache)[0]).any()


def test_a_position_beyond_the_table_gives_nan_where_it_is_not_known():
    net = nn.PositionEmbedding(4).initialize(sample=X).hybridize()
    found = net(X, jnp.array(2))
    np.testing.assert_array_equal(np.isnan(found[0, :, 0]), [False, False, True])


def test_lengths_out_of_range_count_as_none_or_all_where_they_are_not_known():
    net = nn.MultiHeadAttention(2).initialize(sample=X).hybridize()
    np.testing.assert_array_equal(
        net(X, key_lengths=jnp.array([-5, 7])), net(X, key_lengths=jnp.array([0, 3]))
    )


def test_a_projection_that_was_wrapped_too_early_says_so():
    attention = nn.MultiHeadAttention(2)
    attention.query = nn.Sequential(attention.query)
    text = "query.0 (Projection): its number of units follows from the block around it"
    with pytest.raises(DeferredInitError, match=re.escape(text)):
        attention(X)


def test_projections_that_the_heads_do_not_divide_are_named():
    attention = nn.MultiHeadAttention(2, head_width=2)
    attention.query = nn.Dense(5)
    text = "expected projections whose width 2 heads divide, got shape (2, 3, 5); change their"
    with pytest.raises(ShapeError, match=re.escape(text)):
        attention(X)


def test_errors_are_the_same_when_compiled():
    attention = nn.MultiHeadAttention(2).initialize(sample=X).hybridize()
    with pytest.raises(ShapeError, match=r"expected a mask that broadcasts to .* got shape \(2, 3"):
        attention(X, mask=jnp.ones((2, 3), bool))
    assert jax.tree.leaves(attention(X))[0].shape == X.shape
