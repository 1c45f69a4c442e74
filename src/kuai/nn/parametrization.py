"""Parameters that read as something computed from them, set on any block from outside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax

from kuai.core import reparametrized
from kuai.core.block import Block
from kuai.core.initialize import materialize, named_below
from kuai.core.parameter import Parameter
from kuai.core.tree import walk
from kuai.errors import ArgumentError

AnyBlock = TypeVar("AnyBlock", bound=Block)


def parametrize(block: AnyBlock, name: str, transform: Block) -> AnyBlock:
    """Let a parameter read as what another block computes from it.

    The parameter keeps its holder (`block.params.weight`) and its path, so checkpoints and
    optimizers know it as before; reading `block.weight` gives `transform(array)`. The transform
    stands beside it as `block.weight_NAME`, NAME after its class; its parameters are trained and
    saved like all others. Inside forward the array is computed once a call; read from outside, it
    is computed in eval mode. Several may stand on one parameter, one after the other.
    PyTorch's `parametrize` keeps the parameter as `parametrizations.weight.original`.

    Args:
        block: on which the parameter stands.
        name: of the parameter, such as "weight".
        transform: takes the array, returns one of the same shape. If it has a method
            `inverse(array)`, `block.weight` can be assigned.

    Returns:
        The block.

    Raises:
        ArgumentError: there is no such parameter, a transform of the class stands on it, or the
            block defines its own backward; `transform` is no block.
        ShapeError: when read, the transform changes the shape.
        TransformError: when assigned, the transform has no inverse.

    Example:
        >>> class Symmetric(kuai.Block):
        ...     def forward(self, weight):
        ...         return (weight + weight.T) / 2
        >>> net = nn.parametrize(nn.Dense(3), "weight", Symmetric())
        >>> y = net(jnp.ones((1, 3)))
        >>> bool((net.weight == net.weight.T).all())
        True
    """
    if not isinstance(transform, Block):
        raise ArgumentError(
            f"parametrize: expected a block, got {type(transform).__name__}; wrap a function by "
            "nn.Lambda"
        )
    return put_on(block, name, "", lambda: transform, least_axes=0)


def remove_parametrization(
    block: AnyBlock, kind: Any = Block, *, select: Any = None, keep: bool = True
) -> AnyBlock:
    """Take parametrizations off again.

    Args:
        block: the net.
        kind: the class of transforms to take off, such as `nn.WeightNorm`, or a tuple of classes;
            default all.
        select: from which blocks, as in `net.blocks`; default all.
        keep: whether the parameter becomes the array that it read as (the default), so that the net
            computes what it did; False goes back to the array underneath.

    Returns:
        The block.

    Raises:
        ArgumentError: there is none to take off.
        DeferredInitError: the values have not been made yet; `keep=False` needs none.
        TransformError: one that stays on the same parameter has no inverse.

    Example:
        >>> net = nn.weight_norm(nn.Dense(3)).initialize(sample=jnp.ones((1, 2)))
        >>> nn.remove_parametrization(net)
        Dense(3)
    """
    found = list(standing(block, kind, select))
    if not found:
        raise ArgumentError(
            f"remove_parametrization: expected a parametrization on {type(block).__name__} or "
            "below, got none of that kind; net.named_blocks() lists what stands there"
        )
    for place in found:
        take_off(place, keep=keep)
    return block


class Place(NamedTuple):
    """Where a transform stands."""

    path: str
    owner: Block
    name: str
    attribute: str


def standing(block: Block, kind: Any, select: Any = None) -> Iterator[Place]:
    """The transforms of a class below a block."""
    for path, owner in block.named_blocks(select):
        for name, attributes in list(owner._kuai.derived.items()):
            for attribute in attributes:
                if isinstance(owner.__dict__.get(attribute), kind):
                    yield Place(path, owner, name, attribute)


def take_off(place: Place, *, keep: bool) -> Any:
    """Remove one transform; what it was."""
    owner, name = place.owner, place.name
    transform = getattr(owner, place.attribute)
    if keep:
        chain = reparametrized.transforms(owner, name)
        below = chain[: chain.index(transform)]
        holder = owner.params[name]
        value = reparametrized.through(owner, name, holder.array, [*below, transform])
        holder.array = reparametrized.before(below, value, f"{type(owner).__name__}.{name}")
    return reparametrized.detach(owner, name, place.attribute)


def put_on(
    net: AnyBlock,
    names: str | tuple[str, ...],
    select: Any,
    make: Callable[[], Block],
    *,
    least_axes: int = 2,
) -> AnyBlock:
    """Put a transform on parameters of the selected blocks, all of them or none.

    Args:
        net: the net.
        names: of the parameters.
        select: as in `net.blocks`.
        make: gives a transform for one parameter.
        least_axes: that a parameter must have; a bias is left alone.
    """
    several = (names,) if isinstance(names, str) else tuple(names)
    pairs = [(owner, name) for _, owner in net.named_blocks(select) for name in several]
    chosen = [(o, n) for o, n in pairs if _axes(o, n) >= least_axes]
    made = [(owner, name, make()) for owner, name in chosen]
    if not made:
        raise ArgumentError(_nothing(net, several, select, least_axes))
    for owner, name, transform in made:
        reparametrized.check(owner, name, kind_of(transform), transform)
        _prepare(owner, name, transform)
    for owner, name, transform in made:
        reparametrized.attach(owner, name, kind_of(transform), transform)
    ready = [transform for owner, name, transform in made if owner.params[name].ready]
    new = [holder for transform in ready for holder in walk(transform).holders.values()]
    materialize(named_below([net], new))  # where the net has no values yet, they come with its own
    return net


def _prepare(owner: Block, name: str, transform: Any) -> None:
    """Make a transform fit its parameter, as far as that is known."""
    parameter = owner.params[name]
    stand_on = getattr(transform, "_kuai_stand_on", None)
    if stand_on is not None:
        stand_on(owner, parameter)
    unknown = any(not holder.settled for holder in walk(transform).holders.values())
    if parameter.settled and unknown:
        transform.infer_shapes(jax.ShapeDtypeStruct(parameter.shape, parameter.dtype))


def _axes(owner: Block, name: str) -> int:
    """How many axes a parameter has; -1 where there is none of that name."""
    holder = owner._kuai.slots.get(name)
    return len(holder.shape) if isinstance(holder, Parameter) else -1


def kind_of(transform: Block) -> str:
    """The name under which a transform stands beside a parameter, after that of the parameter."""
    own: str | None = getattr(transform, "_kuai_kind", None)
    return own or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(transform).__name__).lower()


def _nothing(net: Block, names: tuple[str, ...], select: Any, least_axes: int) -> str:
    paths = [path for path, _ in net.named_parameters()][:5]
    axes = f" of at least {least_axes} axes" if least_axes else ""
    where = type(net).__name__ if select == "" else f"the blocks that {select!r} selects"
    return (
        f"{where}: expected a parameter {' or '.join(map(repr, names))}{axes}, got none; there are "
        f"{', '.join(paths) or 'none'}; choose blocks by select=, parameters by names="
    )
