"""Multi-head attention."""

from __future__ import annotations

from typing import Any

import jax

from kuai import random
from kuai.core.block import Block
from kuai.core.modes import is_training
from kuai.core.representation import arguments
from kuai.core.tree import here
from kuai.errors import ArgumentError, DeferredInitError, ShapeError
from kuai.nn import ops
from kuai.nn._check import (
    as_floating,
    check_count,
    check_number,
    check_sequence,
    check_truth,
    dtype_of,
    floating_name,
)
from kuai.nn._dtypes import promoted
from kuai.nn.attention_masks import as_bias, as_mask, combined, of_lengths
from kuai.nn.key_value_cache import (
    KeyValueCache,
    KeyValues,
    check_cache,
    empty_cache,
    overflown,
    visible,
    written,
)
from kuai.nn.projection import Projection, known_units, settle_widths


class MultiHeadAttention(Block):
    """Attention of several heads: output(concat over heads of softmax(q kᵀ / √width + bias) v).

    q = query(x); k = key(context) and v = value(context), where the context is x itself unless
    another is given. A query that may attend to no key gets zeros from every head, and so the
    output's bias; PyTorch's module gives NaN there.

    On a GPU, half precision without dropout goes through cuDNN's fused kernels, where they take the
    shapes.

    Args:
        heads: number of heads of the query.
        key_heads: number of heads of key and value, a divisor of `heads`: each serves as many query
            heads as it takes (grouped-query; 1: multi-query); default `heads`.
        head_width: features of a head; default the input's width over `heads`.
        causal: whether a position attends to itself and those before it only; default False.
        dropout: probability with which an attention weight is dropped in training; default 0.
        use_bias: whether the four projections have a bias; default True.
        rotary: a `Rotary` for the positions of queries and keys; default none.
        init: initializer of the weights; default that of `initialize(init=)`, at last
            glorot_uniform, for each projection by itself (PyTorch draws query, key and value as one
            matrix).
        bias_init: initializer of the biases; default zeros.
        dtype: of the parameters; default float32. The output has the dtype that it and the input's
            promote to.

    Shape:
        (batch, time, features) → the same. `query.weight` (features, heads · head_width),
        `key.weight` and `value.weight` (other features, key_heads · head_width), `output.weight`
        (heads · head_width, features), and a `bias` (outputs,) for each.

    Raises:
        ArgumentError: a number is out of its range, `key_heads` does not divide `heads`, `causal`
            or `use_bias` is not True or False, `rotary` is no block, or the dtype is not floating;
            when called, arguments exclude each other, the cache is none, or,
            eagerly, it has no room or a length is below 0 or beyond the keys. Compiled, a cache
            without room gives NaN, and such a length counts as 0 or as all keys.
        DtypeError: when called, the input or bias is not floating, the mask not boolean, or the
            lengths or positions are not integers.
        ShapeError: when called, an input has no three axes or another width than at first, `heads`
            does not divide its width, or a mask, bias, lengths, positions or cache does not fit.

    Example:
        >>> x, context = jnp.ones((2, 3, 8)), jnp.ones((2, 5, 4))
        >>> attention = nn.MultiHeadAttention(4)
        >>> attention(x, context, key_lengths=jnp.array([5, 2])).shape
        (2, 3, 8)
        >>> [path for path, _ in attention.named_parameters()][:2]
        ['query.weight', 'query.bias']

    Reference:
        Vaswani et al., "Attention is all you need" (2017). Ainslie et al., "GQA" (2023).
    """

    def __init__(
        self,
        heads: int,
        *,
        key_heads: int | None = None,
        head_width: int | None = None,
        causal: bool = False,
        dropout: float = 0.0,
        use_bias: bool = True,
        rotary: Block | None = None,
        init: Any = None,
        bias_init: Any = "zeros",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        where = "MultiHeadAttention"
        self.heads = check_count(where, "heads", heads)
        self.key_heads = self.heads if key_heads is None else _divisor(key_heads, self.heads)
        self.head_width = (
            None if head_width is None else check_count(where, "head_width", head_width)
        )
        self.causal = check_truth(where, "causal", causal)
        self.use_bias = check_truth(where, "use_bias", use_bias)
        self.dropout = check_number(where, "dropout", dropout, 1.0)
        self.rotary = _checked_rotary(rotary)
        self.init, self.bias_init = init, bias_init
        self._given_dtype = floating_name(where, dtype)
        self.query = self._projection(self.heads)
        self.key = self._projection(self.key_heads)
        self.value = self._projection(self.key_heads)
        self.output = self._projection(None)

    def _projection(self, heads: int | None) -> Projection:
        units = None if heads is None or self.head_width is None else heads * self.head_width
        return Projection(units, self.use_bias, self.init, self.bias_init, self._given_dtype)

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.MultiHeadAttention(2).astype("bfloat16").dtype
            'bfloat16'
        """
        return dtype_of(self.query, self._given_dtype)

    def make_cache(self, batch: int, length: int, dtype: Any = None) -> KeyValueCache:
        """An empty cache for `length` positions, to hand to a call as `cache=`.

        Args:
            batch: number of sequences.
            length: of the longest sequence, everything that comes in later calls included.
            dtype: of keys and values; default the parameters'.

        Raises:
            ArgumentError: a number is out of its range, or the dtype is not floating.
            DeferredInitError: the width of the heads is not known yet.

        Example:
            >>> attention = nn.MultiHeadAttention(4, key_heads=2, head_width=8)
            >>> attention.make_cache(batch=1, length=16).value.shape
            (1, 16, 2, 8)
        """
        where = "MultiHeadAttention.make_cache"
        check_count(where, "batch", batch, at_least=0)
        check_count(where, "length", length)
        name = self.dtype if dtype is None else floating_name(where, dtype)
        return empty_cache((batch, length, self.key_heads, self._known_width()), name)

    def project(self, context: Any) -> KeyValues:
        """The keys and values of a context, to hand to several calls in its place.

        Args:
            context: (batch, keys, features).

        Raises:
            DeferredInitError: the width of the heads is not known yet.
            DtypeError: the context is not floating.
            ShapeError: it has no three axes.
        """
        context = as_floating(context)
        check_sequence(context)
        return self._keys_and_values(context)

    def forward(
        self,
        x: Any,
        context: Any = None,
        *,
        mask: Any = None,
        bias: Any = None,
        key_lengths: Any = None,
        positions: Any = None,
        cache: Any = None,
    ) -> Any:
        """The input's queries, answered; with a cache, (that, the cache).

        Args:
            x: (batch, time, features).
            context: (batch, keys, other features), or `KeyValues` from `project`; default x.
            mask: boolean, True where a query may attend to a key, of a shape that broadcasts to
                (batch, heads, queries, keys). Keras, Flax and PyTorch's function
                `scaled_dot_product_attention` mean the same; in PyTorch's modules True hides.
            bias: added to the scores, of a shape that broadcasts likewise; -inf hides a key.
            key_lengths: integers (batch,), from 0 to the number of keys: keys at that index and
                later are hidden.
            positions: for `rotary`; integers (batch, time), (time,), or the first one (); default
                from 0 on, or from the cache's position.
            cache: a `KeyValueCache`. Keys and values of x are written to it, x attends to all that
                is written there, and the keys of mask and bias are its positions.
        """
        x = as_floating(x)
        check_sequence(x)
        self._check_together(context, positions, cache)
        query, key, value = self._projected(x, context)
        if self.rotary is not None:
            start = cache.position if positions is None and cache is not None else positions
            query, key = self.rotary(query, start), self.rotary(key, start)
        seen = None
        if cache is not None:
            cache = written(cache, key, value)
            key, value = cache.key, cache.value
            seen = visible(cache, x.shape[1], self.causal)
        shape = (x.shape[0], self.heads, x.shape[1], key.shape[1])
        allowed = combined(as_mask(mask, shape), of_lengths(key_lengths, shape), seen)
        y = self._attended(query, key, value, allowed, as_bias(bias, shape), cache is None)
        return y if cache is None else (overflown(cache, y), cache)

    def _projected(self, x: jax.Array, context: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Queries, keys and values, each (batch, length, heads, head_width)."""
        self._settle_widths(x, x if context is None else context)
        query = _split(self.query(x), self.heads)
        if not isinstance(context, KeyValues):
            return query, *self._keys_and_values(x if context is None else context)
        if context.key.shape[:1] + context.key.shape[2:] != (
            len(query),
            self.key_heads,
            query.shape[3],
        ):
            raise ShapeError(
                f"{here()}: expected keys and values of shape ({len(query)}, keys, "
                f"{self.key_heads}, {query.shape[3]}), got {context.key.shape}; make them with "
                "this block's project(context)"
            )
        return query, context.key, context.value

    def _keys_and_values(self, context: Any) -> KeyValues:
        return KeyValues(*(_split(b(context), self.key_heads) for b in (self.key, self.value)))

    def _attended(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        allowed: jax.Array | None,
        bias: jax.Array | None,
        causal: bool,
    ) -> Any:
        dtype = promoted(query.dtype, key.dtype)
        query, key, value = (array.astype(dtype) for array in (query, key, value))
        keep = None
        if is_training() and self.dropout > 0:
            shape = (len(query), self.heads, query.shape[1], key.shape[1])
            keep = random.bernoulli(1 - self.dropout, shape)
        causal = causal and self.causal
        y = ops.attention(query, key, value, allowed, bias, causal, keep, self.dropout)
        return self.output(y.reshape(*y.shape[:2], y.shape[2] * y.shape[3]))

    def _settle_widths(self, x: jax.Array, context: Any) -> None:
        if all(holder.settled for holder in self.parameters()):
            return
        width = self.head_width or self._share_of(x)
        settle_widths(self.query, x.shape[-1], self.heads * width)
        settle_widths(self.output, self.heads * width, x.shape[-1])
        if not isinstance(context, KeyValues):
            for block in (self.key, self.value):
                settle_widths(block, context.shape[-1], self.key_heads * width)

    def _share_of(self, x: jax.Array) -> int:
        if x.shape[-1] % self.heads:
            raise ShapeError(
                f"{here()}: expected an input whose width {self.heads} heads divide, got shape "
                f"{x.shape}; change heads, or give head_width"
            )
        return x.shape[-1] // self.heads

    def _known_width(self) -> int:
        if self.head_width is not None:
            return self.head_width
        units = known_units(self.query)
        if units is None:
            raise DeferredInitError(
                "MultiHeadAttention.make_cache: the width of the heads is not known yet; call the "
                "net once, or initialize(sample=...) with an input of the right shape; an "
                "attention that is given its head_width needs neither"
            )
        return units // self.heads

    def _check_together(self, context: Any, positions: Any, cache: Any) -> None:
        clash = next(
            (
                text
                for found, text in (
                    (self.causal, "causal=True"),
                    (self.rotary is not None, "rotary positions"),
                    (cache is not None, "a cache"),
                )
                if found and context is not None
            ),
            None,
        )
        if clash is not None:
            raise ArgumentError(
                f"{here()}: expected {clash} for attention of an input to itself, got a context "
                "too; leave one of them out"
            )
        if cache is not None:
            check_cache(cache)
        if positions is not None and self.rotary is None:
            raise ArgumentError(
                f"{here()}: expected positions only with rotary=, got some; give the layer "
                "rotary=nn.Rotary(), or leave them out"
            )
        if context is not None and not isinstance(context, KeyValues):
            check_sequence(as_floating(context))

    def _kuai_parts(self) -> list[str]:
        return arguments(self)


def _split(x: jax.Array, heads: int) -> jax.Array:
    """(batch, length, features) → (batch, length, heads, features of a head)."""
    if x.shape[-1] % heads:
        raise ShapeError(
            f"{here()}: expected projections whose width {heads} heads divide, got shape "
            f"{x.shape}; change their units"
        )
    return x.reshape(*x.shape[:2], heads, x.shape[-1] // heads)


def _checked_rotary(rotary: Any) -> Block | None:
    if rotary is not None and not isinstance(rotary, Block):
        raise ArgumentError(
            f"MultiHeadAttention: expected rotary to be a block, got {rotary!r}; write for example "
            "rotary=nn.Rotary()"
        )
    return rotary


def _divisor(key_heads: Any, heads: int) -> int:
    number = check_count("MultiHeadAttention", "key_heads", key_heads)
    if heads % number:
        raise ArgumentError(
            f"MultiHeadAttention: expected key_heads to divide heads={heads}, got {key_heads}; "
            f"write for example key_heads={heads}"
        )
    return number
