"""The suite of forwards as the tables that docs/what-compiles.md shows.

`python -m tests.forwards.table` prints them; with `--write` they also go into the page.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import jax.numpy as jnp

import kuai
from kuai.errors import KuaiError
from tests.forwards import FAMILIES
from tests.forwards.case import BASE, WEIGHT, Case

PAGE = Path(__file__).parents[2] / "docs" / "what-compiles.md"
PLAIN = "as in plain Python"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the page too")
    write = parser.parse_args().write
    for name, table in {"working": working(), "refused": refused()}.items():
        if write:
            before, _, after = parts(PAGE.read_text(encoding="utf-8"), name)
            PAGE.write_text(before + table + after, encoding="utf-8")
        print(table)


def parts(page: str, name: str) -> tuple[str, str, str]:
    """The page before, in and behind the place of a table, marks outside."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    table, _, after = rest.partition(end)
    return before + begin, table, end + after


def working() -> str:
    """A row for each family, with what compiles of it."""
    families = {name: [c for c in cases if c.error is None] for name, cases in FAMILIES.items()}
    rows = [
        f"| {name} ({len(cases)}) | {' · '.join(map(_shown, cases))} |\n"
        for name, cases in families.items()
        if cases
    ]
    return "| family | what compiles |\n|---|---|\n" + "".join(rows)


def _shown(case: Case) -> str:
    return _escaped(case.shows) + ("" if case.grad else " †")


def refused() -> str:
    """A row for each error and remedy, with the cases that end in it."""
    rows: dict[tuple[str, str], list[str]] = {}
    for case in (case for family in FAMILIES.values() for case in family if case.error is not None):
        rows.setdefault(told(case), []).append(_escaped(case.shows))
    lines = [f"| {' · '.join(what)} | {' | '.join(row)} |\n" for row, what in rows.items()]
    return "| what | error | what to do |\n|---|---|---|\n" + "".join(lines)


def told(case: Case) -> tuple[str, str]:
    """The class of a case's error, and the last part of its message, which says what to do."""
    error = _error(case)
    if not isinstance(error, KuaiError):
        return f"`{type(error).__name__}`", PLAIN
    remedy = str(error).rpartition("; ")[2].removesuffix(", or run it without hybridize()")
    return f"`{type(error).__name__}`", _escaped(remedy.rpartition(": ")[2])


def _error(case: Case) -> Exception:
    compiled = case.forward().hybridize() if case.is_block else kuai.hybrid(case.forward)
    weight = () if case.is_block else (jnp.asarray(WEIGHT, jnp.float32),)
    for factor in case.inputs:
        try:
            compiled(jnp.asarray(BASE * factor, jnp.float32), *weight)
        except case.raises as error:
            return error
    raise AssertionError(f"{case.name} is not refused")


def _escaped(text: str) -> str:
    """Text as it is, where Markdown would take it for emphasis or the end of a cell."""
    outside = re.split(r"(`[^`]*`)", text)
    return "".join(t if t.startswith("`") else re.sub(r"([*_|<\[\]])", r"\\\1", t) for t in outside)


if __name__ == "__main__":
    main()
