"""Labels that are no class, found before training: a compiled program can only answer NaN."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from kuai import losses
from kuai.core.binding import bound_call
from kuai.core.context import entered
from kuai.core.initialize import CONCRETIZATION, make_ready
from kuai.core.registry import registered
from kuai.data.batches import ArrayBatches, Batches
from kuai.data.nested import map_arrays
from kuai.errors import DataError, HybridizeError
from kuai.random import Stream
from kuai.train.batch import on_device, parts

REMEDY = "mend the labels, or give the last layer one output for each class"


def check_labels(net: Any, loss: Any, batches: Batches) -> None:
    """Look at all class numbers of data in memory, where the loss takes class numbers.

    Raises:
        DataError: a label is not the number of an output.
    """
    if not isinstance(batches, ArrayBatches) or _function(loss) is not losses.softmax_cross_entropy:
        return
    labels = parts(batches.arrays).target
    sample = on_device(map_arrays(lambda array: array[:1], batches.arrays))
    classes = _outputs(net, sample)
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or not classes:
        return
    found = out_of_range(labels, classes)
    if found is not None:
        raise DataError(f"labels: {found}; {REMEDY}")


def out_of_range(labels: np.ndarray, classes: int) -> str | None:
    """Which class numbers a net with so many outputs does not have, in words; None: it has all."""
    wrong = np.argwhere((labels < 0) | (labels >= classes))
    if not len(wrong):
        return None
    place = tuple(wrong[0].tolist())
    return (
        f"expected class numbers from 0 to {classes - 1}, since the net has {classes} outputs, got "
        f"{labels[place]} at {list(place)} ({len(wrong)} such labels)"
    )


def _function(loss: Any) -> Any:
    return _function(loss.func) if isinstance(loss, functools.partial) else loss


def _outputs(net: Any, sample: Any) -> int:
    """The size of the last axis of the output; 0 where it is no array with axes."""
    batch = parts(sample)
    make_ready([net], net, batch.inputs, batch.keywords)

    def run() -> Any:
        call = lambda: net(*batch.inputs, **batch.keywords)  # noqa: E731  # short enough
        return bound_call(call, {}, stream=Stream(0, 0))[0]

    def abstractly() -> Any:
        with entered(inline=True, trace=registered.make_trace()):
            return run()

    try:
        output = jax.eval_shape(abstractly)
    except (HybridizeError, *CONCRETIZATION):  # plain Python only, which a Trainer may be told
        output = run()
    shape = getattr(output, "shape", ())
    return shape[-1] if shape else 0
