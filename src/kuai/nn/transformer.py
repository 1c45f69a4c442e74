"""Transformer layers: attention and feed-forward, each with a residual connection and a norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from kuai.core.block import Block
from kuai.core.representation import arguments
from kuai.errors import ArgumentError
from kuai.nn._check import as_floating, check_number, check_sequence
from kuai.nn._dtypes import promoted
from kuai.nn.attention import MultiHeadAttention
from kuai.nn.dropout import dropped
from kuai.nn.feed_forward import FeedForward
from kuai.nn.key_value_cache import KeyValueCache, KeyValues
from kuai.nn.norm import LayerNorm


class _Layer(Block):
    """What encoder and decoder layers share: where the norms stand, and what blocks are made of."""

    norm_first: bool
    dropout: float
    attention_norm: Block

    def _before(self, norm: Block, x: jax.Array) -> Any:
        return norm(x) if self.norm_first else x

    def _after(self, norm: Block, x: jax.Array, y: jax.Array) -> Any:
        dtype = promoted(x.dtype, y.dtype)
        y = x.astype(dtype) + dropped(y, self.dropout).astype(dtype)
        return y if self.norm_first else norm(y)

    def _kuai_parts(self) -> list[str]:
        told = ("activation=", "norm=")  # by feed_forward, and by the norm that was made
        own = [text for text in arguments(self) if not text.startswith(told)]
        norm = repr(self.attention_norm)
        return own if norm == "LayerNorm()" else [*own, f"norm={norm}"]


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a feed-forward block.

    x + attention(x), then x + feed_forward(x), the result of each through a norm; with
    `norm_first`, the norm is of what goes into attention and feed-forward instead. With a causal
    attention it is a layer of a decoder-only model.

    Args:
        attention: a number of heads, or a `MultiHeadAttention`.
        feed_forward: a number of hidden units, or a `FeedForward` (or any block).
        activation: of a feed-forward given as a number; default "relu", as in PyTorch.
        norm: makes a norm: a class or function without arguments, or a block to copy; default
            `LayerNorm`.
        norm_first: default False, as in the paper and PyTorch; models since GPT-2 have True.
        dropout: probability with which an element of what is added to x is dropped in training,
            also for attention weights and hidden units of blocks given as numbers; default 0.1.

    Shape:
        (batch, time, features) → the same. Parameters: those of `attention`, `feed_forward`,
        `attention_norm` and `feed_forward_norm`.

    Raises:
        ArgumentError: an argument is none of these, or `dropout` is outside [0, 1); when called, as
            for `MultiHeadAttention`.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input or a mask does not fit.

    Example:
        >>> layer = nn.TransformerEncoderLayer(4, 32)
        >>> layer(jnp.ones((2, 3, 8)), key_lengths=jnp.array([3, 1])).shape
        (2, 3, 8)
        >>> attention = nn.MultiHeadAttention(4, causal=True, rotary=nn.Rotary())
        >>> gated = nn.FeedForward(32, "silu", gated=True)
        >>> layer = nn.TransformerEncoderLayer(attention, gated, norm_first=True)
        >>> y = layer(jnp.ones((2, 3, 8)))
        >>> y, cache = layer(jnp.ones((2, 1, 8)), cache=layer.make_cache(2, 10))

    Reference:
        Vaswani et al., "Attention is all you need" (2017). Xiong et al., "On layer normalization in
        the transformer architecture" (2020).
    """

    def __init__(
        self,
        attention: Any,
        feed_forward: Any,
        activation: Any = None,
        norm: Any = LayerNorm,
        norm_first: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.norm_first = norm_first
        self.dropout = check_number(where, "dropout", dropout, 1.0)
        self.attention = as_attention(where, attention, dropout=dropout)
        self.feed_forward = as_feed_forward(where, feed_forward, activation, dropout)
        self.attention_norm = made(where, norm)
        self.feed_forward_norm = made(where, norm)

    def make_cache(self, batch: int, length: int, dtype: Any = None) -> KeyValueCache:
        """An empty cache of the attention, as `MultiHeadAttention.make_cache` makes it."""
        return self.attention.make_cache(batch, length, dtype)

    def forward(
        self,
        x: Any,
        *,
        mask: Any = None,
        bias: Any = None,
        key_lengths: Any = None,
        positions: Any = None,
        cache: Any = None,
    ) -> Any:
        """The layer's output; with a cache, (that, the cache).

        Args:
            x: (batch, time, features).
            mask: where a query may attend to a key, as for `MultiHeadAttention`.
            bias: added to the scores, likewise.
            key_lengths: integers (batch,), likewise.
            positions: for rotary attention, likewise.
            cache: a `KeyValueCache`, likewise.
        """
        x = as_floating(x)
        check_sequence(x)
        options = given(
            mask=mask, bias=bias, key_lengths=key_lengths, positions=positions, cache=cache
        )
        y = self.attention(self._before(self.attention_norm, x), **options)
        if cache is not None:
            y, cache = y
        x = self._after(self.attention_norm, x, y)
        y = self.feed_forward(self._before(self.feed_forward_norm, x))
        x = self._after(self.feed_forward_norm, x, y)
        return x if cache is None else (x, cache)


class TransformerDecoderLayer(_Layer):
    """Causal self-attention, attention to a memory, then a feed-forward block.

    The memory is an encoder's output. Each is added to its input, with norms as in
    `TransformerEncoderLayer`.

    Args:
        attention: a number of heads, which are causal then (PyTorch's are only by a mask), or a
            `MultiHeadAttention`.
        feed_forward: a number of hidden units, or a `FeedForward` (or any block).
        cross_attention: a number of heads, or a `MultiHeadAttention`; default the number given as
            `attention`.
        activation: of a feed-forward given as a number; default "relu", as in PyTorch.
        norm: makes a norm: a class or function without arguments, or a block to copy; default
            `LayerNorm`.
        norm_first: default False, as in the paper and PyTorch.
        dropout: as for `TransformerEncoderLayer`; default 0.1.

    Shape:
        (batch, time, features) → the same; memory (batch, keys, other features). Parameters: those
        of `attention`, `cross_attention`, `feed_forward`, `attention_norm`, `cross_attention_norm`
        and `feed_forward_norm`.

    Raises:
        ArgumentError: an argument is none of these, or `dropout` is outside [0, 1); when called, as
            for `MultiHeadAttention`.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input, the memory or a mask does not fit.

    Example:
        >>> layer = nn.TransformerDecoderLayer(4, 32)
        >>> layer(jnp.ones((2, 3, 8)), jnp.ones((2, 5, 8))).shape
        (2, 3, 8)

    Reference:
        Vaswani et al., "Attention is all you need" (2017).
    """

    def __init__(
        self,
        attention: Any,
        feed_forward: Any,
        cross_attention: Any = None,
        activation: Any = None,
        norm: Any = LayerNorm,
        norm_first: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.norm_first = norm_first
        self.dropout = check_number(where, "dropout", dropout, 1.0)
        crossing = attention if cross_attention is None else cross_attention
        if cross_attention is None and isinstance(attention, Block):
            raise ArgumentError(
                f"{where}: expected a cross_attention beside an attention that is a block, got "
                "none; write for example cross_attention=nn.MultiHeadAttention(8)"
            )
        self.attention = as_attention(where, attention, causal=True, dropout=dropout)
        self.cross_attention = as_attention(where, crossing, dropout=dropout)
        self.feed_forward = as_feed_forward(where, feed_forward, activation, dropout)
        self.attention_norm = made(where, norm)
        self.cross_attention_norm = made(where, norm)
        self.feed_forward_norm = made(where, norm)

    def make_cache(self, batch: int, length: int, dtype: Any = None) -> KeyValueCache:
        """An empty cache of the self-attention, as `MultiHeadAttention.make_cache` makes it."""
        return self.attention.make_cache(batch, length, dtype)

    def project(self, memory: Any) -> KeyValues:
        """The memory's keys and values, to hand to several calls in its place."""
        return self.cross_attention.project(memory)

    def forward(
        self,
        x: Any,
        memory: Any,
        *,
        mask: Any = None,
        bias: Any = None,
        key_lengths: Any = None,
        memory_mask: Any = None,
        memory_lengths: Any = None,
        positions: Any = None,
        cache: Any = None,
    ) -> Any:
        """The layer's output; with a cache, (that, the cache).

        Args:
            x: (batch, time, features).
            memory: (batch, keys, other features), or `KeyValues` from `project`.
            mask: of the self-attention, as for `MultiHeadAttention`.
            bias: of the self-attention, likewise.
            key_lengths: of the self-attention, likewise.
            memory_mask: mask of the attention to the memory.
            memory_lengths: integers (batch,): how much of each memory is seen.
            positions: for a rotary self-attention, likewise.
            cache: a `KeyValueCache` of the self-attention.
        """
        x = as_floating(x)
        check_sequence(x)
        options = given(
            mask=mask, bias=bias, key_lengths=key_lengths, positions=positions, cache=cache
        )
        y = self.attention(self._before(self.attention_norm, x), **options)
        if cache is not None:
            y, cache = y
        x = self._after(self.attention_norm, x, y)
        options = given(mask=memory_mask, key_lengths=memory_lengths)
        y = self.cross_attention(self._before(self.cross_attention_norm, x), memory, **options)
        x = self._after(self.cross_attention_norm, x, y)
        y = self.feed_forward(self._before(self.feed_forward_norm, x))
        x = self._after(self.feed_forward_norm, x, y)
        return x if cache is None else (x, cache)


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None: a block of the user's own need not know the others."""
    return {name: value for name, value in options.items() if value is not None}


def as_attention(where: str, attention: Any, **options: Any) -> Any:
    """A block as it is, a number of heads as a `MultiHeadAttention`.

    Raises:
        ArgumentError: it is neither.
    """
    if isinstance(attention, Block):
        return attention
    if isinstance(attention, int) and not isinstance(attention, bool):
        return MultiHeadAttention(attention, **options)
    raise ArgumentError(
        f"{where}: expected a number of heads or a block as attention, got {attention!r}; write "
        "for example 8, or nn.MultiHeadAttention(8, key_heads=2)"
    )


def as_feed_forward(where: str, block: Any, activation: Any, dropout: float) -> Any:
    """A block as it is, a number of hidden units as a `FeedForward`.

    Raises:
        ArgumentError: it is neither, or a block with an activation beside it.
    """
    if isinstance(block, Block):
        if activation is not None:
            raise ArgumentError(
                f"{where}: expected no activation beside a feed_forward that is a block, got "
                f"{activation!r}; give it to the block"
            )
        return block
    if isinstance(block, int) and not isinstance(block, bool):
        return FeedForward(block, "relu" if activation is None else activation, dropout=dropout)
    raise ArgumentError(
        f"{where}: expected a number of hidden units or a block as feed_forward, got {block!r}; "
        "write for example 1024, or nn.FeedForward(1024, 'silu', gated=True)"
    )


def made(where: str, norm: Callable[[], Block] | Block) -> Block:
    """A norm of its own, from a block to copy or from what makes one.

    Raises:
        ArgumentError: it is neither.
    """
    found = norm.copy() if isinstance(norm, Block) else norm() if callable(norm) else None
    if not isinstance(found, Block):
        raise ArgumentError(
            f"{where}: expected a norm as a block or a function that makes one, got {norm!r}; "
            "write for example norm=nn.LayerNorm"
        )
    return found
