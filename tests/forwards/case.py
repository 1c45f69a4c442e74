"""What one entry of the suite of forwards is, and how a family collects its entries.

A case is a function `forward(x, w)` of arrays or a Block class, written as a person would write it.
`x` is `BASE` times each of the case's inputs, so that the inputs take different ways through it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import kuai

# Sums to 1.3, so that sums compared with 1, 2 or 4 are far from equal for the usual inputs.
BASE = np.array([[0.05, 0.30, 0.10, 0.25], [0.20, 0.07, 0.15, 0.18]])
WEIGHT = np.random.default_rng(0).normal(size=(4, 4)) * 0.5


@dataclass(frozen=True)
class Case:
    """A forward and what is expected of it.

    Attributes:
        forward: a function (x, w), or a class of Block whose forward takes x.
        shows: one line for the table of what compiles.
        inputs: what `BASE` is multiplied by.
        grad: whether its gradient is compared.
        numpy: whether it also runs in NumPy.
        error: regular expression for the message, where it must not compile.
        raises: the class of that error.
        eager: whether plain Python runs it.
    """

    forward: Any
    shows: str
    inputs: tuple[float, ...] = (0.1, 1.0, 5.0)
    grad: bool = True
    numpy: bool = True
    error: str | None = None
    raises: type[Exception] = kuai.errors.HybridizeError
    eager: bool = True

    @property
    def name(self) -> str:
        return f"{self.family}.{self.forward.__name__}"

    @property
    def family(self) -> str:
        return str(self.forward.__module__).rpartition(".")[2]

    @property
    def is_block(self) -> bool:
        return inspect.isclass(self.forward)

    @property
    def in_numpy(self) -> bool:
        return self.numpy and not self.is_block and self.error is None

    def places(self) -> list[str]:
        """The lines marked `# here`, as a message names them; any of them will do."""
        lines, first = inspect.getsourcelines(self.forward)
        file = Path(inspect.getfile(self.forward)).name
        marked = [first + i for i, line in enumerate(lines) if re.search(r"# here\b", line)]
        return [f"forwards/{file}:{line}" for line in marked]


class Family(list[Case]):
    """The cases of one module. Calling it gives the decorator that adds a case."""

    def __call__(self, shows: str, **options: Any) -> Callable[[Any], Any]:
        def add(forward: Any) -> Any:
            self.append(Case(forward, shows, **options))
            return forward

        return add
