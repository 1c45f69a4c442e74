"""Tokens one after the other: prompt, draw, append, until an end token or a length.

The whole loop is one program: a while on arrays that carries the tokens, the net's cache and a
random key, and stops as soon as every sequence has ended.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kuai import random
from kuai.core.block import Block
from kuai.core.extensions import run_transform
from kuai.core.modes import eval_mode
from kuai.errors import ArgumentError, DtypeError, ShapeError


class LanguageModel(Block):
    """A net that tells the next token, and so writes.

    A subclass has `forward(tokens, *, cache=None)` and `make_cache(batch, length)`.

    The cache is what the net remembers of the tokens of earlier calls: a tree of arrays. A call
    with one takes the tokens that follow those, as many as there are, and gives the logits that it
    would give with all tokens at hand, and a cache of the same structure, shapes and dtypes: the
    loop of `generate` carries it. The net's parameters have values when it is made.

    Attributes:
        longest: how many tokens the net has positions for, which `generate` does not go beyond;
            default None: any number.

    Shape:
        Integers (batch, length) → logits (batch, length, vocabulary); with a cache (logits, the
        cache).

    Raises:
        ForwardNotDefinedError: when called, a subclass does not define `forward`.

    Example:
        >>> class Bigrams(kuai.models.LanguageModel):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.table = nn.Embedding(5, 5)
        ...
        ...     def make_cache(self, batch, length):
        ...         return ()
        ...
        ...     def forward(self, tokens, *, cache=None):
        ...         logits = self.table(tokens)
        ...         return logits if cache is None else (logits, cache)
        >>> Bigrams().generate(jnp.array([[1, 2]]), 3).shape
        (1, 5)
    """

    longest: int | None = None

    def make_cache(self, batch: int, length: int) -> Any:
        """What the net remembers of the tokens before: arrays, empty yet.

        Args:
            batch: number of sequences.
            length: room, in tokens.

        Raises:
            NotImplementedError: the subclass does not define it.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: expected the class to define make_cache(self, batch, length), "
            "which generate asks for, and it does not; return the arrays that forward takes as "
            "cache, or () if it remembers nothing"
        )

    def generate(
        self,
        tokens: Any,
        length: int,
        *,
        lengths: Any = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        end: int | None = None,
        key: Any = None,
    ) -> jax.Array:
        """Go on with sequences of tokens.

        Args:
            tokens: integers (batch, prompt): how the sequences begin.
            length: how many tokens are added to each at most.
            lengths: integers (batch,): how many tokens of each prompt count, from its start; the
                others are filled in. Default all.
            temperature: 0 (the default) takes the likeliest token each time; otherwise tokens are
                drawn with the probabilities softmax(logits / temperature).
            top_k: draw among the k likeliest tokens only; default all.
            top_p: draw among the likeliest tokens only, as few as have this probability together;
                default all.
            end: the token that ends a sequence; what stands behind it is this token again. The loop
                stops as soon as all sequences have ended. Default none.
            key: of the draws; default the next of kuai's own.

        Returns:
            Integers (batch, prompt + length), the prompts included.

        Raises:
            ArgumentError: an argument is out of its range, or there are more tokens than the net
                has positions for.
            DtypeError: the tokens are no integers.
            ShapeError: they are not (batch, prompt), or `lengths` is not (batch,).

        Example:
            >>> net = kuai.models.GPT2(16, layers=1, heads=2, width=8, positions=10)
            >>> net.generate(jnp.array([[1, 2, 3]]), 4).shape
            (1, 7)

        Reference:
            Fan et al., "Hierarchical neural story generation" (2018), for top-k; Holtzman et al.,
            "The curious case of neural text degeneration" (2020), for top-p.
        """
        tokens, counts = _checked(tokens, lengths)
        _check_draws(temperature, top_k, top_p)
        _check_length(self, tokens.shape[1], length)
        drawn = temperature > 0
        if drawn and key is None:
            key = random.key()
        how = _Draw(drawn, top_k, top_p is not None)
        numbers = jnp.float32(temperature), jnp.float32(1.0 if top_p is None else top_p)
        known = int(counts.min(initial=tokens.shape[1]))
        if not all(holder.ready for holder in self.parameters()):
            self(jnp.asarray(tokens[:, :1]))  # a cache has the widths that a first call settles
        with eval_mode():
            return run_transform(
                self,
                _generated,
                (jnp.asarray(tokens), jnp.asarray(counts), known, length, end, how, numbers, key),
                {},
            )


class _Draw(NamedTuple):
    """How a token is drawn, as far as it decides the program."""

    random: bool
    top_k: int | None
    top_p: bool


