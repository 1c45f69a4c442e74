"""Which block made a loss that is not finite."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.binding import bound_call
from kuai.core.context import entered
from kuai.core.tree import Node, walk
from kuai.random import Stream
from kuai.train.batch import parts
from kuai.train.labels import REMEDY as LABELS_REMEDY
from kuai.train.labels import out_of_range
from kuai.train.step import Recipe

_REMEDY = "lower the learning rate, clip gradients with optax.clip_by_global_norm, or mend the data"


def explain_loss(
    recipe: Recipe,
    batch: Any,
    ticket: tuple[int, int],
    mode: dict[str, bool],
    where: str,
    loss: float,
) -> str:
    """The message for a loss that is not finite, from running its batch once more as plain Python.

    Args:
        recipe: net, loss.
        batch: that gave the loss.
        ticket: (seed, index of the first key) of the step.
        mode: training and forced.
        where: step, epoch and batch in words.
        loss: its value.
    """
    cause = _bad_batch(batch) or _bad_values(recipe.net) or _bad_block(recipe, batch, ticket, mode)
    return (
        f"{where}: expected a finite loss, got {loss}; {cause}; the net is as it was before this "
        "step"
    )


def _bad_batch(batch: Any) -> str | None:
    for place, leaf in jax.tree.leaves_with_path(batch):
        if not _finite(leaf):
            return f"the data itself is not finite: batch{jax.tree_util.keystr(place)}; mend it"
    return None


def _bad_values(net: Node) -> str | None:
    for path, holder in walk(net).holders.items():
        if holder.ready and not _finite(holder.concrete()):
            return (
                f"{path} is not finite already: the gradient of an earlier step was not; {_REMEDY}"
            )
    return None


def _bad_block(recipe: Recipe, batch: Any, ticket: tuple[int, int], mode: dict[str, bool]) -> str:
    """The first block to return something that is not finite; the innermost of those around it.

    Where there is none, the target must be to blame, or the loss.
    """
    paths = {id(block): path for path, block in walk(recipe.net).blocks.items()}
    found: list[str] = []

    def look(block: Any, _inputs: Any, output: Any) -> None:
        if not found and not all(map(_finite, jax.tree.leaves(output))):
            found.append(f"{paths[id(block)] or 'the net itself'} ({type(block).__name__})")

    inputs, keywords, target = parts(batch)
    hooks = [block.register_forward_hook(look) for block in recipe.net.blocks()]
    try:
        with entered(inline=True, **mode):
            run = lambda: recipe.net(*inputs, **keywords)  # noqa: E731  # short enough
            output, _ = bound_call(run, {}, stream=Stream(*ticket))
    finally:
        for hook in hooks:
            hook.remove()
    if found:
        return f"the first block whose output was not finite is {found[0]}; {_REMEDY}"
    return _bad_labels(output, target) or (
        "all outputs of the net are finite: the loss function made it so from them and the target; "
        f"{_REMEDY}"
    )


def _bad_labels(output: Any, target: Any) -> str | None:
    """Whether a target that can only be class numbers has some that the output has not."""
    shape = getattr(output, "shape", ())
    if not shape or getattr(target, "shape", None) != shape[:-1] or target.dtype.kind not in "iu":
        return None
    found = out_of_range(np.asarray(target), shape[-1])
    return None if found is None else f"the labels are out of range: {found}; {LABELS_REMEDY}"


def _finite(value: Any) -> bool:
    array = jnp.asarray(value)
    return not jnp.issubdtype(array.dtype, jnp.inexact) or bool(jnp.isfinite(array).all())
