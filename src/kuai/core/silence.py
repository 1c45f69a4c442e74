"""Muting what a thread prints while a forward runs only to settle shapes.

Such a run is none of the user's: a `print` in forward shows once a call.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Muted:
    """Stands for a stream: drops what one thread writes and passes on what the others do."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._thread: int | None = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread:
            return len(text)
        return self._stream.write(text)

    def release(self) -> None:
        """Pass everything on: another thread may have taken this for the real stream meanwhile."""
        self._thread = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def muted() -> Iterator[None]:
    """Drop what this thread writes to standard output."""
    real = sys.stdout
    stand_in = _Muted(real)
    sys.stdout = stand_in
    try:
        yield
    finally:
        stand_in.release()
        if sys.stdout is stand_in:
            sys.stdout = real
