"""What attention and transformer layers promise beyond the catalogue's laws."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kuai
from kuai import nn
from kuai.nn import ops
from kuai.nn.ops.product import _product
from kuai.nn.ops.standardized import standardized
from tests.catalogue_attention import ATTENTIONS
from tests.entry import Entry, drawn, filled

FAST = {"rtol": 0, "atol": 2e-5}


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def arrays_of(block):
    return {path: np.asarray(holder.array, np.float64) for path, holder in block.named_holders()}


SOME = ["TransformerEncoder", "MultiHeadAttention with a mask, causal",
        "MultiHeadAttention, one key head, rotary and causal", "FeedForward, gated",
        "Rotary, scaled as Llama 3", "SinusoidalPositions of an odd width"]  # fmt: skip


@pytest.mark.parametrize("entry", [e for e in ATTENTIONS if e.name in SOME], ids=lambda e: e.name)
def test_a_compiled_call_is_the_oracle(entry: Entry):
    block, inputs = filled(entry, "float32").hybridize(), drawn(entry, "float32")
    raw = [x if x.dtype == jnp.int32 else np.asarray(x, np.float64) for x in inputs]
    assert entry.oracle is not None
    expected = entry.oracle(arrays_of(block), *raw)
    with kuai.eval_mode():
        found = block(*inputs)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * scale)


# ---- masks


def test_a_query_without_keys_gives_zeros_and_no_gradient():
    q, k, v = (normal(1, 2, 1, 4, seed=seed) for seed in range(3))
    mask = jnp.array([[False, False], [True, False]])[None, None]

    def total(q, k, v):
        return ops.attention(q, k, v, mask).sum()

    y = ops.attention(q, k, v, mask)
    np.testing.assert_array_equal(y[0, 0], jnp.zeros((1, 4)))
    np.testing.assert_array_equal(y[0, 1], v[0, 0])
    gradients = jax.grad(total, argnums=(0, 1, 2))(q, k, v)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    np.testing.assert_array_equal(gradients[0][0, 0], jnp.zeros((1, 4)))
    np.testing.assert_array_equal(gradients[2][0, :, 0, 0], [1.0, 0.0])


def test_an_infinite_bias_is_a_mask():
    q, k, v = (normal(2, 3, 2, 4, seed=seed) for seed in range(3))
    mask = jnp.array([[True, False, True], [False] * 3, [True] * 3])[None, None]
    bias = jnp.where(mask, 0.0, -jnp.inf)
    found = ops.attention(q, k, v, bias=bias)
    np.testing.assert_array_equal(found, ops.attention(q, k, v, mask))
    gradient = jax.grad(lambda bias: ops.attention(q, k, v, bias=bias).sum())(bias)
    assert np.isfinite(gradient).all()


def test_a_context_without_keys_gives_the_outputs_bias():
    attention = nn.MultiHeadAttention(2, bias_init="ones")
    y = attention(normal(2, 3, 4), normal(2, 5, 4)[:, :0])
    np.testing.assert_array_equal(y, jnp.ones((2, 3, 4)))


def test_large_scores_overflow_nothing():
    x = jnp.full((1, 2, 1, 4), 300.0, jnp.float16)  # scores of 180,000 are beyond float16
    np.testing.assert_array_equal(ops.attention(x, x, x), x)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_attention_is_that_of_jax(dtype):
    q = normal(2, 3, 4, 8, dtype=dtype)
    k, v = (normal(2, 5, 2, 8, seed=seed, dtype=dtype) for seed in (1, 2))
    mask = normal(2, 1, 3, 5, seed=3) > -1
    found = ops.attention(q, k, v, mask, causal=True)
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.nn.dot_product_attention(q, k, v, mask=mask, is_causal=True)
    some = (mask & jnp.tril(jnp.ones((3, 5), bool))).any(-1).swapaxes(1, 2)[..., None]
    tolerance = 4 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(
        np.float32(found), np.float32(jnp.where(some, expected, 0)), rtol=0, atol=tolerance * 3
    )


def test_on_a_gpu_half_precision_goes_through_cudnn(monkeypatch):
    asked = []

    def kernel(query, key, value, *, bias, mask, is_causal, implementation):
        asked.append((implementation, is_causal, mask.shape, bias))
        return query

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax.nn, "dot_product_attention", kernel)
    x = normal(1, 6, 1, 4, dtype="bfloat16")
    mask = jnp.ones((1, 1, 1, 6), bool)
    found = ops.attention.__wrapped__(x, x, x, mask, causal=True)  # what jit keeps is for CPU
    np.testing.assert_array_equal(found, x)
    assert asked == [("cudnn", True, (1, 1, 6, 6), None)]


def test_what_cudnn_refuses_is_computed_all_the_same(monkeypatch):
    def kernel(*arrays, **options):
        raise NotImplementedError

    x = normal(1, 7, 1, 4, dtype="bfloat16")
    expected = ops.attention(x, x, x)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax.nn, "dot_product_attention", kernel)
    np.testing.assert_allclose(
        np.float32(ops.attention.__wrapped__(x, x, x)), np.float32(expected), rtol=0, atol=2**-6
    )


# ---- dropout


def test_dropout_of_weights_keeps_their_mean():
    attention = nn.MultiHeadAttention(1, dropout=0.5, use_bias=False).initialize(
        sample=normal(1, 4, 2)
    )
    x = jnp.broadcast_to(normal(1, 4, 2), (3000, 4, 2))
    plain = attention(x)
    with kuai.train_mode():
        found = attention(x)
    assert not np.allclose(found[0], plain[0], atol=1e-3)
    np.testing.assert_allclose(found.mean(0), plain[0], atol=0.1)


# ---- cache


def test_a_cache_goes_through_a_compiled_while():
    class Decoder(kuai.Block):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiHeadAttention(
                4, key_heads=2, head_width=2, causal=True, rotary=nn.Rotary()
            )

        def forward(self, x):
            cache = self.attention.make_cache(1, 6)
            y = x
            while cache.position < 6:
                step = lax.dynamic_slice_in_dim(x, cache.position, 1, axis=1)
                out, cache = self.attention(step, cache=cache)
                y = lax.dynamic_update_slice_in_dim(y, out, cache.position - 1, axis=1)
            return y

    net, x = Decoder(), normal(1, 6, 8)
    expected = net.attention(x)
    np.testing.assert_allclose(net.hybridize()(x), expected, **FAST)


def test_a_cache_goes_through_a_scan():
    layer = nn.TransformerEncoderLayer(nn.MultiHeadAttention(2, causal=True), 8, norm_first=True)
    net, x = nn.TransformerEncoder(layer, 2, nn.LayerNorm).hybridize(), normal(2, 5, 4)
    expected = net(x)
    apply, params, state = kuai.functional(net)

    def step(cache, token):
        (y, cache), _ = apply(params, state, token[:, None], cache=cache)
        return cache, y[:, 0]

    cache, found = lax.scan(step, net.make_cache(2, 5), x.swapaxes(0, 1))
    np.testing.assert_allclose(found.swapaxes(0, 1), expected, **FAST)
    assert [int(c.position) for c in cache] == [5, 5]


@pytest.mark.slow
def test_a_prompt_and_then_tokens_are_the_whole_sequence():
    attention = nn.MultiHeadAttention(2, causal=True, rotary=nn.Rotary())
    x = normal(2, 5, 4)
    expected = attention(x)
    first, cache = attention(x[:, :3], cache=attention.make_cache(2, 8))
    second, cache = attention(x[:, 3:], cache=cache)
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), expected, **FAST)
    assert cache.position == 5


@pytest.mark.slow
def test_a_mask_beside_a_cache_hides_its_positions():
    """Two prompts, the second padded from the left, as a batch of prompts of unequal length is."""
    attention = nn.MultiHeadAttention(2, head_width=2, causal=True)
    x = normal(2, 4, 4)
    mask = jnp.arange(4) >= jnp.array([[0], [2]])
    found, _ = attention(x, mask=mask[:, None, None], cache=attention.make_cache(2, 4))
    np.testing.assert_allclose(found[0], attention(x)[0], **FAST)
    np.testing.assert_allclose(found[1, 2:], attention(x[1:, 2:])[0], **FAST)


def test_a_cache_of_half_precision_stays_so():
    attention = nn.MultiHeadAttention(2, head_width=2, causal=True)
    cache = attention.make_cache(1, 4, "bfloat16")
    y, cache = attention(normal(1, 3, 4), cache=cache)
    assert (y.dtype, cache.key.dtype) == (jnp.float32, jnp.bfloat16)


@pytest.mark.slow
def test_a_projected_memory_is_the_memory():
    net = nn.TransformerDecoder(nn.TransformerDecoderLayer(2, 8), 1, nn.LayerNorm)
    x, memory = normal(2, 3, 4), normal(2, 5, 6, seed=1)
    expected, projected = net(x, memory), net.project(memory)
    np.testing.assert_allclose(net(x, projected), expected, **FAST)
    first, cache = net(x[:, :2], projected, cache=net.make_cache(2, 3))
    last, cache = net(x[:, 2:], projected, cache=cache)
    np.testing.assert_allclose(jnp.concatenate([first, last], 1), expected, **FAST)


# ---- embeddings and positions


def test_a_padding_vector_starts_as_zeros_and_stays_without_gradient():
    net = nn.Embedding(4, 3, padding_index=1)
    indices = jnp.array([[0, 1], [1, 3]])
    np.testing.assert_array_equal(net(indices)[0, 1], jnp.zeros(3))
    assert (np.abs(net.weight).sum(1) > 0).tolist() == [True, False, True, True]
    gradient = kuai.grad(lambda net, i: net(i).sum())(net, indices)["weight"]
    np.testing.assert_array_equal(gradient, [[1.0] * 3, [0.0] * 3, [0.0] * 3, [1.0] * 3])


def test_a_padding_vector_that_was_set_is_what_it_gives():
    net = nn.Embedding(3, 2, init="ones", padding_index=0).initialize()
    net.weight = jnp.full((3, 2), 5.0)
    np.testing.assert_array_equal(net(jnp.array(0)), [5.0, 5.0])


def test_rotary_scores_see_the_distance_only():
    q, k = normal(1, 1, 1, 8), normal(1, 1, 1, 8, seed=1)
    rotary = nn.Rotary()

    def score(first, second):
        return jnp.sum(rotary(q, jnp.array(first)) * rotary(k, jnp.array(second)))

    np.testing.assert_allclose(score(7, 3), score(104, 100), atol=1e-4)
    assert abs(score(7, 3) - score(7, 4)) > 1e-3


@pytest.mark.parametrize("positions", [jnp.array(2), jnp.arange(2, 5), jnp.arange(2, 5)[None]])
@pytest.mark.parametrize("make", [nn.SinusoidalPositions, lambda: nn.PositionEmbedding(5)])
def test_positions_are_given_as_the_first_or_as_all(make, positions):
    net, x = make(), normal(1, 5, 4)
    np.testing.assert_allclose(net(x[:, 2:], positions), net(x)[:, 2:], atol=1e-6)


# ---- transformer layers


def test_norms_are_made_by_classes_functions_and_from_blocks():
    norm = nn.LayerNorm(epsilon=1e-3)
    given = (nn.LayerNorm, functools.partial(nn.LayerNorm, epsilon=1e-3), norm)
    layers = [nn.TransformerEncoderLayer(2, 4, norm=kind) for kind in given]
    assert [layer.attention_norm.epsilon for layer in layers] == [1e-5, 1e-3, 1e-3]
    assert layers[2].attention_norm is not layers[2].feed_forward_norm
    assert norm not in (layers[2].attention_norm, layers[2].feed_forward_norm)


def test_layers_of_a_stack_start_with_values_of_their_own():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(2, 4), 2).initialize(
        sample=normal(1, 2, 4)
    )
    first, second = (layer.attention.query.weight for layer in net.layers)
    assert not np.array_equal(first, second)


def test_a_block_of_the_users_own_stands_in_for_attention():
    class Mean(kuai.Block):
        def forward(self, x):
            return jnp.broadcast_to(x.mean(1, keepdims=True), x.shape)

    layer = nn.TransformerEncoderLayer(Mean(), nn.Identity(), norm=nn.Identity, norm_first=True)
    x = normal(2, 3, 4)
    expected = 2 * (x + x.mean(1, keepdims=True))
    np.testing.assert_allclose(layer.eval()(x), expected, rtol=1e-6)


# ---- forms that are fast on CPU


@pytest.mark.parametrize("shape", [(130, 64, 70), (130, 70, 64)])
def test_the_fast_product_has_the_products_derivatives(shape):
    rows, inputs, units = shape
    x, w, g = normal(rows, inputs), normal(inputs, units, seed=1), normal(rows, units, seed=2)
    for function in (ops.dense, _product):
        y, backward = jax.vjp(function, x, w)
        dx, dw = backward(g)
        expected = (np.float64(x) @ np.float64(w), np.float64(g) @ np.float64(w).T,
                    np.float64(x).T @ np.float64(g))  # fmt: skip
        for found, wanted in zip((y, dx, dw), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-4)
        tangent = jax.jvp(function, (x, w), (x, w))[1]
        np.testing.assert_allclose(tangent, 2 * expected[0], rtol=0, atol=2e-4)


def test_standardized_has_the_derivatives_of_its_formula():
    def formula(x):
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + 0.1)

    def own(x):
        return standardized(x, (-1,), 0.1)

    with jax.enable_x64(True):
        x, v = normal(3, 5, dtype="float64"), normal(3, 5, seed=1, dtype="float64")
        for take in (
            lambda f: f(x),
            lambda f: jax.jvp(f, (x,), (v,))[1],
            lambda f: jax.vjp(f, x)[1](v)[0],
            lambda f: jax.hessian(lambda x: (f(x) * v).sum())(x),
        ):
            found, expected = (jax.jit(take, static_argnums=0)(f) for f in (own, formula))
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
