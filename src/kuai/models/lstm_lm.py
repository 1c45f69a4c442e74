"""A language model of LSTM layers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from kuai import nn
from kuai.models._check import check_sizes
from kuai.models.generation import LanguageModel
from kuai.nn._check import check_count


class LSTMLanguageModel(LanguageModel):
    """Embeddings of tokens, LSTM layers one after the other, logits of the next token.

    Args:
        vocabulary: number of tokens.
        width: features of a token, and units of each LSTM layer; default 256.
        layers: default 2.
        dropout: share dropped in training of embeddings, between layers, and before the output;
            default 0.2.
        tied: whether the output is the embedding of the tokens; default False: a Dense of its own.

    Shape:
        integers (batch, length) → logits (batch, length, vocabulary).

    Raises:
        ArgumentError: a number is out of its range; when called eagerly, a token is not in the
            vocabulary. Compiled, such a token gives NaN.

    Example:
        >>> net = kuai.models.LSTMLanguageModel(16, width=8)
        >>> net(jnp.array([[1, 2, 3]])).shape
        (1, 3, 16)

    Reference:
        Zaremba et al., "Recurrent neural network regularization" (2014).
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 256,
        layers: int = 2,
        dropout: float = 0.2,
        tied: bool = False,
    ) -> None:
        super().__init__()
        check_sizes("LSTMLanguageModel", vocabulary=vocabulary, width=width, layers=layers)
        self.width, self.depth = width, layers
        self.tokens = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(width, layers=layers, dropout=dropout)
        self.head = None if tied else nn.Dense(vocabulary)

    def make_cache(self, batch: int, length: int) -> Any:
        """The state of each layer, zeros, to hand to a call as `cache=`.

        Args:
            batch: number of sequences.
            length: of the longest sequence; a state has room for any.

        Raises:
            ArgumentError: a number is out of its range.
        """
        check_count("LSTMLanguageModel.make_cache", "batch", batch, at_least=0)
        check_count("LSTMLanguageModel.make_cache", "length", length)
        state = jnp.zeros((self.depth, batch, self.width))
        return state, state

    def forward(self, tokens: Any, *, cache: Any = None) -> Any:
        """Logits of the token that follows each; with a cache, (logits, the cache)."""
        x = self.dropout(self.tokens(tokens))
        x, state = self.lstm(x, cache)
        x = self.dropout(x)
        logits = self.tokens.attend(x) if self.head is None else self.head(x)
        return logits if cache is None else (logits, state)
