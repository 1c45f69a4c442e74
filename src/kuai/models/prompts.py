"""What `generate` asks of its arguments, and how it takes them.

Tokens and lengths are looked at while they are NumPy: a compiled loop would take a token that is
out of range for NaN. Inside a compiled block they have no values yet, and only kinds and shapes are
looked at.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.errors import ArgumentError, DtypeError, ShapeError
from kuai.nn._check import check_count


def checked_tokens(tokens: Any, vocabulary: int | None, name: str) -> Any:
    """The prompts, int32 (batch, prompt).

    Args:
        tokens: as they were given.
        vocabulary: number of tokens that the net knows, None where nothing says.
        name: of the net.

    Raises:
        ArgumentError: a token is not in the vocabulary.
        DtypeError: they are no integers.
        ShapeError: they are not (batch, prompt).
    """
    tokens = _integers("tokens", tokens)
    if tokens.ndim != 2 or not tokens.shape[1]:
        raise ShapeError(
            f"generate: expected tokens (batch, prompt) with at least one token in each prompt, "
            f"got shape {tokens.shape}; a single prompt is tokens[None]"
        )
    if vocabulary is not None and _has_values(tokens):
        low, high = int(tokens.min()), int(tokens.max())
        if low < 0 or high >= vocabulary:
            raise ArgumentError(
                f"generate: expected tokens from 0 to {vocabulary - 1}, those that {name} has "
                f"vectors for, got {low if low < 0 else high}; encode the text with the vocabulary "
                "that the net was trained on"
            )
    return tokens.astype(np.int32)


def checked_lengths(lengths: Any, batch: int, prompt: int) -> tuple[Any, int]:
    """How many tokens of each prompt count, int32 (batch,), and how many do of all at least.

    Raises:
        ArgumentError: there are more than tokens, or none.
        DtypeError: they are no integers.
        ShapeError: there is not one for each prompt.
    """
    if lengths is None:
        return np.full(batch, prompt, np.int32), prompt
    counts = _integers("lengths", lengths)
    if counts.shape != (batch,):
        raise ShapeError(
            f"generate: expected lengths of shape ({batch},), one for each prompt, got "
            f"{counts.shape}; give as many"
        )
    if isinstance(counts, jax.core.Tracer):
        return counts.astype(np.int32), 1
    if counts.size and not 1 <= counts.min() <= counts.max() <= prompt:
        raise ArgumentError(
            f"generate: expected lengths from 1 to {prompt}, the prompts' width, got "
            f"{counts.min()} to {counts.max()}; count the tokens of each prompt"
        )
    return counts.astype(np.int32), int(counts.min(initial=prompt))


def check_draws(temperature: Any, top_k: Any, top_p: Any) -> None:
    """How tokens are drawn.

    Raises:
        ArgumentError: a number is out of its range, or none.
    """
    if not _is_number(temperature) or not 0 <= temperature < math.inf:
        raise ArgumentError(
            f"generate: expected temperature to be a number from 0 up, got {temperature!r}; leave "
            "it out for the likeliest token each time"
        )
    if top_k is not None:
        check_count("generate", "top_k", top_k)
    if top_p is not None and not (_is_number(top_p) and 0 < top_p <= 1):
        raise ArgumentError(
            f"generate: expected top_p to be a number above 0 and up to 1, got {top_p!r}; leave it "
            "out to draw among all tokens"
        )


def checked_end(end: Any, vocabulary: int | None, name: str) -> int | None:
    """The token that ends a sequence.

    Raises:
        ArgumentError: it is no integer, or not in the vocabulary.
    """
    if end is None:
        return None
    end = check_count("generate", "end", end, at_least=0)
    if vocabulary is not None and end >= vocabulary:
        raise ArgumentError(
            f"generate: expected end to be a token of {name}, from 0 to {vocabulary - 1}, got "
            f"{end}; leave it out if no token ends a text"
        )
    return end


def check_key(key: Any) -> None:
    """A key of JAX.

    Raises:
        ArgumentError: it is anything else.
    """
    array = isinstance(key, jax.Array)
    new = array and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim == 0
    raw = array and key.dtype == jnp.uint32 and key.ndim == 1
    if not (new or raw):
        text = f"an array of {key.dtype} {key.shape}" if array else repr(key)
        raise ArgumentError(
            f"generate: expected key to be one random key, got {text}; write for example "
            "key=jax.random.key(3)"
        )


def check_room(name: str, longest: int | None, total: int, window: Any) -> None:
    """Whether the net has positions for what it is to see.

    Args:
        name: of the net.
        longest: tokens that it has positions for, None: any number.
        total: tokens of prompt and answer.
        window: tokens that it sees at once, None: all.

    Raises:
        ArgumentError: it has not.
    """
    seen = total if window is None else check_count("generate", "window", window)
    if longest is None or seen <= longest:
        return
    what, remedy = (
        f"{total} of prompt and answer together",
        f"ask for fewer, or give window={longest}",
    )
    if window is not None:
        what, remedy = f"window={window}", f"write window={longest}"
    raise ArgumentError(
        f"generate: expected at most {longest} tokens at once, those that {name} has positions "
        f"for, got {what}; {remedy}"
    )


def _integers(name: str, values: Any) -> Any:
    try:
        array = values if isinstance(values, jax.core.Tracer) else np.asarray(values)
    except ValueError:
        raise ShapeError(
            f"generate: expected {name} in one array, got sequences of different lengths; fill "
            "shorter ones up, and say with lengths= how many tokens of each count"
        ) from None
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise DtypeError(
            f"generate: expected {name} of an integer dtype, got {array.dtype}; cast them with "
            ".astype('int32')"
        )
    return array


def _has_values(array: Any) -> bool:
    return not isinstance(array, jax.core.Tracer) and array.size > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
