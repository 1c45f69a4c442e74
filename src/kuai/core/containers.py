"""Containers that call their blocks: one after the other, side by side, around their input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.context import following
from kuai.core.lists import BlockDict as BlockDict
from kuai.core.lists import BlockList as BlockList
from kuai.core.repeat import Repeat as Repeat
from kuai.core.replicate import replicate as replicate
from kuai.core.sequential import Sequential as Sequential
from kuai.core.steps import Identity as Identity
from kuai.core.steps import Lambda as Lambda
from kuai.core.steps import as_block
from kuai.core.tree import here
from kuai.errors import ArgumentError, ShapeError

Join = Literal["concat", "sum", "stack"]


class Parallel(BlockList):
    """Blocks called on the same inputs, their outputs joined.

    Args:
        blocks: as for `Sequential`.
        join: "concat" along `axis`, "sum", "stack" along a new `axis`, or a function of the
            outputs.
        axis: of concat and stack; default -1.

    Shape:
        What every block takes → their outputs joined.

    Raises:
        ArgumentError: `join` is none of these, or there is no block when called.
        ShapeError: when called, the shapes of the outputs cannot be joined.

    Example:
        >>> nn.Parallel(nn.Dense(2), nn.Dense(3))(jnp.ones((4, 5))).shape
        (4, 5)
        >>> nn.Parallel(nn.Dense(2), nn.Dense(2), join="sum")(jnp.ones((4, 5))).shape
        (4, 2)
    """

    def __init__(
        self, *blocks: Any, join: Join | Callable[..., Any] = "concat", axis: int = -1
    ) -> None:
        if not callable(join) and join not in ("concat", "sum", "stack"):
            raise ArgumentError(
                f"Parallel: expected join 'concat', 'sum', 'stack' or a function, got {join!r}"
            )
        super().__init__(*blocks)
        self.join = join
        self.axis = axis

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        outputs = [block(*inputs, **keywords) for block in self._kuai_blocks()]
        if not outputs:
            raise ArgumentError(f"{here()}: expected at least one block, got none; add one")
        if callable(self.join):
            return following(self.join)(*outputs)
        _check_joinable(outputs, self.join, self.axis)
        if self.join == "concat":
            return jnp.concatenate(outputs, self.axis)
        return sum(outputs[1:], outputs[0]) if self.join == "sum" else jnp.stack(outputs, self.axis)

    def _kuai_options(self) -> dict[str, Any]:
        return {"join": self.join, "axis": self.axis}

    def _kuai_shown_options(self) -> dict[str, str]:
        join = getattr(self.join, "__name__", None) or repr(self.join)
        shown = {} if self.join == "concat" else {"join": join}
        return shown if self.axis == -1 else {**shown, "axis": repr(self.axis)}


def _check_joinable(outputs: list[Any], join: Any, axis: int) -> None:
    """Refuse outputs whose shapes do not fit, which a sum would else broadcast in silence."""
    shapes: list[tuple[Any, ...]] = [jnp.shape(output) for output in outputs]
    free = len(shapes[0]) + axis if axis < 0 else axis
    if join == "concat":
        shapes = [(*shape[:free], None, *shape[free + 1 :]) for shape in shapes]
    if len(set(shapes)) > 1:
        got = ", ".join(str(jnp.shape(output)) for output in outputs)
        but = f" but for axis {axis}" if join == "concat" else ""
        raise ShapeError(
            f"{here()}: expected outputs of equal shapes{but} to {join}, got {got}; change the "
            "blocks, or give join a function"
        )


class Residual(Block):
    """A block with its input added: y = x + block(x).

    Args:
        blocks: one that keeps the shape of its input; several are a `Sequential`.

    Shape:
        Any → the same.

    Raises:
        ArgumentError: there is no block.
        ShapeError: when called, the block changes the shape.

    Example:
        >>> nn.Residual(nn.Lambda(jnp.square))(jnp.array([3.0]))
        Array([12.], dtype=float32)

    Reference:
        He et al., "Deep residual learning for image recognition" (2015).
    """

    def __init__(self, *blocks: Any) -> None:
        super().__init__()
        if not blocks:
            raise ArgumentError("Residual: expected a block, got none; give it one")
        self.block = as_block(blocks[0], "Residual") if len(blocks) == 1 else Sequential(*blocks)

    def forward(self, x: Any, **keywords: Any) -> Any:
        y = self.block(x, **keywords)
        if jnp.shape(y) != jnp.shape(x):
            raise ShapeError(
                f"{here()}: expected the block to keep the shape {jnp.shape(x)} of its input, got "
                f"{jnp.shape(y)}; change its last layer, or use nn.Parallel to join by a function"
            )
        return x + y

    def _kuai_parts(self) -> list[str]:
        return [repr(self.block)]
