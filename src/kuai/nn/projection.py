"""The dense layers inside attention and feed-forward blocks."""

from __future__ import annotations

from typing import Any

from kuai.core.parameter import Parameter
from kuai.core.tree import here
from kuai.errors import DeferredInitError
from kuai.nn.dense import Dense


class Projection(Dense):
    """A `Dense` whose number of units the block around it may settle, from its own input.

    Args:
        units: number of outputs; None where `settle_widths` is to say it.
        use_bias, init, bias_init, dtype: as for `Dense`.
    """

    units: Any

    def __init__(
        self,
        units: int | None,
        use_bias: bool = True,
        init: Any = None,
        bias_init: Any = "zeros",
        dtype: Any = "float32",
    ) -> None:
        super().__init__(
            1 if units is None else units,
            use_bias=use_bias,
            init=init,
            bias_init=bias_init,
            dtype=dtype,
        )
        if units is None:
            self.units = None
            self.weight = Parameter(shape=(None, None), init=init, dtype=dtype)
            self.bias = Parameter(shape=(None,), init=bias_init, dtype=dtype) if use_bias else None

    def infer_shapes(self, x: Any) -> None:
        """Settle the width of the input."""
        if known_units(self) is None:
            raise DeferredInitError(
                f"{here()}: its number of units follows from the block around it; call that once "
                "before putting this one elsewhere"
            )
        super().infer_shapes(x)

    def _kuai_parts(self) -> list[str]:
        return [str(self.units or known_units(self))]


def known_units(block: Any) -> int | None:
    """The number of units of a dense layer; None where it is not known, or the block is another."""
    if not isinstance(block, Dense) or "weight" not in block.params:
        return None
    units: int | None = block.params.weight.shape[-1]
    return units


def settle_widths(block: Any, inputs: int, units: int) -> None:
    """Settle both widths of a projection that does not know them; leave any other block alone."""
    if not isinstance(block, Projection) or "weight" not in block.params:
        return
    if block.params.weight.settled:
        return
    block.params.weight.settle((inputs, units))
    if block.use_bias:
        block.params.bias.settle((units,))
