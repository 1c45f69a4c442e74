"""Timing several ways of doing one thing, interleaved, so that they meet the same noise."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]


def interleaved(
    works: dict[str, Work], seconds: float = 4.0, round_s: float = 0.01
) -> dict[str, float]:
    """The smallest time per call of each work, in microseconds.

    The works take turns of about `round_s` seconds; the smallest mean of a turn is the one that met
    the least noise.

    Args:
        works: name → a function of no arguments that returns when its result is there.
        seconds: for all works together, warm-up apart.
        round_s: length of one turn, in seconds.
    """
    calls = {name: _calls_in(work, round_s) for name, work in works.items()}
    best = dict.fromkeys(works, float("inf"))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, work in works.items():
            best[name] = min(best[name], _mean(work, calls[name]))
    return {name: round(value * 1e6, 2) for name, value in best.items()}


def _mean(work: Work, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def _calls_in(work: Work, seconds: float) -> int:
    """How many calls fill a turn, after a warm-up that compiles what is to be compiled."""
    for _ in range(3):
        work()
    return max(1, int(seconds / _mean(work, 3)))
