"""Losses of sequences whose labels are not aligned with their frames."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kuai.errors import ArgumentError, DtypeError, ShapeError
from kuai.losses.checks import as_array, as_floats, reduced, refused, refused_rows


def ctc(
    logits: Any,
    labels: Any,
    *,
    logit_lengths: Any = None,
    label_lengths: Any = None,
    blank: int = 0,
    weights: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Connectionist temporal classification: −log of the probability of all ways to say the labels.

    A way gives each frame a class; equal neighbours are then one, and blanks go. The mean is over
    the sequences; PyTorch divides each by the length of its labels first.

    Args:
        logits: the scores of the classes along the last axis, at each frame. Log-probabilities, as
            PyTorch takes them, do as well.
        labels: the classes said, in order; behind a sequence's length, anything.
        logit_lengths: how many frames each sequence has; default all of them.
        label_lengths: how many labels each sequence has; default all of them.
        blank: the class that says nothing; default 0, as in PyTorch. Keras has the last.
        weights: of the sequences; default all 1.
        reduction: "mean" (default), "sum" or "none".

    Shape:
        logits (batch, frames, classes), labels (batch, longest), logit_lengths (batch,),
        label_lengths (batch,) → () or, with "none", (batch,)

    Raises:
        ArgumentError: the blank is no class.
        ShapeError: the shapes do not fit, or the batch is empty.
        DtypeError: logits that are no floats, or labels or lengths that are no integers.
        DataError: a label is no class or the blank, a length is beyond its array, or there are too
            few frames: one for each label, and one between equal neighbours. In a compiled program
            the loss of such a sequence is NaN; with weight 0 it takes no part.

    Example:
        >>> logits = jnp.log(jnp.full((1, 2, 2), 0.5))  # says "1" as 1·, ·1 or 11
        >>> kuai.losses.ctc(logits, jnp.array([[1]])).round(4)
        Array(0.2877, dtype=float32)

    Reference:
        Graves et al., Connectionist Temporal Classification, 2006.
    """
    import optax

    logits = as_floats("ctc", "logits", logits)
    labels = _integers("labels", labels)
    _check_shapes(logits, labels)
    batch, frames, classes = logits.shape
    if not 0 <= blank < classes:
        raise ArgumentError(f"ctc: expected blank from 0 to {classes - 1}, got {blank!r}")
    spoken = _lengths("logit_lengths", logit_lengths, batch, frames)
    said = _lengths("label_lengths", label_lengths, batch, labels.shape[1])
    beyond = jnp.arange(labels.shape[1], dtype=jnp.int32) >= said[:, None]
    known = jnp.where(beyond, jnp.full_like(labels, blank), labels)
    with jax.numpy_dtype_promotion("standard"):  # optax's own mask is of float32
        losses = optax.ctc_loss(
            logits,
            (jnp.arange(frames, dtype=jnp.int32) >= spoken[:, None]).astype(logits.dtype),
            known,
            beyond.astype(logits.dtype),
            blank_id=blank,
        )
    no_label = ~beyond & ((labels < 0) | (labels >= classes) | (labels == blank))
    allowed = f"labels from 0 to {classes - 1} and not the blank, {blank}"
    losses = refused_rows("ctc", losses, weights, no_label, allowed, labels)
    wrong = (spoken < 0) | (spoken > frames) | (said < 0) | (said > labels.shape[1])
    losses = refused("ctc", losses, weights, wrong, "lengths within their arrays", spoken)
    needed = said + (~beyond[:, 1:] & (labels[:, 1:] == labels[:, :-1])).sum(1, dtype=jnp.int32)
    allowed = "as many frames as labels, and one more between equal neighbours"
    losses = refused("ctc", losses, weights, needed > spoken, allowed, spoken)
    return reduced("ctc", losses, weights, reduction)


def _check_shapes(logits: jax.Array, labels: jax.Array) -> None:
    if logits.ndim != 3 or labels.ndim != 2 or labels.shape[0] != logits.shape[0]:
        raise ShapeError(
            "ctc: expected logits (batch, frames, classes) and labels (batch, longest), got "
            f"{logits.shape} and {labels.shape}"
        )


def _integers(what: str, value: Any) -> jax.Array:
    array = jnp.asarray(as_array("ctc", what, value))
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise DtypeError(f"ctc: expected {what} to be integers, got {array.dtype}")
    return array.astype(jnp.int32)


def _lengths(what: str, given: Any, batch: int, full: int) -> jax.Array:
    if given is None:
        return jnp.full((batch,), full, jnp.int32)
    lengths = _integers(what, given)
    if lengths.shape != (batch,):
        raise ShapeError(
            f"ctc: expected {what} of shape {(batch,)}, one for each sequence, got {lengths.shape}"
        )
    return lengths
