"""Text as examples for a language model: pieces of equal length, each character a token."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kuai.data.dataset import Dataset
from kuai.errors import ArgumentError, DataError, FileAccessError


def text(
    path: str | os.PathLike[str],
    length: int = 64,
    *,
    vocabulary: Sequence[str] | None = None,
) -> Dataset:
    """Read a text file as pieces of characters, and for each character the next as its target.

    The pieces stand one after the other and do not overlap; what is left at the end is dropped.

    Args:
        path: of a file in UTF-8.
        length: characters in a piece; default 64.
        vocabulary: the characters in the order of their numbers, those of an earlier training for
            example; default the sorted characters of the text.

    Returns:
        A data set with x and y int32 (pieces, length); the vocabulary is in `vocabulary` and
        `classes`.

    Raises:
        ArgumentError: `length` is no positive integer.
        FileAccessError: the file is missing or cannot be read.
        DataError: it is no UTF-8, shorter than one piece, or has a character that is not in the
            vocabulary.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        ...     _ = file.write("to be or not to be"), file.flush()
        ...     data = kuai.data.text(file.name, length=8)
        >>> from kuai.data.text_file import decode
        >>> decode(data.x[0], data.vocabulary), decode(data.y[0], data.vocabulary)
        ('to be or', 'o be or ')
    """
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ArgumentError(
            f"text: expected length to be an integer of at least 1, got {length!r}; write for "
            "example length=64"
        )
    name, content = os.fspath(path), _read(Path(path))
    letters = tuple(sorted(set(content)) if vocabulary is None else vocabulary)
    tokens = encode(content, letters, name)
    pieces = (len(tokens) - 1) // length
    if pieces < 1:
        raise DataError(
            f"{name}: expected more than {length} characters, one piece and the character after "
            f"it, got {len(tokens)}; give a longer text or a smaller length"
        )
    x, y = tokens[: pieces * length], tokens[1 : pieces * length + 1]
    shape = pieces, length
    return Dataset(Path(name).name, x.reshape(shape), y.reshape(shape), letters, vocabulary=letters)


def encode(content: str, vocabulary: Sequence[str], name: str = "the text") -> np.ndarray:
    """The number of each character, int32.

    Args:
        content: the text.
        vocabulary: the characters in the order of their numbers.
        name: of the text, for messages.

    Raises:
        DataError: a character is not in the vocabulary.

    Example:
        >>> from kuai.data.text_file import encode
        >>> encode("aba", "ab").tolist()
        [0, 1, 0]
    """
    numbers = {letter: number for number, letter in enumerate(vocabulary)}
    unknown = sorted(set(content) - numbers.keys())
    if unknown:
        raise DataError(
            f"{name}: expected the {len(numbers)} characters of the vocabulary, got "
            f"{', '.join(map(repr, unknown[:10]))} too; leave them out, or train on a text that "
            "has them"
        )
    return np.fromiter((numbers[letter] for letter in content), np.int32, len(content))


def decode(tokens: np.ndarray, vocabulary: Sequence[str]) -> str:
    """The text of some tokens.

    Args:
        tokens: numbers of characters.
        vocabulary: the characters in the order of their numbers.

    Example:
        >>> from kuai.data.text_file import decode
        >>> decode(np.array([0, 1, 0]), "ab")
        'aba'
    """
    return "".join(vocabulary[int(token)] for token in tokens)


def _read(path: Path) -> str:
    if not path.is_file():
        problem = "is no regular file" if path.exists() else "does not exist"
        raise FileAccessError(f"{path}: the file {problem}. Give the path of a text file")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileAccessError(f"{path}: the file cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected text in UTF-8, but byte {error.start} is none; save it as UTF-8"
        ) from None