def _generated(
    net: Any,
    tokens: jax.Array,
    counts: jax.Array,
    known: int,
    length: int,
    end: int | None,
    how: _Draw,
    numbers: Any,
    key: Any,
) -> jax.Array:
    batch, prompt = tokens.shape
    total = prompt + length
    limits = counts + length
    written = jnp.pad(tokens, ((0, 0), (0, length)), constant_values=end or 0)
    logits, cache = net(tokens[:, :known], cache=net.make_cache(batch, total))

    def going(state: Any) -> jax.Array:
        place, *_, ended = state
        return (place < total) & ~ended.all()

    def step(state: Any) -> Any:
        place, written, logits, cache, key, ended = state
        key, own = (key, None) if key is None else jax.random.split(key)
        token = _drawn(logits, how, numbers, own).astype(written.dtype)
        given = lax.dynamic_index_in_dim(written, place, 1, keepdims=False)
        in_prompt = place < counts
        token = jnp.where(in_prompt | ended, given, token)
        written = lax.dynamic_update_index_in_dim(written, token, place, 1)
        ended = ended | (place + 1 >= limits)
        if end is not None:
            ended = ended | (~in_prompt & (token == end))
        logits, cache = net(token[:, None], cache=cache)
        return place + 1, written, logits[:, -1], cache, key, ended

    start = jnp.int32(known), written, logits[:, -1], cache, key, counts + length <= known
    return _behind_end(lax.while_loop(going, step, start)[1], limits, end)


def _behind_end(written: jax.Array, limits: jax.Array, end: int | None) -> jax.Array:
    """Shorter prompts leave room behind their last token."""
    places = jnp.arange(written.shape[1])
    filler = jnp.asarray(end or 0, written.dtype)
    return jnp.where(places < limits[:, None], written, filler)


def _drawn(logits: jax.Array, how: _Draw, numbers: Any, key: Any) -> jax.Array:
    """One token for each row of logits."""
    if not how.random:
        return logits.argmax(-1)
    temperature, top_p = numbers
    logits = logits.astype(jnp.float32) / temperature
    if how.top_k is not None:
        least = lax.top_k(logits, min(how.top_k, logits.shape[-1]))[0][:, -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    if how.top_p:
        logits = _among_likeliest(logits, top_p)
    return jax.random.categorical(key, logits)


def _among_likeliest(logits: jax.Array, top_p: jax.Array) -> jax.Array:
    """Logits, -inf but for the likeliest tokens that have a probability of `top_p` together."""
    ordered = jnp.sort(logits, axis=-1)[:, ::-1]
    shares = jax.nn.softmax(ordered, axis=-1)
    before = jnp.cumsum(shares, -1) - shares  # of the likelier ones; the likeliest always stays
    least = jnp.min(jnp.where(before < top_p, ordered, jnp.inf), -1, keepdims=True)
    return jnp.where(logits < least, -jnp.inf, logits)


def _checked(tokens: Any, lengths: Any) -> tuple[Any, np.ndarray]:
    tokens = np.asarray(tokens)
    if not np.issubdtype(tokens.dtype, np.integer):
        raise DtypeError(
            f"generate: expected tokens of an integer dtype, got {tokens.dtype}; cast them with "
            ".astype('int32')"
        )
    if tokens.ndim != 2 or not tokens.shape[1]:
        raise ShapeError(
            f"generate: expected tokens (batch, prompt) with at least one token in each prompt, "
            f"got shape {tokens.shape}; a single prompt is tokens[None]"
        )
    counts = np.full(len(tokens), tokens.shape[1]) if lengths is None else np.asarray(lengths)
    if counts.shape != (len(tokens),):
        raise ShapeError(
            f"generate: expected lengths of shape ({len(tokens)},), one for each prompt, got "
            f"{counts.shape}; give as many"
        )
    if counts.size and not 1 <= counts.min() <= counts.max() <= tokens.shape[1]:
        raise ArgumentError(
            f"generate: expected lengths from 1 to {tokens.shape[1]}, the prompts' width, got "
            f"{counts.min()} to {counts.max()}; count the tokens of each prompt"
        )
    return tokens.astype(np.int32), counts.astype(np.int32)


def _check_draws(temperature: Any, top_k: Any, top_p: Any) -> None:
    for name, value, fits, wanted in (
        ("temperature", temperature, temperature >= 0, "a number from 0 up"),
        ("top_k", top_k, top_k is None or top_k >= 1, "an integer from 1 up"),
        ("top_p", top_p, top_p is None or 0 < top_p <= 1, "a number above 0 and up to 1"),
    ):
        if not fits:
            raise ArgumentError(
                f"generate: expected {name} to be {wanted}, got {value!r}; leave it out for the "
                "default"
            )


def _check_length(net: LanguageModel, prompt: int, length: int) -> None:
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise ArgumentError(
            f"generate: expected length to be an integer from 0 up, got {length!r}; write for "
            "example 100"
        )
    if net.longest is not None and prompt + length > net.longest:
        raise ArgumentError(
            f"generate: expected at most {net.longest} tokens, those that {type(net).__name__} has "
            f"positions for, got {prompt} of the prompt and {length} more; ask for fewer"
        )
