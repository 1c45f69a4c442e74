"""Low-rank adapters, set on any block from outside."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from kuai import init, random
from kuai.core import reparametrized
from kuai.core.block import Block
from kuai.core.modes import is_training
from kuai.core.parameter import Holder, Parameter
from kuai.errors import ArgumentError
from kuai.nn import ops
from kuai.nn._check import (
    as_floating,
    as_integers,
    check_axes,
    check_count,
    check_number,
    check_width,
)
from kuai.nn._dtypes import widened
from kuai.nn.activation import get
from kuai.nn.dense import Dense
from kuai.nn.embedding import Embedding
from kuai.nn.parametrization import put_on, standing, take_off

AnyBlock = TypeVar("AnyBlock", bound=Block)


def lora(
    block: AnyBlock,
    rank: int = 8,
    alpha: float | None = None,
    *,
    select: Any = Dense,
    names: str | tuple[str, ...] = "weight",
    dropout: float = 0.0,
) -> AnyBlock:
    """Train a net by low-rank adapters alone: parameters read as W + alpha / rank · down · up.

    Everything in the net but the adapters is frozen (`net.unfreeze("head.*")` for what shall train
    too). `nn.LoRA` stands beside each chosen parameter, which keeps its path: checkpoints of the
    plain net load before and after. At first nothing changes: one of the two factors is zero.
    In `Dense` and `Embedding` the product down · up is never formed, so that a step saves the
    gradient of W; other blocks read W + the product. `net.save(path, select="*_lora.*")` keeps the
    adapters alone, and `net.load(path, select="*_lora.*")` takes them. PEFT's `lora_A` and `lora_B`
    are `down` and `up`, transposed.

    Args:
        block: the net.
        rank: of the product; default 8.
        alpha: the product is scaled by alpha / rank; default rank, so by 1.
        select: which blocks, as in `net.blocks`: "*.query", a type or a tuple of types (`nn.Dense,
            nn.Embedding`), a predicate; default `nn.Dense`.
        names: of the parameters; those of fewer than two axes are left alone.
        dropout: rate at which inputs of the adapters are dropped in training, in `Dense`; default
            0.0.

    Returns:
        The block.

    Raises:
        ArgumentError: nothing is selected, a parameter has an adapter already, `rank` is no
            positive integer, `alpha` is negative, the rate is not in [0, 1), or there is a rate for
            a block other than `Dense`.

    Example:
        >>> net = nn.Sequential(("query", nn.Dense(4)), ("head", nn.Dense(2)))
        >>> _ = nn.lora(net.initialize(sample=jnp.ones((1, 3))), rank=2, select="query")
        >>> [path for path, p in net.named_parameters() if p.trainable]
        ['query.weight_lora.down', 'query.weight_lora.up']

    Reference:
        Hu et al., "LoRA: low-rank adaptation of large language models" (2021).
    """
    put_on(block, names, select, functools.partial(LoRA, rank, alpha, dropout))
    adapters = {id(p) for place in standing(block, LoRA) for p in _adapter(place).parameters()}
    for parameter in block.parameters():
        if id(parameter) not in adapters:
            parameter.trainable = False
    return block


def merge_lora(block: Block, *, select: Any = None) -> dict[str, LoRA]:
    """Add the adapters into the parameters, and take them off: the net is a plain one again.

    Args:
        block: the net.
        select: on which blocks, as in `net.blocks`; default all.

    Returns:
        The adapters by path, for `nn.unmerge_lora`.

    Raises:
        ArgumentError: there are none.

    Example:
        >>> net = nn.lora(nn.Dense(3).initialize(sample=jnp.ones((1, 2))), rank=1)
        >>> adapters = nn.merge_lora(net)
        >>> net, list(adapters)
        (Dense(3), ['weight_lora'])
    """
    places = list(standing(block, LoRA, select))
    if not places:
        raise ArgumentError(
            f"merge_lora: expected adapters on {type(block).__name__} or below, got none; "
            "nn.lora puts them there"
        )
    return {
        f"{place.path}.{place.attribute}".lstrip("."): take_off(place, keep=True)
        for place in places
    }


def unmerge_lora(block: AnyBlock, adapters: dict[str, LoRA]) -> AnyBlock:
    """Take merged adapters out of the parameters and put them back beside them.

    Args:
        block: the net that `nn.merge_lora` was called on, or one of its structure.
        adapters: what it returned.

    Returns:
        The block; its parameters are what they were, to rounding.

    Raises:
        ArgumentError: there is an adapter at a path already.
        BlockLookupError: there is no block at a path.

    Example:
        >>> net = nn.lora(nn.Dense(3).initialize(sample=jnp.ones((1, 2))), rank=1)
        >>> nn.unmerge_lora(net, nn.merge_lora(net)).weight_lora.rank
        1
    """
    places = []
    for path, adapter in adapters.items():
        owner = block.get_block(path.rpartition(".")[0])
        name = path.rpartition(".")[2].removesuffix(f"_{LoRA._kuai_kind}")
        reparametrized.check(owner, name, LoRA._kuai_kind, adapter)
        places.append((owner, name, adapter))
    for owner, name, adapter in places:
        setattr(owner, name, adapter.inverse(getattr(owner, name)))
        reparametrized.attach(owner, name, LoRA._kuai_kind, adapter)
    return block


class LoRA(Block):
    """W + alpha / rank · down · up, as `nn.lora` puts it on a parameter W.

    Args:
        rank: of the product; default 8.
        alpha: the product is scaled by alpha / rank; default rank.
        dropout: rate at which inputs are dropped in training, in `Dense`; default 0.0.

    Shape:
        That of W, (..., inputs, outputs). `down` (..., inputs, rank), `up` (rank, outputs).
        `down` begins uniform within 1 / √inputs and `up` zero, as in PEFT; in an embedding `down`
        begins zero and `up` normal with standard deviation 1.

    Raises:
        ArgumentError: `rank` is no positive integer, `alpha` is negative, or the rate is not in
            [0, 1).

    Example:
        >>> net = nn.lora(nn.Dense(3), rank=1, alpha=2.0).initialize(sample=jnp.ones((1, 2)))
        >>> net.weight_lora.down.shape, net.weight_lora.up.shape, net.weight_lora.scale
        ((2, 1), (1, 3), 2.0)
    """

    down: Any
    up: Any
    _kuai_kind = "lora"

    def __init__(self, rank: int = 8, alpha: float | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.rank = check_count("lora", "rank", rank)
        self.alpha = None if alpha is None else check_number("lora", "alpha", alpha, math.inf)
        self.dropout = check_number("lora", "dropout", dropout, 1.0)

    @property
    def scale(self) -> float:
        """What the product is multiplied with.

        Example:
            >>> nn.LoRA(rank=4, alpha=8).scale
            2.0
        """
        return 1.0 if self.alpha is None else self.alpha / self.rank

    def _kuai_stand_on(self, owner: Block, parameter: Holder) -> None:
        if self.dropout and not isinstance(owner, Dense):
            raise ArgumentError(
                f"lora: expected Dense blocks alone for dropout={self.dropout}, got "
                f"{type(owner).__name__}; select them, or leave dropout out"
            )
        *inputs, outputs = parameter.shape
        rows = isinstance(owner, Embedding)
        down, up = ("zeros", init.normal(std=1.0)) if rows else (_within_fan_in, "zeros")
        dtype = parameter.dtype
        self.down = Parameter(shape=(*inputs, self.rank), init=down, dtype=dtype)
        self.up = Parameter(shape=(self.rank, outputs), init=up, dtype=dtype)

    def _kuai_wrapped(self, owner: Block, name: str) -> tuple[str, list[str]]:
        given = {"rank": self.rank, "alpha": self.alpha, "dropout": self.dropout}
        defaults = {"rank": 8, "alpha": None, "dropout": 0.0}
        options = [f"{key}={value!r}" for key, value in given.items() if value != defaults[key]]
        options += [] if isinstance(owner, Dense) else ["select=''"]
        return "lora", [*options, *([] if name == "weight" else [f"names={name!r}"])]

    def infer_shapes(self, weight: Any) -> None:
        """Settle the shapes of the factors."""
        *inputs, outputs = weight.shape
        self.params.down.settle((*inputs, self.rank))
        self.params.up.settle((self.rank, outputs))

    def forward(self, weight: Any) -> Any:
        """The whole array, with the product."""
        wide = _wide(weight)
        return (weight.astype(wide) + self._product(wide)).astype(weight.dtype)

    def inverse(self, weight: Any) -> Any:
        """The parameter for which it reads as `weight`."""
        wide = _wide(weight)
        return (weight.astype(wide) - self._product(wide)).astype(weight.dtype)

    def _product(self, wide: Any) -> jax.Array:
        return self.down.astype(wide) @ self.up.astype(wide) * jnp.asarray(self.scale, wide)

    def _kuai_shortcut(self, block: Any, name: str) -> Callable[..., Any] | None:
        if name == "weight" and type(block).forward is Dense.forward:
            return self._dense
        if name == "weight" and type(block).forward is Embedding.forward:
            return self._embedding
        return None

    def _dense(self, block: Dense, weight: jax.Array, x: Any) -> Any:
        """activation(x W + b + scale · dropped(x) down up)."""
        x = as_floating(x)
        check_axes(x, 1)
        check_width(x, -1, weight.shape[0])
        y = ops.dense(x, weight, block.bias)
        low = ops.dense(self._dropped(x), self.down)
        return get(block.activation)(y + self._scaled(low, y.dtype))

    def _embedding(self, block: Embedding, weight: jax.Array, indices: Any) -> Any:
        """The rows of W, with those of down times up."""
        indices = as_integers(indices)
        block._check_range(indices)
        y = ops.embedding(indices, weight)
        return y + self._scaled(ops.embedding(indices, self.down), y.dtype)

    def _scaled(self, low: jax.Array, dtype: Any) -> jax.Array:
        high = ops.dense(low, self.up)
        return (high * jnp.asarray(self.scale, high.dtype)).astype(dtype)

    def _dropped(self, x: jax.Array) -> jax.Array:
        if not self.dropout or not is_training():
            return x
        return ops.dropout(x, random.bernoulli(1 - self.dropout, x.shape), self.dropout)


def _adapter(place: Any) -> LoRA:
    adapter: LoRA = getattr(place.owner, place.attribute)
    return adapter


def _wide(weight: jax.Array) -> Any:
    return widened(weight.dtype)


def _within_fan_in(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Uniform within 1 / √inputs, as PEFT begins."""
    limit = 1 / math.sqrt(max(1, math.prod(shape[:-1])))
    return jax.random.uniform(key, shape, dtype, -limit, limit)
