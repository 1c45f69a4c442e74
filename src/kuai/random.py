"""The seed, and the stream of random keys that follows from it.

The i-th key drawn is `fold_in(key(seed), i)`: a counter stream. Outside a compiled program the
counter is one integer of the process; a compiled program takes (seed, counter) as an argument and
says afterwards how many keys it drew, so that eager and compiled runs draw the same keys.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.errors import ArgumentError, TransformError

__all__ = ["bernoulli", "get_state", "key", "normal", "permutation", "randint", "seed", "set_state",
           "uniform"]  # fmt: skip

_LIMIT = 2**32


class Stream:
    """A counter stream of keys with a traced or concrete start.

    Args:
        seed: the seed, an int or a traced uint32 scalar.
        count: the number of keys drawn before, an int or a traced uint32 scalar.

    Attributes:
        draws: number of keys drawn since the start, or since the last `move`.
        moved: whether the count is known only when the program runs, because a loop or a branch
            on arrays draws keys.
    """

    def __init__(self, seed: Any, count: Any) -> None:
        # Made here and not by the first draw, which may happen in an inner trace and would leak.
        self._base = jax.random.key(seed)
        self._count = count
        self.draws = 0
        self.moved = False

    def next(self) -> jax.Array:
        index = self.count()
        self.draws += 1
        return jax.random.fold_in(self._base, index)

    def count(self) -> jax.Array:
        """The index of the next key."""
        return jnp.asarray(self._count, jnp.uint32) + np.uint32(self.draws)

    def move(self, count: Any) -> None:
        """Go on from a count that a loop or a branch ended with."""
        self._count, self.draws, self.moved = count, 0, True

    @contextmanager
    def starting_at(self, count: Any) -> Iterator[None]:
        """Draw from another count inside, and go back at the end."""
        before = self._count, self.draws, self.moved
        self._count, self.draws, self.moved = count, 0, False
        try:
            yield
        finally:
            self._count, self.draws, self.moved = before


class KeyStream(Stream):
    """A stream that starts from a JAX key instead of a seed.

    Args:
        key: a typed key, or one of `jax.random.PRNGKey`.
    """

    def __init__(self, key: jax.Array) -> None:
        self._base = key
        self._count = 0
        self.draws = 0
        self.moved = False


class KeylessStream(Stream):
    """A stream that raises as soon as a key is drawn.

    Args:
        error: what it raises.
    """

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self._count = 0
        self.draws = 0
        self.moved = False

    def next(self) -> jax.Array:
        raise self._error


class _Process:
    """The seed and counter of the process. `lock` guards the counter."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.seed = 0
        self.count = 0

    def take(self, draws: int) -> tuple[int, int]:
        """Reserve `draws` keys and return (seed, first index)."""
        with self.lock:
            first = self.count
            self.count = (first + draws) % _LIMIT
            return self.seed, first

    def lend(self, use: Callable[[int, int], int]) -> None:
        """Call `use(seed, first index)`; it gives the index to go on from. Others wait."""
        with self.lock:
            self.count = use(self.seed, self.count) % _LIMIT


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
    checked = checked_seed(value, "kuai.seed")
    with _process.lock:
        _process.seed, _process.count = checked, 0


def checked_seed(value: Any, where: str, name: str = "seed") -> int:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= value < _LIMIT:
        return int(value)
    raise ArgumentError(
        f"{where}: expected {name} to be an integer from 0 to 2**32 - 1, got {value!r}"
    )


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

    Args:
        state: the seed and the number of keys drawn.

    Raises:
        ArgumentError: it is no such dict; nothing has changed then.

    Example:
        >>> state = kuai.random.get_state()
        >>> a = kuai.random.uniform(())
        >>> kuai.random.set_state(state)
        >>> bool(a == kuai.random.uniform(()))
        True
    """
    if not isinstance(state, dict) or set(state) != {"seed", "count"}:
        raise ArgumentError(
            f"kuai.random.set_state: expected seed and count as get_state gives, got {state!r}"
        )
    value, count = (checked_seed(state[n], "kuai.random.set_state", n) for n in ("seed", "count"))
    with _process.lock:
        _process.seed, _process.count = value, count


def current_seed() -> int:
    return _process.seed


def take(draws: int) -> tuple[int, int]:
    """Reserve keys of the process's stream for a compiled program: (seed, first index)."""
    return _process.take(draws)


def lend(use: Callable[[int, int], int]) -> None:
    """Let a compiled program draw a number of keys that only it knows, while others wait."""
    _process.lend(use)


def current_stream() -> Stream | None:
    """The stream of this thread; None: the process's."""
    return _local.stream


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

    Raises:
        TransformError: in a raw `jax.jit`, `scan` or the like, where the key would be the same on
            every call.

    Example:
        >>> jax.random.uniform(kuai.random.key(), (2,)).shape
        (2,)
    """
    if _local.stream is not None:
        return _local.stream.next()
    drawn = Stream(*_process.take(1)).next()
    if isinstance(drawn, jax.core.Tracer):
        raise TransformError(
            "kuai.random: a key was drawn inside a raw JAX transform that traces (jit, scan, "
            "checkpoint), where it would be the same on every call; use kuai.hybrid, or "
            "kuai.functional(block) and pass key="
        )
    return drawn


def _sizes(shape: Sequence[int] | int) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def uniform(
    shape: Sequence[int] | int = (), low: float = 0.0, high: float = 1.0, dtype: Any = jnp.float32
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
    return jax.random.uniform(key(), _sizes(shape), dtype, low, high)


def normal(
    shape: Sequence[int] | int = (), mean: float = 0.0, std: float = 1.0, dtype: Any = jnp.float32
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
    standard = jax.random.normal(key(), _sizes(shape), dtype)
    return _scaled(standard, jnp.asarray(std, dtype), jnp.asarray(mean, dtype))


@jax.jit  # so that an eager call rounds like a compiled one, which fuses the two operations
def _scaled(x: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    return jax.lax.optimization_barrier(x) * scale + shift


def randint(shape: Sequence[int] | int, low: int, high: int, dtype: Any = jnp.int32) -> jax.Array:
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
    return jax.random.randint(key(), _sizes(shape), low, high, dtype)


def bernoulli(p: float | jax.Array = 0.5, shape: Sequence[int] | int | None = None) -> jax.Array:
    """Draw booleans that are True with probability `p`.

    Args:
        p: probability; default 0.5.
        shape: of the result; default that of `p`.

    Example:
        >>> kuai.random.bernoulli(1.0, (2,))
        Array([ True,  True], dtype=bool)
    """
    return jax.random.bernoulli(key(), p, None if shape is None else _sizes(shape))


def permutation(x: int | jax.Array) -> jax.Array:
    """Shuffle `x` along its first axis, or range(x) if x is an integer.

    Example:
        >>> sorted(kuai.random.permutation(3).tolist())
        [0, 1, 2]
    """
    return jax.random.permutation(key(), x)
