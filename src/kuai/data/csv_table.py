"""A CSV table as a data set: numbers, and a target in the column `label` or in the last one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kuai.errors import DataError


class _Row(NamedTuple):
    line: int  # in the file, from 1
    cells: list[str]


Columns = tuple[str, ...] | None  # the names of the inputs, where the table has some

_TARGET_REMEDY = "Only the target may be text: name its column 'label' or make it the last"
_INPUTS_REMEDY = "There is no target here: a table with one is for --data or kuai.data.load"


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray, Columns]:
    """Read inputs, targets (text, whole numbers or floats), and the names of the inputs.

    Raises:
        DataError: the table is empty or ragged, or an input is no number; line and column named.
    """
    names, named, body = _table(path)
    if len(names) < 2:
        raise DataError(
            f"{path}: expected at least two columns parted by commas, inputs and a target, got "
            f"{names[0][:60]!r} alone"
        )
    target = names.index("label") if "label" in names else len(names) - 1
    targets = [_Row(row.line, [row.cells.pop(target)]) for row in body]
    name = names.pop(target)
    x = _numbers(path, names, body, _TARGET_REMEDY)
    return x, _targets(path, name, targets), tuple(names) if named else None


def read_csv_inputs(path: Path) -> tuple[np.ndarray, Columns]:
    """Read a table whose columns are all inputs, and their names.

    Raises:
        DataError: as `read_csv`.
    """
    names, named, body = _table(path)
    return _numbers(path, names, body, _INPUTS_REMEDY), tuple(names) if named else None


def _table(path: Path) -> tuple[list[str], bool, list[_Row]]:
    """The columns' names, whether the file gives them, and the examples."""
    rows = _rows(path)
    found = _names(rows[0].cells)
    names = found or [str(number) for number in range(1, len(rows[0].cells) + 1)]
    body = rows[1:] if found else rows
    _check_table(path, names, body)
    return names, found is not None, body


def _rows(path: Path) -> list[_Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a mark first
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            rows = [
                _Row(reader.line_num, [cell.strip() for cell in row])
                for row in reader
                if any(map(str.strip, row))
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV table in UTF-8, but {error}") from error
    if not rows:
        raise DataError(f"{path}: the table is empty; expected one example a line")
    return rows


def _names(first: list[str]) -> list[str] | None:
    """The column names, if the first line holds names: it says `label`, or has no number."""
    names = [cell.lower() if cell.lower() == "label" else cell for cell in first]
    return names if "label" in names or not any(map(_is_number, first)) else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_table(path: Path, names: list[str], body: list[_Row]) -> None:
    if not body:
        raise DataError(f"{path}: the table has column names but no examples")
    for row in body:
        if len(row.cells) != len(names):
            raise DataError(
                f"{path}, line {row.line}: expected {len(names)} cells, got {len(row.cells)}"
            )


def _numbers(path: Path, names: list[str], body: list[_Row], remedy: str) -> np.ndarray:
    try:
        return np.array([[float(cell) for cell in row.cells] for row in body])
    except ValueError:
        place = _first_non_number(path, names, body)
        raise DataError(f"{place}. {remedy}") from None


def _first_non_number(path: Path, names: list[str], body: list[_Row]) -> str:
    line, name, cell = next(
        (row.line, name, cell)
        for row in body
        for name, cell in zip(names, row.cells, strict=True)
        if not _is_number(cell)
    )
    found = repr(cell[:60]) if cell else "an empty cell"
    return f"{path}, line {line}, column {name!r}: expected a number, got {found}"


def _targets(path: Path, name: str, column: list[_Row]) -> np.ndarray:
    """Whole numbers, numbers or text: whichever all of the column is."""
    cells = [row.cells[0] for row in column]
    numbers = sum(map(_is_number, cells))
    if 0 < numbers < len(cells) or "" in cells:
        place = _first_non_number(path, [name], column)
        raise DataError(f"{place}. The targets must be all numbers or all text, and none missing")
    if not numbers:
        return np.array(cells)
    try:
        return np.array([int(cell) for cell in cells], np.int64)
    except (ValueError, OverflowError):
        return np.array([float(cell) for cell in cells])
