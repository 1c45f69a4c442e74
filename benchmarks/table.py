"""The figures of benchmarks/results/latest.json that have an aim, as the table in README.md.

`python -m benchmarks.table` prints it; with `--write` it also takes its place in README.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->"
NONE = "No figures have been recorded yet; `make bench` measures them on your machine.\n"
_HEAD = "| what | unit | kuai | beside it | kuai ÷ it | aimed at |\n|---|---|---:|---|---:|---:|\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into README.md too")
    table = markdown(RESULTS / "latest.json")
    if parser.parse_args().write:
        before, _, after = parts(README.read_text(encoding="utf-8"))
        README.write_text(before + table + after, encoding="utf-8")
    print(table, end="")


def parts(readme: str) -> tuple[str, str, str]:
    """README.md before, in and behind the place of the figures, marks outside."""
    before, _, rest = readme.partition(BEGIN)
    table, _, after = rest.partition(END)
    return before + BEGIN, table, END + after


def markdown(results: Path) -> str:
    """The table, and where it was measured; a sentence where nothing was."""
    if not results.exists():
        return NONE
    record = json.loads(results.read_text(encoding="utf-8"))
    rows = [row for comparison in record["comparisons"] for row in _rows(comparison)]
    return f"{_HEAD}{''.join(rows)}\n{_place(record)}\n"


def _rows(comparison: dict[str, Any]) -> list[str]:
    own = comparison["values"]["kuai"]
    what = f"| {comparison['title']} | {comparison['unit']} | {own:.4g} |"
    return [
        f"{what} {name}: {value:.4g} | {own / value:.2f} | ≤ {comparison['targets'][name]:.2f} |\n"
        for name, value in comparison["values"].items()
        if name in comparison["targets"]
    ]


def _place(record: dict[str, Any]) -> str:
    machine, versions = record["machine"], record["versions"]
    packages = ", ".join(
        f"{name} {versions[name]}" for name in ("jax", "torch") if name in versions
    )
    return (
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, "
        f"{packages}; {machine['date']}, load {machine['load_average_1min']}."
    )


if __name__ == "__main__":
    main()
