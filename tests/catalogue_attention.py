"""Attention, positions and transformer layers: one entry each."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

import kuai
from kuai import nn
from tests import peers_attention as peers
from tests.entry import Entry, Integers
from tests.oracles import gelu_tanh, layer_norm, sigmoid
from tests.oracles_attention import (
    attention,
    causal,
    decoder_layer,
    encoder_layer,
    feed_forward,
    llama3,
    rotary,
    sinusoids,
)

X = (2, 3, 4)
CONTEXT = (2, 5, 6)
ATTENTION = peers.renamed(peers.ATTENTION)

# Tests find these by pickle and by eval of their repr.


class Masked(kuai.Block):
    """Calls its block with a mask."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x, seen):
        return self.block(x, mask=(seen > 0)[:, None])


class Biased(Masked):
    """Calls its block with a bias."""

    def forward(self, x, bias):
        return self.block(x, bias=bias)


class Padded(Masked):
    """Calls its block with lengths of the keys."""

    def forward(self, x, lengths):
        return self.block(x, key_lengths=lengths)


class Remembering(Masked):
    """Calls its block with lengths of the memory."""

    def forward(self, x, memory, lengths):
        return self.block(x, memory, memory_lengths=lengths)


class Placed(Masked):
    """Calls its block with positions."""

    def forward(self, x, positions):
        return self.block(x, positions=positions)


class Stepwise(Masked):
    """Calls its block with a token at a time, and a cache."""

    def forward(self, x):
        cache, outputs = self.block.make_cache(len(x), 4, str(x.dtype)), []
        for time in range(x.shape[1]):
            y, cache = self.block(x[:, time : time + 1], cache=cache)
            outputs.append(y)
        return jnp.concatenate(outputs, 1)


class Tied(Masked):
    """Calls an embedding, and it again for logits."""

    def forward(self, indices):
        return self.block.attend(self.block(indices))


WRAPPERS = {kind.__name__: kind for kind in (Masked, Biased, Padded, Remembering, Placed,
                                             Stepwise, Tied)}  # fmt: skip


def before(keys: int, lengths: Any) -> np.ndarray:
    return (np.arange(keys) < np.asarray(lengths)[:, None])[:, None, None]


