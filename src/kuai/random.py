"""The seed, and the stream of random keys that follows from it.

The i-th key drawn is `fold_in(key(seed), i)`: a counter stream. Outside a compiled program the
counter is one integer of the process; a compiled program takes (seed, counter) as an argument and
says afterwards how many keys it drew, so that eager and compiled runs draw the same keys.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.errors import ArgumentError

__all__ = ["bernoulli", "get_state", "key", "normal", "permutation", "randint", "seed", "set_state",
           "uniform"]  # fmt: skip

_SEED_LIMIT = 2**32


class Stream:
    """A counter stream of keys with a traced or concrete start.

    Args:
        seed: the seed, an int or a traced uint32 scalar.
        count: the number of keys drawn before, an int or a traced uint32 scalar.
    """

    def __init__(self, seed: Any, count: Any) -> None:
        self.seed = seed
        self.count = count
        self.draws = 0
        self._base: jax.Array | None = None

    def next(self) -> jax.Array:
        if self._base is None:
            self._base = jax.random.key(self.seed)
        key = jax.random.fold_in(self._base, jnp.asarray(self.count, jnp.uint32) + np.uint32(self.draws))
        self.draws += 1
        return key


class _Process:
    """The seed and counter of the process. `lock` guards the counter."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seed = 0
        self.count = 0

    def take(self, draws: int) -> tuple[int, int]:
        """Reserve `draws` keys and return (seed, first index)."""
        with self.lock:
            first = self.count
            self.count = (first + draws) % _SEED_LIMIT
            return self.seed, first


class _Local(threading.local):
    stream: Stream | None = None


_process = _Process()
_local = _Local()


def seed(value: int) -> None:
    """Set the one seed: initial values and forward-time randomness follow from it.

    Args:
        value: from 0 to 2**32 - 1.

    Raises:
        ArgumentError: `value` is no integer in that range.

    Example:
        >>> kuai.seed(7)
        >>> a = kuai.random.normal((2,))
        >>> kuai.seed(7)
        >>> bool((a == kuai.random.normal((2,))).all())
        True
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < _SEED_LIMIT:
        raise ArgumentError(f"kuai.seed: expected an integer from 0 to 2**32 - 1, got {value!r}")
    with _process.lock:
        _process.seed, _process.count = int(value), 0


def get_state() -> dict[str, int]:
    """The seed and the number of keys drawn since, as plain numbers for a checkpoint.

    Example:
        >>> kuai.seed(3)
        >>> kuai.random.get_state()
        {'seed': 3, 'count': 0}
    """
    with _process.lock:
        return {"seed": _process.seed, "count": _process.count}


def set_state(state: dict[str, int]) -> None:
    """Go back to a state that `get_state` gave.

    Example:
        >>> state = kuai.random.get_state()
        >>> a = kuai.random.uniform(())
        >>> kuai.random.set_state(state)
        >>> bool(a == kuai.random.uniform(()))
        True
    """
    with _process.lock:
        _process.seed, _process.count = int(state["seed"]), int(state["count"])


def current_seed() -> int:
    return _process.seed


def take(draws: int) -> tuple[int, int]:
    """Reserve keys of the process's stream for a compiled program: (seed, first index)."""
    return _process.take(draws)


@contextmanager
def streaming(stream: Stream) -> Iterator[Stream]:
    """Draw keys from `stream` in this thread, instead of from the process's."""
    before = _local.stream
    _local.stream = stream
    try:
        yield stream
    finally:
        _local.stream = before


def key() -> jax.Array:
    """Draw the next key of the stream, for `jax.random` functions.

    Returns:
        A typed JAX key. Inside a compiled forward it differs on every call, as outside.

    Example:
        >>> jax.random.uniform(kuai.random.key(), (2,)).shape
        (2,)
    """
    if _local.stream is not None:
        return _local.stream.next()
    return Stream(*_process.take(1)).next()


def uniform(
    shape: Sequence[int] = (), low: float = 0.0, high: float = 1.0, dtype: Any = jnp.float32
) -> jax.Array:
    """Draw from the uniform distribution on [low, high).

    Args:
        shape: of the result; default a scalar.
        low: smallest value; default 0.
        high: bound above; default 1.
        dtype: a floating dtype; default float32.

    Example:
        >>> kuai.random.uniform((2, 20)).shape
        (2, 20)
    """
    return jax.random.uniform(key(), tuple(shape), dtype, low, high)


def normal(
    shape: Sequence[int] = (), mean: float = 0.0, std: float = 1.0, dtype: Any = jnp.float32
) -> jax.Array:
    """Draw from the normal distribution with the given mean and standard deviation.

    Args:
        shape: of the result; default a scalar.
        mean: default 0.
        std: standard deviation; default 1.
        dtype: a floating dtype; default float32.

    Example:
        >>> kuai.random.normal((3,), mean=5.0).shape
        (3,)
    """
    scale, shift = jnp.asarray(std, dtype), jnp.asarray(mean, dtype)
    return jax.random.normal(key(), tuple(shape), dtype) * scale + shift


def randint(shape: Sequence[int], low: int, high: int, dtype: Any = jnp.int32) -> jax.Array:
    """Draw integers from [low, high).

    Args:
        shape: of the result.
        low: smallest value.
        high: bound above, itself excluded.
        dtype: an integer dtype; default int32.

    Example:
        >>> bool((kuai.random.randint((5,), 0, 3) < 3).all())
        True
    """
    return jax.random.randint(key(), tuple(shape), low, high, dtype)


def bernoulli(p: float | jax.Array = 0.5, shape: Sequence[int] | None = None) -> jax.Array:
    """Draw booleans that are True with probability `p`.

    Args:
        p: probability; default 0.5.
        shape: of the result; default that of `p`.

    Example:
        >>> kuai.random.bernoulli(1.0, (2,))
        Array([ True,  True], dtype=bool)
    """
    return jax.random.bernoulli(key(), p, None if shape is None else tuple(shape))


def permutation(x: int | jax.Array) -> jax.Array:
    """Shuffle `x` along its first axis, or range(x) if x is an integer.

    Example:
        >>> sorted(kuai.random.permutation(3).tolist())
        [0, 1, 2]
    """
    return jax.random.permutation(key(), x)
