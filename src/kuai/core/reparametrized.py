"""Parameters that read as something computed from them.

A reparametrization is an ordinary block that stands on the owner beside the parameter, under
`NAME_KIND`; `_kuai.derived` says that reads of NAME go through it. So the parameter keeps its path,
and files, copies, gradients and optimizers need no rule of their own.

Invariants a maintainer must not break:

* While the owner's forward runs, each such array is computed once, at its start: what the
  reparametrization keeps in State moves once a call. Arrays are added to that memo at no other
  time, since one of an inner trace would leak; and one is used only while all that it was computed
  from is what it was.
* Read from outside all blocks it is computed in eval mode: looking changes nothing.
"""

from __future__ import annotations

from typing import Any

import jax

from kuai.core.context import context, entered, epoch, following
from kuai.core.follows import Follows
from kuai.core.parameter import Holder
from kuai.core.settling import settle
from kuai.core.stored import computed
from kuai.core.tree import here, walk
from kuai.errors import ArgumentError, ShapeError, TransformError


def check(block: Any, name: str, kind: str, transform: Any) -> None:
    """Refuse a reparametrization that could not stand on a parameter.

    Raises:
        ArgumentError: something stands there already, or the block has a backward of its own.
    """
    attribute = f"{name}_{kind}"
    where = type(block).__name__
    if attribute in block.__dict__ or attribute in block._kuai.slots:
        raise ArgumentError(
            f"{where}.{attribute}: expected {name!r} without {type(transform).__name__}, and one "
            "stands there already; take it off first by nn.remove_parametrization"
        )
    if block._kuai_is_operator:
        raise ArgumentError(
            f"{where}.{name}: expected a block whose gradient JAX takes, and {where} defines its "
            "own backward, which knows nothing of what the parameter goes through"
        )


def attach(block: Any, name: str, kind: str, transform: Any) -> None:
    """Let reads of a parameter go through `transform` too."""
    attribute = f"{name}_{kind}"
    setattr(block, attribute, transform)
    block._kuai.derived[name] = (*block._kuai.derived.get(name, ()), attribute)
    epoch.bump()


def detach(block: Any, name: str, attribute: str) -> Any:
    """Take one off again; what stood there."""
    epoch.guard()
    transform = block.__dict__[attribute]
    left = tuple(other for other in block._kuai.derived[name] if other != attribute)
    block._kuai.derived[name] = left
    if not left:
        del block._kuai.derived[name]
    delattr(block, attribute)
    return transform


def transforms(block: Any, name: str) -> list[Any]:
    """The blocks that a parameter goes through, in order."""
    standing = [block.__dict__.get(attribute) for attribute in block._kuai.derived.get(name, ())]
    return [transform for transform in standing if transform is not None]


def derived_value(block: Any, name: str) -> jax.Array:
    """What the user reads for a reparametrized parameter."""
    found = _remembered(block, name)
    if found is not None:
        return computed(found)
    array = block._kuai.slots[name].read()
    if context.stack:
        return computed(through(block, name, array))
    with entered(training=False, forced=True, inline=True):
        return through(block, name, array)


def _remembered(block: Any, name: str) -> jax.Array | None:
    """The array that was computed when the block's forward began, while it is still right."""
    if context.derived is None or context.derived[0] is not block:
        return None
    sources, array = context.derived[1].get(name, ((), None))
    return array if all(holder.read() is source for holder, source in sources) else None


def underlying_value(block: Any, name: str, value: Any) -> jax.Array:
    """The array of the parameter for which it reads as `value`."""
    return before(transforms(block, name), value, f"{type(block).__name__}.{name}")


def before(chain: list[Any], value: Any, where: str) -> jax.Array:
    """What must go into a chain of reparametrizations for `value` to come out.

    Raises:
        TransformError: one of them cannot tell.
    """
    for transform in reversed(chain):
        inverse = getattr(transform, "inverse", None)
        if inverse is None:
            raise TransformError(
                f"{where}: expected a parameter that can be assigned, and it goes through "
                f"{type(transform).__name__}, which has no inverse; set the array behind it by "
                f"params.{where.rpartition('.')[2]}.array = ..., or take the parametrization off"
            )
        value = inverse(value)
    result: jax.Array = value
    return result


def follow_instead(block: Any, name: str, old: Any, new: Holder) -> None:
    """Let initial values that followed from a parameter follow from the one in its place."""
    for holder in _holders(block, name):
        if isinstance(holder.init, Follows) and holder.init.source is old:
            holder.init.source = new


def through(block: Any, name: str, array: jax.Array, chain: list[Any] | None = None) -> jax.Array:
    """`array` after the reparametrizations of a parameter, or after some of them.

    They compute in the dtypes of the parameters, whatever policy is in force.
    """
    for transform in transforms(block, name) if chain is None else chain:
        with entered(compute_dtype=None):
            value = transform(array)
        if value.shape != array.shape:
            raise ShapeError(
                f"{here()}: expected {type(transform).__name__} to keep the shape {array.shape} of "
                f"{type(block).__name__}.{name}, got {value.shape}; return an array of that shape"
            )
        array = value
    return array


def run_reparametrized(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """A forward, with each reparametrized array computed once.

    The last reparametrization of a parameter may know a way to the block's output that is cheaper
    than one through the whole array: `_kuai_shortcut(block, name)` gives it, or None.
    """
    held = {name: block._kuai.slots.get(name) for name in block._kuai.derived}
    names = [name for name, holder in held.items() if isinstance(holder, Holder)]
    for name in names:
        *below, last = transforms(block, name) or [None]
        shortcut = getattr(last, "_kuai_shortcut", _no_shortcut)(block, name)
        if shortcut is not None:
            base = through(block, name, held[name].read(), below)
            _settle(last, base)
            return shortcut(block, computed(base), *inputs, **keywords)
    known = {name: _with_sources(block, name, held[name]) for name in names}
    with entered(derived=(block, known)):
        return following(block.forward)(*inputs, **keywords)


def _no_shortcut(_block: Any, _name: str) -> None:
    return None


def _settle(transform: Any, array: jax.Array) -> None:
    with entered(stack=(*context.stack, transform)):
        if transform._kuai.ready_at != epoch.value:
            settle(transform, (array,), {})


def _with_sources(block: Any, name: str, own: Holder) -> tuple[list[Any], jax.Array]:
    """((holder, array) of all that it is computed from, the array)."""
    value = through(block, name, own.read())
    return [(holder, holder.read()) for holder in (own, *_holders(block, name))], value


def _holders(block: Any, name: str) -> list[Holder]:
    return [holder for each in transforms(block, name) for holder in walk(each).holders.values()]
