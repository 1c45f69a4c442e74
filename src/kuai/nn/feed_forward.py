"""The feed-forward part of a transformer layer."""

from __future__ import annotations

from typing import Any

from kuai.core.block import Block
from kuai.core.representation import arguments
from kuai.nn._check import as_floating, check_axes, check_count, check_number, floating_name
from kuai.nn.activation import get, kept
from kuai.nn.dropout import dropped
from kuai.nn.projection import Projection, settle_widths


class FeedForward(Block):
    """Two dense layers with an activation between: down(activation(up(x))), or gated:
    down(activation(gate(x)) · up(x)).

    Gated with "silu" it is SwiGLU, with "gelu" GEGLU.

    Args:
        hidden: units between the two.
        activation: a name, a function, a block, or None; default "gelu", which is the tanh formula
            (`kuai.nn.GELU(approximate=False)` is the exact one).
        gated: whether a third layer's outputs, activated, multiply those of the first; default
            False.
        dropout: probability with which a hidden unit is dropped in training; default 0.
        use_bias: whether the layers have biases; default True.
        init: initializer of the weights; default that of `initialize(init=)`, at last
            glorot_uniform.
        bias_init: initializer of the biases; default zeros.
        dtype: of the parameters; default float32.

    Shape:
        (..., features) → the same. `up.weight` and `gate.weight` (features, hidden),
        `down.weight` (hidden, features), and a `bias` (outputs,) for each.

    Raises:
        ArgumentError: a number is out of its range, the dtype is not floating, or the activation is
            unknown; when called, the input is no array.
        DtypeError: when called, the input is not floating.
        ShapeError: when called, the input has another width than at first, or no axis at all.

    Example:
        >>> net = nn.FeedForward(16, "silu", gated=True, use_bias=False)
        >>> net(jnp.ones((2, 3, 4))).shape
        (2, 3, 4)
        >>> [path for path, _ in net.named_parameters()]
        ['up.weight', 'gate.weight', 'down.weight']

    Reference:
        Vaswani et al., "Attention is all you need" (2017). Shazeer, "GLU variants improve
        transformer" (2020).
    """

    def __init__(
        self,
        hidden: int,
        activation: Any = "gelu",
        gated: bool = False,
        dropout: float = 0.0,
        use_bias: bool = True,
        init: Any = None,
        bias_init: Any = "zeros",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.hidden = check_count("FeedForward", "hidden", hidden)
        self.activation = kept(activation, "FeedForward")
        self.gated, self.use_bias = gated, use_bias
        self.init, self.bias_init = init, bias_init
        dtype = self._given_dtype = floating_name("FeedForward", dtype)
        options = (use_bias, init, bias_init, dtype)
        self.up = Projection(self.hidden, *options)
        self.gate = Projection(self.hidden, *options) if gated else None
        self.down = Projection(None, *options)
        self.dropout = check_number("FeedForward", "dropout", dropout, 1.0)

    @property
    def dtype(self) -> str:
        """The dtype of the parameters as they are now, after `astype` for example.

        Example:
            >>> nn.FeedForward(2).astype("bfloat16").dtype
            'bfloat16'
        """
        return self.up.dtype

    def forward(self, x: Any) -> Any:
        """down(activation(up(x))), or the gated form."""
        x = as_floating(x)
        check_axes(x, 1)
        settle_widths(self.down, self.hidden, x.shape[-1])
        activation = get(self.activation)
        if self.gate is None:
            hidden = activation(self.up(x))
        else:
            hidden = activation(self.gate(x)) * self.up(x)
        return self.down(dropped(hidden, self.dropout))

    def _kuai_parts(self) -> list[str]:
        return arguments(self)
