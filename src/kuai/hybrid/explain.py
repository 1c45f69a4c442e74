"""What was compiled, and why: `net.explain()`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax

from kuai.hybrid.cache import Compiled
from kuai.hybrid.places import Where, short
from kuai.hybrid.program import Program
from kuai.hybrid.reports import Trips


@dataclass(frozen=True)
class Staged:
    """A branch, loop or check that became part of a program.

    Attributes:
        kind: "if", "while", "assert" or "limit".
        file, line, function: where it stands.
        trips: of a loop in the last call; None where it is no loop, or was not run.
    """

    kind: str
    file: str
    line: int
    function: str
    trips: int | None = None

    def __str__(self) -> str:
        trips = "" if self.trips is None else f", {self.trips} trips in the last call"
        return f"{self.kind} at {self.file}:{self.line} in {self.function}{trips}"


@dataclass(frozen=True)
class Signature:
    """One compiled program.

    Attributes:
        arguments: shapes and dtypes of the arrays of a call, and what else is static.
        training: whether it was compiled in train mode.
        staged: branches, loops and checks on arrays in it.
        guards: what it read from outside and is compared on each call.
        draws: random keys that it draws; -1: only the run tells.
        compile_s: seconds that tracing and compiling took, as far as measured.
        flops, bytes: XLA's estimate for one call; None where XLA gives none. A loop counts once.
    """

    arguments: str
    training: bool
    staged: tuple[Staged, ...]
    guards: tuple[str, ...]
    draws: int
    compile_s: float | None
    flops: float | None
    bytes: float | None

    def lines(self) -> list[str]:
        mode = "train" if self.training else "eval"
        cost = []
        if self.compile_s is not None:
            cost.append(f"compiled in {self.compile_s * 1e3:.0f} ms")
        if self.flops is not None:
            cost.append(f"{self.flops:,.0f} FLOPs")
        if self.bytes is not None:
            cost.append(f"{self.bytes:,.0f} bytes moved")
        lines = [f"({self.arguments}) in {mode} mode", *([f"  {', '.join(cost)}"] if cost else [])]
        lines += [f"  {staged}" for staged in self.staged]
        lines += [f"  reads {guard}" for guard in self.guards]
        return lines


@dataclass(frozen=True)
class Explanation:
    """How a block or function runs. Prints as text.

    Attributes:
        name: of the block's class or of the function.
        setting: "auto", "hybridized" or "plain".
        plain_because: why it runs as plain Python though it was to be compiled; None otherwise.
        signatures: the compiled programs.
        compilations: why each program was compiled, in order.
    """

    name: str
    setting: str
    plain_because: str | None = None
    signatures: tuple[Signature, ...] = ()
    compilations: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.setting}, {len(self.signatures)} compiled signatures"]
        if self.plain_because is not None:
            lines.append(f"runs as plain Python: {self.plain_because}")
        for signature in self.signatures:
            lines += signature.lines()
        for number, reason in enumerate(self.compilations, 1):
            lines.append(f"compilation {number}: {reason}")
        return "\n".join(lines)

    __repr__ = __str__


def explanation(compiled: Compiled | None, name: str, setting: str) -> Explanation:
    """What a cache of programs tells."""
    if compiled is None:
        return Explanation(name, setting)
    signatures = [
        _signature(program, spec) for program in compiled.programs() for spec in program.specs
    ]
    return Explanation(
        name, setting, compiled.plain_because, tuple(signatures), tuple(compiled.compilations)
    )


def _signature(program: Program, spec: Any) -> Signature:
    cost = _cost(program, spec)
    return Signature(
        arguments=_told(program, spec),
        training=program.training,
        staged=tuple(_staged(program)),
        guards=tuple(program.guards.told()),
        draws=-1 if program.moved else program.draws,
        compile_s=program.compile_s,
        flops=cost.get("flops"),
        bytes=cost.get("bytes accessed"),
    )


def _cost(program: Program, spec: Any) -> dict[str, float]:
    """XLA's own estimate, from the compiled program."""
    try:
        found = program.jitted.lower(*spec).compile().cost_analysis()
    except (NotImplementedError, jax.errors.JaxRuntimeError):
        return {}
    return dict(found or {})


def _told(program: Program, spec: Any) -> str:
    """The arguments of a signature: arrays by shape, all else by value."""
    args, kwargs = program.template.join(iter(map(_Shown, spec[2])))
    parts = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    return ", ".join(parts)


class _Shown:
    """An array in the text of a signature."""

    def __init__(self, aval: Any) -> None:
        self._aval = aval

    def __repr__(self) -> str:
        return f"{self._aval.dtype}{list(self._aval.shape)}"


def _staged(program: Program) -> list[Staged]:
    found: dict[Staged, None] = {}
    program.report()
    for trace in program.traces:
        for staged in trace.staged:
            report = trace.reports.get(staged)
            trips = (
                int(report.value)
                if isinstance(report, Trips) and report.value is not None
                else None
            )
            found[_placed(staged.kind, staged.where, trips)] = None
    return list(found)


def _placed(kind: str, where: Where, trips: int | None) -> Staged:
    file, line, function = where
    return Staged(kind, short(file), line, function, trips)


def compiled_of(function: Any) -> Compiled | None:
    """The cache behind a function of `kuai.hybrid`, or behind a block's call."""
    automatic = getattr(function, "_kuai_automatic", None)
    if automatic is not None:
        function = automatic.compiled
    call = getattr(function, "_kuai_compiled", None) or getattr(function, "__self__", function)
    return call if isinstance(call, Compiled) else None
