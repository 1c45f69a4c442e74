"""Stacks of transformer layers."""

from __future__ import annotations

from typing import Any

from kuai.core.block import Block
from kuai.core.lists import BlockList
from kuai.core.tree import here
from kuai.errors import ArgumentError
from kuai.nn._check import check_count
from kuai.nn.key_value_cache import KeyValueCache, KeyValues, caches_of, caches_told
from kuai.nn.transformer import given, made


class _Stack(Block):
    """Layers one after the other, and a norm at the end where there is one."""

    def __init__(self, layer: Block, count: int, norm: Any = None) -> None:
        super().__init__()
        where = type(self).__name__
        number = check_count(where, "count", count)
        if not isinstance(layer, Block):
            raise ArgumentError(
                f"{where}: expected a layer to copy, got {layer!r}; write for example "
                f"nn.{where}Layer(8, 1024)"
            )
        self.layers = BlockList([layer.copy() for _ in range(number)])
        self.norm = None if norm is None else made(where, norm)

    def make_cache(self, batch: int, length: int, dtype: Any = None) -> tuple[KeyValueCache, ...]:
        """An empty cache for each layer, to hand to a call as `cache=`.

        Args:
            batch: number of sequences.
            length: of the longest sequence, everything that comes in later calls included.
            dtype: of keys and values; default the parameters'.

        Raises:
            ArgumentError: a number is out of its range, the dtype is not floating, or a layer makes
                no cache.
            DeferredInitError: the width of a layer's heads is not known yet.
        """
        where = f"{type(self).__name__}.make_cache"
        return tuple(caches_of(where, self.layers, batch, length, dtype))

    def _caches(self, cache: Any) -> tuple[Any, ...]:
        count = len(self.layers)
        if cache is None:
            return (None,) * count
        one = isinstance(cache, KeyValueCache) or not isinstance(cache, (tuple, list))
        if one or len(cache) != count or any(kept is None for kept in cache):
            raise ArgumentError(
                f"{here()}: expected a cache for each of {count} layers, got {caches_told(cache)}; "
                "make them with make_cache(batch, length)"
            )
        return tuple(cache)

    def _kuai_parts(self) -> list[str]:
        texts = [repr(layer) for layer in self.layers]
        same = [texts[0], str(len(texts))] if len(set(texts)) == 1 else [f"layers={self.layers!r}"]
        return same if self.norm is None else [*same, f"norm={self.norm!r}"]


class TransformerEncoder(_Stack):
    """Encoder layers one after the other; with causal attention, a decoder-only model's.

    Each layer is compiled by itself. `nn.Repeat` compiles many equal layers as one.

    Args:
        layer: a `TransformerEncoderLayer`, of which each layer is a copy with values of its own
            (PyTorch's copies start with equal values).
        count: number of layers.
        norm: of the output: a class or function that makes one, or a block to copy; default none.

    Shape:
        (batch, time, features) → the same. Parameters: those of `layers.0`, `layers.1` and so on,
        and of `norm`.

    Raises:
        ArgumentError: an argument is none of these; when called, there is not a cache for each
            layer, or a layer raises it.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input or a mask does not fit.

    Example:
        >>> net = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 32), 2)
        >>> net(jnp.ones((2, 3, 8))).shape
        (2, 3, 8)

    Reference:
        Vaswani et al., "Attention is all you need" (2017).
    """

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
        """The last layer's output; with a cache, (that, a tuple of the layers' caches).

        Args:
            x: (batch, time, features).
            mask: where a query may attend to a key, in every layer.
            bias: added to the scores, likewise.
            key_lengths: integers (batch,), likewise.
            positions: for rotary attention, likewise.
            cache: a cache for each layer, from `make_cache`.
        """
        options = given(mask=mask, bias=bias, key_lengths=key_lengths, positions=positions)
        caches = []
        for layer, kept in zip(self.layers, self._caches(cache), strict=True):
            if kept is None:
                x = layer(x, **options)
            else:
                x, kept = layer(x, **options, cache=kept)
                caches.append(kept)
        x = x if self.norm is None else self.norm(x)
        return x if cache is None else (x, tuple(caches))


class TransformerDecoder(_Stack):
    """Decoder layers one after the other, all attending to one memory.

    Args:
        layer: a `TransformerDecoderLayer`, of which each layer is a copy with values of its own
            (PyTorch's copies start with equal values).
        count: number of layers.
        norm: of the output: a class or function that makes one, or a block to copy; default none.

    Shape:
        (batch, time, features) → the same; memory (batch, keys, other features). Parameters: those
        of `layers.0`, `layers.1` and so on, and of `norm`.

    Raises:
        ArgumentError: an argument is none of these; when called, there are not a cache and a
            projected memory for each layer, or a layer raises it.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input, the memory or a mask does not fit.

    Example:
        >>> net = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 32), 2)
        >>> x, memory = jnp.ones((2, 3, 8)), jnp.ones((2, 5, 8))
        >>> net(x, memory).shape
        (2, 3, 8)
        >>> y, cache = net(x[:, :1], net.project(memory), cache=net.make_cache(2, 10))
        >>> y.shape, cache[0].position.item()
        ((2, 1, 8), 1)

    Reference:
        Vaswani et al., "Attention is all you need" (2017).
    """

    def project(self, memory: Any) -> tuple[KeyValues, ...]:
        """The memory's keys and values in each layer, to hand to several calls in its place."""
        return tuple(layer.project(memory) for layer in self.layers)

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
        """The last layer's output; with a cache, (that, a tuple of the layers' caches).

        Args:
            x: (batch, time, features).
            memory: (batch, keys, other features), or what `project` made of it.
            mask: of the self-attention in every layer, as for `MultiHeadAttention`.
            bias: of the self-attention, likewise.
            key_lengths: of the self-attention, likewise.
            memory_mask: mask of the attention to the memory.
            memory_lengths: integers (batch,): how much of each memory is seen.
            positions: for rotary self-attention, likewise.
            cache: a cache for each layer, from `make_cache`.
        """
        options = given(
            mask=mask,
            bias=bias,
            key_lengths=key_lengths,
            memory_mask=memory_mask,
            memory_lengths=memory_lengths,
            positions=positions,
        )
        memories, caches = self._memories(memory), []
        for layer, seen, kept in zip(self.layers, memories, self._caches(cache), strict=True):
            if kept is None:
                x = layer(x, seen, **options)
            else:
                x, kept = layer(x, seen, **options, cache=kept)
                caches.append(kept)
        x = x if self.norm is None else self.norm(x)
        return x if cache is None else (x, tuple(caches))

    def _memories(self, memory: Any) -> tuple[Any, ...]:
        count = len(self.layers)
        if not isinstance(memory, tuple):
            return (memory,) * count
        if isinstance(memory, KeyValues) or len(memory) != count:
            got = "one" if isinstance(memory, KeyValues) else len(memory)
            raise ArgumentError(
                f"{here()}: expected a memory as an array, or projected for each of {count} "
                f"layers, got {got}; make it with project(memory)"
            )
        return memory
