"""Text out of a net that was trained on text, one character a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from kuai.data.text_file import decode, encode
from kuai.models import LanguageModel

CHARACTERS = 200
TEMPERATURE = 0.8
_OPENING = 16  # characters of the text that a sample begins with


def can_write(net: Any) -> bool:
    """Whether a net generates tokens."""
    return callable(getattr(net, "generate", None))


def opening(tokens: np.ndarray, vocabulary: Sequence[str]) -> str:
    """The beginning of a text."""
    return decode(tokens[:_OPENING], vocabulary)


def write(
    net: Any,
    vocabulary: Sequence[str],
    start: str,
    *,
    characters: int = CHARACTERS,
    temperature: float = TEMPERATURE,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> str:
    """What a net writes behind a beginning, which is part of the result.

    Beginning and result may be longer than the net's context: it sees the last of them then.

    Args:
        net: with `generate`.
        vocabulary: what its tokens stand for.
        start: the beginning; at least one character of the vocabulary.
        characters: how many are added.
        temperature: 0: always the likeliest.
        top_k: draw among the k likeliest only; None: all.
        top_p: draw among the likeliest that have this probability together; None: all.
        seed: of the draws.

    Raises:
        DataError: the beginning has a character that is not in the vocabulary.
    """
    prompt = encode(start, vocabulary, "the beginning")[None]
    key = jax.random.key(seed)
    among = {"top_k": top_k, "top_p": top_p}
    told = {name: value for name, value in among.items() if value is not None} | _window(net)
    tokens = net.generate(prompt, characters, temperature=temperature, key=key, **told)
    return decode(np.asarray(tokens)[0], vocabulary)


def _window(net: Any) -> dict[str, int]:
    longest = net.longest if isinstance(net, LanguageModel) else None
    return {} if longest is None else {"window": longest}
