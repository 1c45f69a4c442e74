"""Nets that tell the next token, and so write: prompt, draw, append, until an end or a length."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai import nn, random
from kuai.core.automatic import run_transform
from kuai.core.block import Block
from kuai.core.modes import eval_mode
from kuai.core.unbound import explained
from kuai.models import prompts
from kuai.models.drawing import Draw
from kuai.models.writing import Task, continued
from kuai.nn._check import check_count


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
        vocabulary: how many tokens it knows, from 0, for `generate` to check; default None: as many
            as the embedding `tokens` has, or any number where there is none.

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
    vocabulary: int | None = None

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

    @explained(max_new_tokens="length", input_ids="tokens")
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
        window: int | None = None,
        key: Any = None,
    ) -> jax.Array:
        """Go on with sequences of tokens.

        In a compiled block or function, tokens and lengths have no values that could be checked: a
        token that is not in the vocabulary gives any token there, and lengths out of their range
        give any sequence.

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
            window: how many of the last tokens the net sees at most; default all. With it, a text
                may be longer than the net has positions for. Until the window is full, the net
                remembers what it saw; then it runs on the whole window for each token.
            key: of the draws; default the next of kuai's own.

        Returns:
            Integers (batch, prompt + length), the prompts included.

        Raises:
            ArgumentError: an argument is out of its range, a token or `end` is not in the
                vocabulary, or there are more tokens than the net has positions for and no
                `window`.
            DtypeError: tokens or lengths are no integers.
            ShapeError: the tokens are not (batch, prompt), or `lengths` is not (batch,).

        Example:
            >>> net = kuai.models.GPT2(16, layers=1, heads=2, width=8, positions=10)
            >>> net.generate(jnp.array([[1, 2, 3]]), 4).shape
            (1, 7)
            >>> net.generate(jnp.array([[1, 2, 3]]), 40, window=10).shape
            (1, 43)

        Reference:
            Fan et al., "Hierarchical neural story generation" (2018), for top-k; Holtzman et al.,
            "The curious case of neural text degeneration" (2020), for top-p.
        """
        name = type(self).__name__
        tokens = prompts.checked_tokens(tokens, _known_tokens(self), name)
        counts, known = prompts.checked_lengths(lengths, *tokens.shape)
        prompts.check_draws(temperature, top_k, top_p)
        length = check_count("generate", "length", length, at_least=0)
        end = prompts.checked_end(end, _known_tokens(self), name)
        prompts.check_room(name, self.longest, tokens.shape[1] + length, window)
        drawn = temperature > 0
        if drawn and key is None:
            key = random.key()
        elif drawn:
            prompts.check_key(key)
        task = Task(known, length, end, window, Draw(drawn, top_k, top_p is not None))
        numbers = jnp.float32(temperature), jnp.float32(1.0 if top_p is None else top_p)
        arrays = jnp.asarray(tokens), jnp.asarray(counts)
        if not all(holder.ready for holder in self.parameters()):
            self(arrays[0][:, :1])  # a cache has the widths that a first call settles
        with eval_mode():
            return run_transform(
                self, continued, (*arrays, task, numbers, key if drawn else None), {}
            )


def _known_tokens(net: LanguageModel) -> int | None:
    """How many tokens a net knows now, after a replacement of its table for example."""
    table = getattr(net, "tokens", None)
    size = table.size if isinstance(table, nn.Embedding) else None
    return size if net.vocabulary is None else net.vocabulary
