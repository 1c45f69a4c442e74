"""Running a net without training it: the loss and metrics over data, and its predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.data.batches import Batches
from kuai.data.nested import common_length
from kuai.errors import DataError
from kuai.train import measure
from kuai.train.batch import check_batch, inputs_of, on_device, parts
from kuai.train.step import Recipe, scalar


class Evaluator:
    """The forward runs of a net.

    Args:
        recipe: net, loss and metrics.
        compiled: whether they are compiled.
    """

    def __init__(self, recipe: Recipe, *, compiled: bool) -> None:
        from kuai.hybrid.cache import Compiled

        self._recipe = recipe
        name = type(recipe.net).__name__
        self._measure: Any = (
            Compiled(self._measured, (recipe.net,), name) if compiled else self._measured
        )
        self._call: Any = Compiled(self._called, (recipe.net,), name) if compiled else self._called

    def evaluate(self, batches: Batches) -> dict[str, float]:
        """Mean loss and metrics over all examples."""
        sums = measure.zeros(self._recipe.metrics)
        losses: list[jax.Array] = []
        rows: list[int] = []
        for batch in batches:
            rows.append(check_batch(batch))
            loss, sums = self._measure(on_device(batch), sums)
            losses.append(loss)
        total = math.fsum(float(loss) * n for loss, n in zip(losses, rows, strict=True))
        found = measure.values(self._recipe.metrics, sums)
        return {"loss": total / sum(rows), **{name: plain(value) for name, value in found.items()}}

    def predict(self, batches: Iterator[Any]) -> Any:
        """Outputs for all examples, end to end."""
        outputs: list[Any] = []
        for batch in batches:
            rows = common_length(batch, "the batch")
            outputs.append(self._call(on_device(batch)))
            _check_rows(outputs[-1], rows)
        return (
            outputs[0]
            if len(outputs) == 1
            else jax.tree.map(lambda *a: jnp.concatenate(a), *outputs)
        )

    def _measured(self, batch: Any, sums: Any) -> tuple[jax.Array, Any]:
        inputs, keywords, target = parts(batch)
        output = self._recipe.net(*inputs, **keywords)
        loss = scalar(self._recipe.loss(output, target))
        return loss, measure.updated(self._recipe.metrics, sums, output, target)

    def _called(self, batch: Any) -> Any:
        inputs, keywords = inputs_of(batch)
        return self._recipe.net(*inputs, **keywords)


def plain(value: Any) -> Any:
    """A number of Python for a record; an array of more stays an array."""
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else array


def _check_rows(output: Any, rows: int) -> None:
    for leaf in jax.tree.leaves(output):
        if not leaf.ndim or len(leaf) != rows:
            raise DataError(
                f"predict: expected one output for each of {rows} examples, got shape "
                f"{leaf.shape}; call the net itself where it reduces over the batch"
            )
