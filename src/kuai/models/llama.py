"""Decoder-only transformers in the style of Llama."""

from __future__ import annotations

from typing import Any

from kuai import init, nn
from kuai.models._check import check_heads, check_sizes
from kuai.models.layers import LayeredLanguageModel, run_layers


class Llama(LayeredLanguageModel):
    """A decoder-only transformer with rotary positions, RMS norms, gated feed-forward blocks and
    grouped queries.

    Args:
        vocabulary: number of tokens; default 32000.
        width: features of a token; default 4096.
        layers: default 32. They are one `nn.Repeat`.
        heads: of the queries; default 32.
        key_heads: of keys and values; default `heads`.
        head_width: features of a head; default width / heads.
        hidden: units of the feed-forward blocks; default 11008.
        rotary_base: base of the rotary positions; default 10000.
        rotary_scaling: `nn.LinearScaling` or `nn.Llama3Scaling`; default none.
        epsilon: of the norms; default 1e-5.
        use_bias: whether attention's projections have biases; default False.
        tied: whether the output is the embedding of the tokens; default False: a Dense of its own.

    Shape:
        integers (batch, length) → logits (batch, length, vocabulary).

    Raises:
        ArgumentError: a number is out of its range, `key_heads` does not divide `heads`, or `heads`
            does not divide `width` and there is no `head_width`; when called eagerly, a token is
            not in the vocabulary. Compiled, such a token gives NaN.

    Example:
        >>> net = kuai.models.Llama(16, width=8, layers=2, heads=4, key_heads=2, hidden=12)
        >>> net(jnp.array([[1, 2, 3]])).shape
        (1, 3, 16)

    Reference:
        Touvron et al., "LLaMA: open and efficient foundation language models" (2023).
    """

    def __init__(
        self,
        vocabulary: int = 32000,
        *,
        width: int = 4096,
        layers: int = 32,
        heads: int = 32,
        key_heads: int | None = None,
        head_width: int | None = None,
        hidden: int = 11008,
        rotary_base: float = 10000.0,
        rotary_scaling: Any = None,
        epsilon: float = 1e-5,
        use_bias: bool = False,
        tied: bool = False,
    ) -> None:
        super().__init__()
        check_sizes("Llama", vocabulary=vocabulary, width=width, layers=layers, heads=heads)
        check_sizes("Llama", hidden=hidden)
        if head_width is None:
            check_heads("Llama", width, heads)
        small = init.normal(0.0, 0.02)

        def layer() -> nn.TransformerEncoderLayer:
            attention = nn.MultiHeadAttention(
                heads,
                key_heads=key_heads,
                head_width=head_width,
                causal=True,
                use_bias=use_bias,
                rotary=nn.Rotary(rotary_base, scaling=rotary_scaling),
                init=small,
            )
            return nn.TransformerEncoderLayer(
                attention,
                nn.FeedForward(hidden, "silu", gated=True, use_bias=False, init=small),
                norm=lambda: nn.RMSNorm(epsilon=epsilon),
                norm_first=True,
                dropout=0.0,
            )

        self.tokens = nn.Embedding(vocabulary, width, init=small)
        self.layers = nn.Repeat(layer, layers)
        self.norm = nn.RMSNorm(epsilon=epsilon)
        self.head = None if tied else nn.Dense(vocabulary, use_bias=False, init=small)

    def forward(self, tokens: Any, *, cache: Any = None) -> Any:
        """Logits of the token that follows each; with a cache, (logits, the cache)."""
        x, cache = run_layers(self.layers, self.tokens(tokens), cache)
        x = self.norm(x)
        logits = self.tokens.attend(x) if self.head is None else self.head(x)
        return logits if cache is None else (logits, cache)
