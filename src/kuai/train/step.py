"""One training step as a pure function of arrays, and the programs compiled from it.

Invariants a maintainer must not break:

* Everything that a step changes is in its `Carry`, is donated, and comes back in the same order.
* A step whose loss is not finite changes nothing but the count of keys.
* `many` runs the very same steps whatever their number a call, so that no result depends on how
  many were asked for at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.binding import Unbound, bound_call
from kuai.core.context import context
from kuai.core.parameter import Holder
from kuai.errors import ArgumentError, DtypeError, ShapeError
from kuai.random import Stream
from kuai.train import measure
from kuai.train.batch import check_batch, parts
from kuai.train.plan import Plan

LIMIT = 256  # steps a call at most: the length of the array of losses that comes back


class Recipe(NamedTuple):
    """What a trainer was made of."""

    net: Any
    optimizer: Any
    loss: Callable[[Any, Any], Any]
    metrics: tuple[Any, ...]


class Carry(NamedTuple):
    """What a step changes.

    Attributes:
        parameters, optimizer, states: arrays in the order of the plan.
        ticket: (seed, keys drawn so far) as uint32.
        sums: what the metrics have gathered.
    """

    parameters: list[jax.Array]
    optimizer: list[jax.Array]
    states: list[jax.Array]
    ticket: jax.Array
    sums: Any


class About:
    """The static part of `Extras`, told by identity: holders, and keys that one step draws."""

    __slots__ = ("draws", "holders")

    def __init__(self, holders: list[Holder], draws: int) -> None:
        self.holders = holders
        self.draws = draws


class Extras:
    """New values of holders that no plan foresees, such as an array that forward leaves behind."""

    __slots__ = ("about", "values")

    def __init__(self, values: list[jax.Array], about: About) -> None:
        self.values = values
        self.about = about


jax.tree_util.register_pytree_node(
    Extras,
    lambda extras: (extras.values, extras.about),
    lambda about, values: Extras(values, about),
)


class Body:
    """The step itself.

    Attributes:
        extra: the holders outside the plan that a step writes.
        draws: keys that a step draws; -1: only its carry tells.

    Args:
        recipe: net, optimizer, loss and metrics.
        plan: of the net.
        treedef: of a batch.
        optimizer_treedef: of the optimizer's state.
        strict: whether a holder or block that the plan does not know stops the run (`Unbound`).
    """

    def __init__(
        self, recipe: Recipe, plan: Plan, treedef: Any, optimizer_treedef: Any, *, strict: bool
    ) -> None:
        self.recipe, self.plan = recipe, plan
        self._treedef, self._optimizer_treedef = treedef, optimizer_treedef
        self._strict = strict
        self.extra: list[Holder] = []
        self.draws = 0

    def __call__(
        self, carry: Carry, rest: list[jax.Array], extras: list[jax.Array], leaves: list[jax.Array]
    ) -> tuple[Carry, jax.Array, jax.Array, list[jax.Array]]:
        """(carry after the step, loss, whether it is finite, values of `self.extra`)."""
        check_batch(self._batch(leaves))
        run, finish = self._objective(carry, rest, extras, leaves)
        (loss, (output, written)), gradients = jax.value_and_grad(run, has_aux=True)(
            carry.parameters
        )
        after, stream, count = finish(written)
        new = Carry(
            *self._updated(carry, gradients, loss, after),
            [after.pop(h, old) for h, old in zip(self.plan.states, carry.states, strict=True)],
            jnp.stack([carry.ticket[0], count]),
            measure.updated(
                self.recipe.metrics, carry.sums, output, parts(self._batch(leaves)).target
            ),
        )
        finite = jnp.isfinite(loss)
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, carry)
        kept = kept._replace(ticket=new.ticket)  # so that the host can count keys without waiting
        self.extra, self.draws = list(after), -1 if stream.moved else stream.draws
        return kept, loss, finite, list(after.values())

    def _objective(self, carry: Carry, rest: Any, extras: Any, leaves: Any) -> tuple[Any, Any]:
        """The loss as a function of the parameters, and a function that tells what was written."""
        stream = Stream(carry.ticket[0], carry.ticket[1])
        written: list[Holder] = []

        def run(values: list[jax.Array]) -> Any:
            bound = self._bound(values, carry, rest, extras)
            missing = self._unforeseen if self._strict else None
            call = lambda: self._forward(leaves)  # noqa: E731  # a name for the line below
            (loss, output), writes = bound_call(call, bound, stream=stream, missing=missing)
            written[:] = writes
            return loss, (output, (list(writes.values()), stream.count()))

        def finish(found: Any) -> Any:
            values, count = found
            return dict(zip(written, values, strict=True)), stream, count

        return run, finish

    def _bound(self, values: Any, carry: Carry, rest: Any, extras: Any) -> dict[Holder, jax.Array]:
        plan = self.plan
        bound: dict[Holder, jax.Array] = dict(zip(plan.rest, rest, strict=True))
        bound.update(zip(plan.parameters, values, strict=True))
        bound.update(zip(plan.states, carry.states, strict=True))
        bound.update(zip(self.extra, extras, strict=False))
        return bound

    def _forward(self, leaves: list[jax.Array]) -> tuple[jax.Array, Any]:
        batch = parts(self._batch(leaves))
        output = self.recipe.net(*batch.inputs, **batch.keywords)
        return scalar(self.recipe.loss(output, batch.target)), output

    def _batch(self, leaves: list[jax.Array]) -> Any:
        return self._treedef.unflatten(leaves)

    def _updated(
        self, carry: Carry, gradients: Any, loss: jax.Array, after: dict[Holder, jax.Array]
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        """Parameters and optimizer state after the step; what forward wrote is updated, too."""
        import optax

        plan = self.plan
        before = plan.named(carry.parameters)
        state = self._optimizer_treedef.unflatten(carry.optimizer)
        updates, state = self.recipe.optimizer.update(
            plan.named(gradients), state, before, value=loss
        )
        holders = dict(zip(plan.paths, plan.parameters, strict=True))
        current = {path: after.pop(holders[path], value) for path, value in before.items()}
        return plan.listed(optax.apply_updates(current, updates)), jax.tree.leaves(state)

    def _unforeseen(self, holder: Holder) -> jax.Array:
        if not holder.settled:
            holder.concrete()
        raise Unbound([holder], self.outside())

    def outside(self) -> list[Any]:
        """The blocks called in this trace that do not stand on the net."""
        visited = context.visited or {}
        return [block for key, block in visited.items() if key not in self.plan.blocks]


def scalar(loss: Any) -> jax.Array:
    """The loss as a scalar array.

    Raises:
        ArgumentError: it is no array, as where the function returns nothing.
        ShapeError: it is no scalar.
        DtypeError: it is no float.
    """
    if not isinstance(loss, (jax.Array, np.ndarray, np.generic, float, int)):
        found = "None; does it end with `return`?" if loss is None else type(loss).__name__
        raise ArgumentError(
            "loss: expected the function to return a scalar array, such as "
            f"jnp.square(output - target).mean(), got {found}"
        )
    array = jnp.asarray(loss)
    if array.shape != ():
        raise ShapeError(
            f"loss: expected a scalar for the whole batch, got shape {array.shape}; reduce it with "
            ".mean()"
        )
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise DtypeError(f"loss: expected a float, got {array.dtype}; cast it with .astype")
    return array
