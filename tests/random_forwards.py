"""Random forwards as source text: nested ifs, whiles and fors over arrays a, b and an int n.

Every program ends: each `while` counts its trips, and a loop runs at most `TRIPS` times, or as
often as an array has rows. Values stay small: each assignment is bounded or contracts. So whatever
is drawn can be run and differentiated.
"""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st

TRIPS = 3

HEAD = '''\
"""A forward drawn at random."""

import jax.numpy as jnp


def bent(x):
    if jnp.sum(x) > 0.37:
        return jnp.tanh(x) - 0.21
    return x * 0.83


def forward(a, b):
    n = 0
'''

# No simple fractions: sums of the inputs are never equal to one of these.
LIMITS = ["-1.131", "-0.417", "-0.073", "0.219", "0.583", "1.297"]
ASSIGNMENTS = [
    "a = jnp.sin(a + b)",
    "a = 0.61 * a - 0.37 * b",
    "a = jnp.tanh(a * 1.3 + 0.1 * n)",
    "a, b = b, a",
    "a -= 0.23 * b",
    "a = bent(a)",
    "a = a.at[n % 3].set(jnp.sum(b) * 0.3)",
    "a = a * 0.7 if jnp.max(a) > 0.317 else b - 0.13",
    "b = jnp.cos(b) * a",
    "b = b * 0.9 - 0.17",
    "b /= 1.0 + jnp.sum(a * a)",
    "b = max(jnp.sum(a), jnp.sum(b)) * 0.31 + b * 0.5",
    "n += 1",
    "n = 2 * n + 1 if n < 5 else n - 3",
]
RESULTS = ["a, b, n", "b, a, n + 1", "a * 2, a - b, n", "jnp.sin(b), b, 7"]
CALM_LOOPS = ["range({trips})", "range(n % 3 + 1)", "range((jnp.sum(a) > {limit}).astype(int) + 1)"]
ROW_LOOPS = ["{row} in a", "{row} in reversed(b)", "{i}, {row} in enumerate(b)"]
PAIR_LOOP = "{row}, {other} in zip(a, b)"


class Writer:
    """Draws statements and writes them down.

    Args:
        draw: Hypothesis's.
        depth: of nesting, at most.
        statements: after so many, simple and compound, only assignments follow.
    """

    def __init__(self, draw: Callable[..., Any], depth: int, statements: int) -> None:
        self.draw = draw
        self.depth = depth
        self.lines: list[str] = []
        self.left = statements
        self.names = 0
        self.loops = 0  # around the line that is being written

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def maybe(self) -> bool:
        return bool(self.draw(st.booleans()))

    def name(self, letter: str) -> str:
        self.names += 1
        return f"{letter}{self.names}"

    def write(self, depth: int, line: str) -> None:
        self.lines.append("    " * (depth + 1) + line)

    def limit(self) -> str:
        return str(self.pick(*LIMITS))

    # ---- conditions

    def comparison(self) -> str:
        form = self.pick(
            "jnp.sum(a) > {}", "jnp.sum(b) < {}", "jnp.max(a) > {}", "jnp.min(a - b) < {}",
            "{} < jnp.sum(a * b) < 1.7", "n % 2 == 1", "n > 1", "jnp.any(a > {})",
        )  # fmt: skip
        return str(form).format(self.limit())

    def condition(self) -> str:
        first, second = self.comparison(), self.comparison()
        form = self.pick("{0}", "{0}", "{0}", "not {0}", "{0} and {1}", "{0} or not {1}")
        return str(form).format(first, second)

    # ---- statements

    def block(self, depth: int) -> None:
        """One statement or more, and perhaps a jump out."""
        for _ in range(self.pick(2, 1, 3)):
            self.statement(depth)
        if self.pick(False, False, False, True):
            self.write(depth, self.jump())

    def loop_body(self, depth: int) -> None:
        self.loops += 1
        self.block(depth)
        self.loops -= 1
        if self.pick(False, False, True):
            self.write(depth - 1, "else:")
            self.assignment(depth)

    def statement(self, depth: int) -> None:
        self.left -= 1
        writers = [self.assignment]
        if depth < self.depth and self.left >= 0:
            writers += [self.branch, self.while_loop, self.for_loop]
            writers += [self.guarded_jump] * (self.loops > 0)
        self.pick(*writers)(depth)

    def assignment(self, depth: int) -> None:
        self.write(depth, self.pick(*ASSIGNMENTS))

    def jump(self) -> str:
        result = f"return {self.pick(*RESULTS)}"
        return str(self.pick("break", "continue", result)) if self.loops else result

    def guarded_jump(self, depth: int) -> None:
        self.write(depth, f"if {self.condition()}:")
        self.write(depth + 1, self.jump())

    def branch(self, depth: int) -> None:
        self.write(depth, f"if {self.condition()}:")
        self.block(depth + 1)
        if self.maybe():
            self.write(depth, f"elif {self.condition()}:")
            self.block(depth + 1)
        if self.maybe():
            self.write(depth, "else:")
            self.block(depth + 1)

    def while_loop(self, depth: int) -> None:
        count = self.name("k")
        self.write(depth, f"{count} = 0")
        enough, stop = f"{count} < {TRIPS}", self.condition()
        head = self.pick("{0} and ({1})", "({1}) and {0}", "{0} and (s := jnp.sum(a)) > -0.877")
        self.write(depth, f"while {head.format(enough, stop)}:")
        self.write(depth + 1, f"{count} += 1")
        self.loop_body(depth + 1)

    def for_loop(self, depth: int) -> None:
        names = {letter: self.name(letter[0]) for letter in ("i", "row", "other")}
        head = self.pick("{i} in " + self.pick(*CALM_LOOPS), self.pick(*ROW_LOOPS), PAIR_LOOP)
        written = head.format(**names, trips=TRIPS, limit=self.limit())
        self.write(depth, f"for {written}:")
        for letter, use in (("{i}", "n += {i}"), ("{row}", "a = a - {row} * 0.19")):
            if letter in head and self.maybe():
                self.write(depth + 1, use.format(**names))
        self.loop_body(depth + 1)


@st.composite
def sources(draw: Callable[..., Any], depth: int = 3, statements: int = 9) -> str:
    """The text of a module with a random `forward`."""
    writer = Writer(draw, depth, statements)
    for write in draw(st.permutations([writer.while_loop, writer.for_loop, writer.branch]))[:2]:
        write(0)
    writer.write(0, f"return {writer.pick(*RESULTS)}")
    return HEAD + "\n".join(writer.lines) + "\n"


def forward_of(source: str, folder: Path) -> Callable[..., Any]:
    """The function, imported from a file, as a user's would be."""
    name = f"drawn_{zlib.crc32(source.encode()):08x}"
    file = folder / f"{name}.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., Any] = module.forward
    return function