def inside(a: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of the block that a wrapper holds."""
    return {path.removeprefix("block."): array for path, array in a.items()}


def under(names: dict[str, str], at: str = "block.") -> dict[str, str]:
    return {at + path: name for path, name in names.items()}


def own_call(*inputs: Any) -> Any:
    return (inputs[0], inputs[-1], inputs[-1]), {"need_weights": False}


def with_options(**options: Any) -> Any:
    return lambda *inputs: (own_call(*inputs)[0], {"need_weights": False, **options})


def mha(t, features: int = 4, heads: int = 2, context: int | None = None, call: Any = own_call):
    widths = {"query": features, "key": context or features, "value": context or features}
    shapes: dict[str, tuple[int, ...]] = {
        f"{name}.weight": (widths.get(name, features), features)
        for name in ("query", "key", "value", "output")
    }
    shapes |= {f"{name}.bias": (features,) for name in ("query", "key", "value", "output")}
    module = t.nn.MultiheadAttention(features, heads, batch_first=True, kdim=context, vdim=context)
    return peers.adapter(t, module, shapes, peers.packed_attention, call)


def layer_shapes(features: int, hidden: int, *, cross: bool = False) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for path in peers.DECODER_LAYER if cross else peers.ENCODER_LAYER:
        name, part = path.split(".")[-2:]
        shape = {"up": (features, hidden), "down": (hidden, features)}.get(
            name, (features, features)
        )
        shapes[path] = shape if part == "weight" and "norm" not in name else shape[-1:]
    return shapes


def encoder_peer(t):
    module = t.nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True)
    return peers.adapter(t, module, layer_shapes(4, 5), peers.packed_layer, lambda x: ((x,), {}))


BIASLESS = [path for path in peers.ENCODER_LAYER if not path.endswith("bias")]


def biasless_peer(t):
    def gelu(x):
        return t.nn.functional.gelu(x, approximate="tanh")

    module = t.nn.TransformerEncoderLayer(
        6, 2, 5, 0.0, gelu, batch_first=True, norm_first=True, bias=False
    )
    shapes = {path: layer_shapes(6, 5)[path] for path in BIASLESS}
    return peers.adapter(t, module, shapes, peers.packed_layer, lambda x: ((x,), {}))


def decoder_call(x, memory):
    time = x.shape[1]
    return (x, memory), {"tgt_mask": x.new_ones(time, time).triu(1) > 0}


def decoder_peer(t):
    module = t.nn.TransformerDecoderLayer(4, 2, 5, dropout=0.0, batch_first=True)
    shapes = layer_shapes(4, 5, cross=True)

    def packed(t, own):
        return peers.packed_layer(t, own, cross=True)

    return peers.adapter(t, module, shapes, packed, decoder_call)


def stack_peer(t):
    layer = t.nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True)
    module = t.nn.TransformerEncoder(layer, 2, t.nn.LayerNorm(4), enable_nested_tensor=False)
    shapes = {
        f"layers.{i}.{path}": shape for i in range(2) for path, shape in layer_shapes(4, 5).items()
    }
    shapes |= {"norm.weight": (4,), "norm.bias": (4,)}

    def packed(t, own):
        found = {name: own[name] for name in ("norm.weight", "norm.bias")}
        for i in range(2):
            found |= peers.packed_layer(t, own, f"layers.{i}.", f"layers.{i}.")
        return found

    return peers.adapter(t, module, shapes, packed, lambda x: ((x,), {}))


# Of many parts, each of them compiled by itself in every dtype: one entry takes some ten seconds.
# These are those that every run of the tests affords; tests/test_attention.py runs some more once.
QUICK = {"MultiHeadAttention", "Rotary"}


def entry(name, make, oracle, inputs=(X,), output=X, mixed="promoted", **options):
    slow = name not in QUICK
    return Entry(name, make, oracle, inputs, output, mixed=mixed, slow=slow, **options)


MULTI_HEAD = [
    entry("MultiHeadAttention", lambda: nn.MultiHeadAttention(2), attention, peer=mha,
          names=ATTENTION),
    entry(
        "MultiHeadAttention to a context",
        lambda: nn.MultiHeadAttention(2),
        attention,
        inputs=(X, CONTEXT),
        peer=lambda t: mha(t, context=6),
        names=ATTENTION,
    ),
    entry(
        "MultiHeadAttention of one token and one head",
        lambda: nn.MultiHeadAttention(1),
        lambda a, x: attention(a, x, heads=1),
        inputs=((2, 1, 3),),
        output=(2, 1, 3),
        peer=lambda t: mha(t, 3, 1),
        names=ATTENTION,
    ),
    entry(
        "MultiHeadAttention, causal",
        lambda: nn.MultiHeadAttention(2, causal=True),
        lambda a, x: attention(a, x, mask=causal(3)),
        peer=lambda t: mha(t, call=with_options(attn_mask=~t.ones(3, 3, dtype=t.bool).tril())),
        names=ATTENTION,
    ),
    entry(
        "MultiHeadAttention, grouped queries",
        lambda: nn.MultiHeadAttention(4, key_heads=2, head_width=3, use_bias=False),
        lambda a, x: attention(a, x, heads=4, key_heads=2),
    ),
    entry(
        "MultiHeadAttention, one key head, rotary and causal",
        lambda: nn.MultiHeadAttention(
            3, key_heads=1, head_width=2, causal=True, rotary=nn.Rotary(100.0)
        ),
        lambda a, x: attention(
            a, x, heads=3, key_heads=1, mask=causal(3), turn=lambda q: rotary(q, 100.0)
        ),
    ),
    entry(
        "MultiHeadAttention with a mask",
        lambda: Masked(nn.MultiHeadAttention(2)),
        lambda a, x, seen: attention(inside(a), x, mask=(seen > 0)[:, None]),
        inputs=(X, Integers((2, 3, 3), 2)),
    ),
    entry(
        "MultiHeadAttention with a mask, causal",
        lambda: Masked(nn.MultiHeadAttention(2, causal=True)),
        lambda a, x, seen: attention(inside(a), x, mask=(seen > 0)[:, None] & causal(3)),
        inputs=(X, Integers((2, 3, 3), 2)),
    ),
    entry(
        "MultiHeadAttention with a bias",
        lambda: Biased(nn.MultiHeadAttention(2)),
        lambda a, x, bias: attention(inside(a), x, bias=bias),
        inputs=(X, (2, 2, 3, 3)),
        peer=lambda t: mha(
            t,
            call=lambda x, bias: ((x, x, x), {"attn_mask": bias.reshape(4, 3, 3)}),
        ),
        names=under(ATTENTION),
    ),
    entry(
        "MultiHeadAttention with lengths",
        lambda: Padded(nn.MultiHeadAttention(2)),
        lambda a, x, lengths: attention(
            inside(a), x, mask=before(3, lengths)
        ),
        inputs=(X, Integers((2,), 4)),
    ),
    entry(
        "MultiHeadAttention with positions",
        lambda: Placed(nn.MultiHeadAttention(2, rotary=nn.Rotary(interleaved=True))),
        lambda a, x, positions: attention(
            inside(a), x, turn=lambda q: rotary(q, interleaved=True, positions=positions)
        ),
        inputs=(X, Integers((2, 3), 20)),
    ),
    entry(
        "MultiHeadAttention with a cache",
        lambda: Stepwise(nn.MultiHeadAttention(2, head_width=2, causal=True, rotary=nn.Rotary())),
        lambda a, x: attention(inside(a), x, mask=causal(3), turn=rotary),
    ),
    entry(
        "MultiHeadAttention with dropout",
        lambda: nn.MultiHeadAttention(2, dropout=0.5),
        None,
        training=True,
    ),
]  # fmt: skip

SCALING: dict[str, Any] = {"factor": 4.0, "low": 1.0, "high": 3.0, "length": 40}

POSITIONS = [
    entry("Rotary", nn.Rotary, lambda _, x: rotary(x), ((2, 5, 3, 4),), (2, 5, 3, 4), "input"),
    entry(
        "Rotary, interleaved",
        lambda: nn.Rotary(interleaved=True),
        lambda _, x: rotary(x, interleaved=True),
        ((2, 5, 3, 4),),
        (2, 5, 3, 4),
        mixed="input",
    ),
    entry(
        "Rotary of some features, from positions",
        lambda: nn.Rotary(500.0, features=4),
        lambda _, x, positions: rotary(x, 500.0, features=4, positions=positions),
        ((2, 5, 1, 7), Integers((2, 5), 50)),
        (2, 5, 1, 7),
        mixed="input",
    ),
    entry(
        "Rotary, scaled",
        lambda: nn.Rotary(scaling=nn.LinearScaling(4.0)),
        lambda _, x: rotary(x, scaling=lambda speeds: speeds / 4),
        ((2, 5, 1, 4),),
        (2, 5, 1, 4),
        mixed="input",
    ),
    entry(
        "Rotary, scaled as Llama 3",
        lambda: nn.Rotary(scaling=nn.Llama3Scaling(**SCALING)),
        lambda _, x: rotary(x, scaling=lambda speeds: llama3(speeds, **SCALING)),
        ((2, 5, 1, 8),),
        (2, 5, 1, 8),
        mixed="input",
    ),
    entry(
        "PositionEmbedding",
        lambda: nn.PositionEmbedding(5),
        lambda a, x: x + a["weight"][:3],
    ),
    entry(
        "PositionEmbedding of positions",
        lambda: nn.PositionEmbedding(7, init="ones"),
        lambda a, x, positions: x + a["weight"][positions],
        inputs=(X, Integers((2, 3), 7)),
    ),
    entry("SinusoidalPositions", nn.SinusoidalPositions, lambda _, x: sinusoids(x), mixed="input"),
    entry(
        "SinusoidalPositions of an odd width",
        nn.SinusoidalPositions,
        lambda _, x: sinusoids(x),
        ((2, 3, 5),),
        (2, 3, 5),
        mixed="input",
    ),
]

EMBEDDINGS = [
    entry(
        "Embedding with a padding index",
        lambda: nn.Embedding(4, 3, padding_index=-1),
        lambda a, i: a["weight"][i],
        inputs=(Integers((2, 5), 3),),  # without it: its gradient is not that of what it computes
        output=(2, 5, 3),
        peer=lambda t: t.nn.Embedding(4, 3, padding_idx=3),
        names={"weight": "weight"},
    ),
    entry(
        "Embedding, tied output",
        lambda: Tied(nn.Embedding(4, 3)),
        lambda a, i: a["block.weight"][i] @ a["block.weight"].T,
        inputs=(Integers((2, 5), 4),),
        output=(2, 5, 4),
    ),
]

TRANSFORMER = [
    entry("FeedForward", lambda: nn.FeedForward(5), feed_forward),
    entry(
        "FeedForward, gated",
        lambda: nn.FeedForward(5, "silu", gated=True, use_bias=False),
        lambda a, x: feed_forward(a, x, activation=lambda y: y * sigmoid(y)),
        inputs=((4,),),
        output=(4,),
        batch=None,
    ),
    entry(
        "FeedForward with dropout",
        lambda: nn.FeedForward(5, None, dropout=0.5),
        None,
        training=True,
    ),
    entry(
        "TransformerEncoderLayer",
        lambda: nn.TransformerEncoderLayer(2, 5),
        encoder_layer,
        peer=encoder_peer,
        names=peers.renamed(peers.ENCODER_LAYER),
    ),
    entry(
        "TransformerEncoderLayer without biases, norm first",
        lambda: nn.TransformerEncoderLayer(
            nn.MultiHeadAttention(2, use_bias=False),
            nn.FeedForward(5, use_bias=False),
            norm=nn.LayerNorm(use_bias=False),
            norm_first=True,
        ),
        lambda a, x: encoder_layer(a, x, norm_first=True, activation=gelu_tanh),
        inputs=((2, 4, 6),),
        output=(2, 4, 6),
        peer=biasless_peer,
        names=peers.renamed(BIASLESS),
    ),
    entry(
        "TransformerEncoderLayer with lengths",
        lambda: Padded(nn.TransformerEncoderLayer(2, 5)),
        lambda a, x, lengths: encoder_layer(inside(a), x, mask=before(3, lengths)),
        inputs=(X, Integers((2,), 4)),
    ),
    entry(
        "TransformerEncoderLayer with a cache",
        lambda: Stepwise(
            nn.TransformerEncoderLayer(nn.MultiHeadAttention(2, head_width=2, causal=True), 5)
        ),
        lambda a, x: encoder_layer(inside(a), x, mask=causal(3)),
    ),
    entry(
        "TransformerEncoderLayer with dropout",
        lambda: nn.TransformerEncoderLayer(2, 5, dropout=0.5),
        None,
        training=True,
    ),
    entry(
        "TransformerDecoderLayer",
        lambda: nn.TransformerDecoderLayer(2, 5),
        decoder_layer,
        inputs=(X, (2, 5, 4)),
        peer=decoder_peer,
        names=peers.renamed(peers.DECODER_LAYER),
    ),
    entry(
        "TransformerDecoderLayer with lengths of the memory",
        lambda: Remembering(nn.TransformerDecoderLayer(2, 5)),
        lambda a, x, memory, lengths: decoder_layer(inside(a), x, memory, mask=before(5, lengths)),
        inputs=(X, CONTEXT, Integers((2,), 6)),
    ),
    entry(
        "TransformerEncoder",
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(2, 5), 2, nn.LayerNorm),
        lambda a, x: layer_norm(
            {"weight": a["norm.weight"], "bias": a["norm.bias"]},
            encoder_layer(a, encoder_layer(a, x, "layers.0."), "layers.1."),
        ),
        peer=stack_peer,
        names=peers.renamed(
            [f"layers.{i}.{path}" for i in range(2) for path in peers.ENCODER_LAYER]
            + ["norm.weight", "norm.bias"]
        ),
    ),
    entry(
        "TransformerDecoder",
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(2, 5), 2),
        lambda a, x, memory: decoder_layer(
            a, decoder_layer(a, x, memory, "layers.0."), memory, "layers.1."
        ),
        inputs=(X, CONTEXT),
    ),
]

ATTENTIONS = [*MULTI_HEAD, *POSITIONS, *EMBEDDINGS, *TRANSFORMER]
