"""What gives another result on each call: time, random numbers, files, the environment."""

from __future__ import annotations

import builtins
import contextvars
import datetime
import os
import random
import secrets
import time
import types
import uuid
from typing import Any

import numpy as np


def is_impure(function: Any, owner: Any) -> bool:
    """Whether calling a function, a method of `owner` if it is one, is such a thing."""
    if isinstance(owner, (random.Random, np.random.Generator, np.random.RandomState)):
        return True
    if owner is os.environ or isinstance(owner, contextvars.ContextVar):
        return True
    if isinstance(owner, type) and issubclass(owner, datetime.date):
        return function.__name__ in ("now", "today", "utcnow")
    return isinstance(function, (types.FunctionType, types.BuiltinFunctionType)) and (
        function in _IMPURE
    )


_IMPURE = frozenset(
    [
        *(getattr(time, name) for name in ("time", "time_ns", "perf_counter", "perf_counter_ns",
          "monotonic", "monotonic_ns", "process_time", "process_time_ns", "sleep")),
        os.urandom, os.getpid, os.getenv, uuid.uuid1, uuid.uuid4,
        secrets.token_bytes, secrets.token_hex, secrets.randbelow, secrets.choice,
        builtins.open, builtins.input, np.load, np.loadtxt, np.save, np.fromfile,
    ]
)  # fmt: skip


def name_of(function: Any) -> str:
    """The name of a function, for messages."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", type(function).__name__)
    return name if module in (None, "builtins") else f"{module}.{name}"
