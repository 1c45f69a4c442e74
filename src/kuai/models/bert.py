"""BERT: an encoder of text."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from kuai import init, nn
from kuai.core.block import Block
from kuai.core.parameter import Parameter
from kuai.models._check import check_heads, check_sizes

_INIT = init.normal(0.0, 0.02)


class BERT(Block):
    """BERT: embeddings of tokens, positions and segments, transformer layers, and a head.

    Without `classes`, the head guesses masked tokens: a Dense, a norm, and the tokens' own
    embedding as the output. With `classes`, it takes the first token's vector through a tanh Dense
    (the pooler) to logits.

    Args:
        vocabulary: number of tokens; default that of BERT uncased.
        classes: number of classes; default None: logits of tokens.
        width: features of a token; default 768. BERT large has 1024.
        layers: default 12. Large has 24. They are one `nn.Repeat`.
        heads: of the attention; default 12. Large has 16.
        positions: tokens in the longest sequence; default 512.
        segments: kinds of segments; default 2.
        padding: the token that fills up shorter texts, whose embedding is not trained by a call;
            default 0. None: there is none.
        hidden: units of the feed-forward blocks; default 4 · width.
        activation: of the feed-forward blocks and of the head; default the exact GELU.
        dropout: share dropped in training; default 0.1.
        epsilon: of the norms; default 1e-12.

    Shape:
        integers (batch, length) → logits (batch, length, vocabulary), or (batch, classes).

    Raises:
        ArgumentError: a number is out of its range, or `heads` does not divide `width`; when called
            eagerly, a token is not in the vocabulary. Compiled, such a token gives NaN.
        ShapeError: when called, the sequence is longer than `positions`.

    Example:
        >>> net = kuai.models.BERT(16, classes=2, width=8, layers=2, heads=2, positions=10)
        >>> net(jnp.array([[1, 2, 3], [4, 5, 0]]), lengths=jnp.array([3, 2])).shape
        (2, 2)

    Reference:
        Devlin et al., "BERT: pre-training of deep bidirectional transformers for language
        understanding" (2019).
    """

    def __init__(
        self,
        vocabulary: int = 30522,
        classes: int | None = None,
        *,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        positions: int = 512,
        segments: int = 2,
        padding: int | None = 0,
        hidden: int | None = None,
        activation: Any = None,
        dropout: float = 0.1,
        epsilon: float = 1e-12,
    ) -> None:
        super().__init__()
        check_sizes("BERT", vocabulary=vocabulary, width=width, layers=layers, heads=heads)
        check_heads("BERT", width, heads)
        hidden = 4 * width if hidden is None else hidden
        check_sizes("BERT", positions=positions, segments=segments, hidden=hidden)
        if classes is not None:
            check_sizes("BERT", classes=classes)
        activation = nn.GELU(approximate=False) if activation is None else activation

        def layer() -> nn.TransformerEncoderLayer:
            return nn.TransformerEncoderLayer(
                nn.MultiHeadAttention(heads, dropout=dropout, init=_INIT),
                nn.FeedForward(hidden, activation, init=_INIT),
                norm=lambda: nn.LayerNorm(epsilon=epsilon),
                dropout=dropout,
            )

        self.tokens = nn.Embedding(vocabulary, width, init=_INIT, padding_index=padding)
        self.positions = nn.PositionEmbedding(positions, init=_INIT)
        self.segments = nn.Embedding(segments, width, init=_INIT)
        self.norm = nn.LayerNorm(epsilon=epsilon)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Repeat(layer, layers)
        if classes is None:
            self.head: Block = TokenHead(vocabulary, width, activation, epsilon)
        else:
            self.head = nn.Sequential(
                nn.Lambda(first_token),
                nn.Dense(width, activation="tanh", init=_INIT),
                nn.Dropout(dropout),
                nn.Dense(classes, init=_INIT),
            )

    def forward(self, tokens: Any, segments: Any = None, *, lengths: Any = None) -> Any:
        """Logits.

        Args:
            tokens: integers (batch, length).
            segments: integers (batch, length), which segment each token is of; default all 0.
            lengths: integers (batch,): tokens at that place and later are not attended to; default
                all are.
        """
        if segments is None:
            segments = jnp.zeros_like(tokens)
        x = self.positions(self.tokens(tokens) + self.segments(segments))
        x = self.layers(self.dropout(self.norm(x)), key_lengths=lengths)
        if isinstance(self.head, TokenHead):
            return self.tokens.attend(self.head(x)) + self.head.bias
        return self.head(x)


class TokenHead(Block):
    """What BERT does to a vector before it is compared with the tokens' embeddings.

    Args:
        vocabulary: number of tokens, each of which has a bias.
        width: features.
        activation: of the Dense.
        epsilon: of the norm.

    Shape:
        (batch, length, width) → the same. `bias` (vocabulary,).

    Raises:
        ArgumentError: a number is out of its range, or the activation is unknown; when called, the
            input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has another width than at first.

    Example:
        >>> net = kuai.models.BERT(16, width=8, layers=1, heads=2, positions=10)
        >>> type(net.head).__name__, net.head(jnp.ones((1, 3, 8))).shape
        ('TokenHead', (1, 3, 8))
    """

    bias: Any

    def __init__(self, vocabulary: int, width: int, activation: Any, epsilon: float) -> None:
        super().__init__()
        self.dense = nn.Dense(width, activation=activation, init=_INIT)
        self.norm = nn.LayerNorm(epsilon=epsilon)
        self.bias = Parameter(shape=(vocabulary,))

    def forward(self, x: Any) -> Any:
        """norm(activation(x W + b))."""
        return self.norm(self.dense(x))


def first_token(x: Any) -> Any:
    """The first vector of each sequence: (batch, length, width) → (batch, width)."""
    return x[:, 0]
