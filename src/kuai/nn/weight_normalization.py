"""Weight normalization, set on any block from outside."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from kuai.core.block import Block
from kuai.core.follows import Follows
from kuai.core.parameter import Holder, Parameter
from kuai.core.tree import here
from kuai.errors import ShapeError
from kuai.nn._check import check_index
from kuai.nn._dtypes import promoted
from kuai.nn.parametrization import put_on

AnyBlock = TypeVar("AnyBlock", bound=Block)


def weight_norm(
    block: AnyBlock,
    names: str | tuple[str, ...] = "weight",
    *,
    axis: int | None = -1,
    select: Any = "",
) -> AnyBlock:
    """Give parameters a length of their own: they read as magnitude · v / ‖v‖.

    The parameter itself is v, under its own path; `nn.WeightNorm` stands beside it and holds the
    magnitude, which begins as ‖v‖: nothing changes at first. `block.weight` can be assigned.

    Args:
        block: the block or net.
        names: of the parameters; those of fewer than two axes are left alone.
        axis: along which there is a magnitude for each index; default the last, the outputs of
            kuai's layers (PyTorch's `dim=0`, whose weights have the outputs first). None: one
            magnitude in all.
        select: which blocks, as in `net.blocks`; default `block` alone.

    Returns:
        The block.

    Raises:
        ArgumentError: there is no such parameter, or it has a weight norm; `axis` is no integer.
        ShapeError: when called, the parameter has no such axis.

    Example:
        >>> net = nn.weight_norm(nn.Dense(2)).initialize(sample=jnp.ones((1, 3)))
        >>> [path for path, _ in net.named_parameters()]
        ['weight', 'bias', 'weight_norm.magnitude']

    Reference:
        Salimans and Kingma, "Weight normalization" (2016).
    """
    return put_on(block, names, select, functools.partial(WeightNorm, axis))


class WeightNorm(Block):
    """magnitude · v / ‖v‖, as `nn.weight_norm` puts it on a parameter v.

    The norm is taken in at least float32.

    Args:
        axis: along which there is a magnitude for each index; None: one in all.

    Shape:
        That of v. `magnitude` the same with 1 on all axes but `axis`.

    Raises:
        ArgumentError: `axis` is no integer.
        ShapeError: when called, v has no such axis.

    Example:
        >>> net = nn.weight_norm(nn.Dense(2, init="ones")).initialize(sample=jnp.ones((1, 4)))
        >>> net.weight_norm.magnitude.tolist()
        [[2.0, 2.0]]
    """

    magnitude: Any
    _kuai_kind = "norm"

    def __init__(self, axis: int | None = -1) -> None:
        super().__init__()
        self.axis = None if axis is None else check_index("weight_norm", "axis", axis)

    def _kuai_stand_on(self, _: Block, parameter: Holder) -> None:
        shape = (None,) * len(parameter.shape)
        init = Follows(parameter, functools.partial(_norms, axis=self.axis))
        self.magnitude = Parameter(shape=shape, init=init, dtype=parameter.dtype)

    def _kuai_wrapped(self, _: Block, name: str) -> tuple[str, list[str]]:
        options = [] if name == "weight" else [repr(name)]
        return "weight_norm", [*options, *([] if self.axis == -1 else [f"axis={self.axis}"])]

    def infer_shapes(self, weight: Any) -> None:
        """Settle the shape of the magnitude."""
        if self.axis is not None and not -len(weight.shape) <= self.axis < len(weight.shape):
            raise ShapeError(
                f"{here()}: expected a parameter with an axis {self.axis}, got shape "
                f"{tuple(weight.shape)}; choose another axis"
            )
        kept = None if self.axis is None else self.axis % len(weight.shape)
        self.params.magnitude.settle([n if i == kept else 1 for i, n in enumerate(weight.shape)])

    def forward(self, weight: Any) -> Any:
        """The direction of the parameter, in the length of the magnitude."""
        norms = _norms(weight, self.axis)
        lengths = jnp.where(norms == 0, jnp.ones_like(norms), norms)
        scaled = weight.astype(norms.dtype) * (self.magnitude.astype(norms.dtype) / lengths)
        return scaled.astype(weight.dtype)

    def inverse(self, weight: Any) -> Any:
        """The parameter, and the magnitude, for which it reads as `weight`."""
        weight = jnp.asarray(weight)
        self.magnitude = _norms(weight, self.axis)
        return weight


def _norms(weight: jax.Array, axis: int | None) -> jax.Array:
    """The norms over all axes but one, in at least float32; the gradient at a norm of 0 is 0."""
    wide = weight.astype(promoted(weight.dtype, jnp.dtype(jnp.float32)))
    others = tuple(i for i in range(weight.ndim) if axis is None or i != axis % weight.ndim)
    squares = jnp.square(wide).sum(others, keepdims=True)
    safe = jnp.where(squares == 0, jnp.ones_like(squares), squares)
    return jnp.where(squares == 0, squares, jnp.sqrt(safe))
