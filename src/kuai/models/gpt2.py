"""GPT-2: a decoder-only transformer with learnt positions."""

from __future__ import annotations

from typing import Any

from kuai import init, nn
from kuai.models._check import check_heads, check_sizes
from kuai.models.layers import LayeredLanguageModel, position_of, run_layers


class GPT2(LayeredLanguageModel):
    """GPT-2: embeddings of tokens and positions, causal transformer layers, the tokens' own
    embedding as the output.

    Args:
        vocabulary: number of tokens; default that of GPT-2.
        width: features of a token; default 768. GPT-2 medium has 1024, large 1280, XL 1600.
        layers: default 12. Medium has 24, large 36, XL 48. They are one `nn.Repeat`.
        heads: of the attention; default 12. Medium has 16, large 20, XL 25.
        positions: tokens in the longest sequence; default 1024.
        hidden: units of the feed-forward blocks; default 4 · width.
        activation: of the feed-forward blocks; default "gelu", the tanh formula.
        dropout: share dropped in training of embeddings, attention weights, and what each layer
            adds; default 0.1.
        epsilon: of the norms; default 1e-5.

    Shape:
        integers (batch, length) → logits (batch, length, vocabulary).

    Raises:
        ArgumentError: a number is out of its range, or `heads` does not divide `width`; when called
            eagerly, a token is not in the vocabulary. Compiled, such a token gives NaN.
        ShapeError: when called, the sequence is longer than `positions`.

    Example:
        >>> net = kuai.models.GPT2(16, width=8, layers=2, heads=2, positions=10)
        >>> net(jnp.array([[1, 2, 3]])).shape
        (1, 3, 16)

    Reference:
        Radford et al., "Language models are unsupervised multitask learners" (2019).
    """

    def __init__(
        self,
        vocabulary: int = 50257,
        *,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        positions: int = 1024,
        hidden: int | None = None,
        activation: Any = "gelu",
        dropout: float = 0.1,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        check_sizes("GPT2", vocabulary=vocabulary, width=width, layers=layers, heads=heads)
        check_heads("GPT2", width, heads)
        hidden = 4 * width if hidden is None else hidden
        check_sizes("GPT2", positions=positions, hidden=hidden)
        small = init.normal(0.0, 0.02)
        self.longest = positions

        def layer() -> nn.TransformerEncoderLayer:
            return nn.TransformerEncoderLayer(
                nn.MultiHeadAttention(heads, causal=True, dropout=dropout, init=small),
                nn.FeedForward(hidden, activation, init=small),
                norm=lambda: nn.LayerNorm(epsilon=epsilon),
                norm_first=True,
                dropout=dropout,
            )

        self.tokens = nn.Embedding(vocabulary, width, init=small)
        self.positions = nn.PositionEmbedding(positions, init=init.normal(0.0, 0.01))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Repeat(layer, layers)
        self.norm = nn.LayerNorm(epsilon=epsilon)

    def forward(self, tokens: Any, *, cache: Any = None) -> Any:
        """Logits of the token that follows each; with a cache, (logits, the cache)."""
        start = None if cache is None else position_of(self.layers, cache)
        x = self.dropout(self.positions(self.tokens(tokens), start))
        x, cache = run_layers(self.layers, x, cache)
        logits = self.tokens.attend(self.norm(x))
        return logits if cache is None else (logits, cache)
