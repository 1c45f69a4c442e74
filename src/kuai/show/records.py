"""From the records of a training to the lines of its curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kuai.errors import DataError

TRAIN, VALIDATION = "train", "validation"
_PREFIXES = {"train_": TRAIN, "validation_": VALIDATION, "val_": VALIDATION}
_COUNTERS = frozenset({"epoch", "step", "steps", "seconds", "samples_per_second", "learning_rate"})
_LARGEST = 1e300  # beyond it differences overflow
_UNITS = {"loss": "mean per sample", "accuracy": "fraction"}


@dataclass
class Panel:
    """One quantity by epoch.

    Attributes:
        name: of the quantity.
        label: the name with the unit, for the axis.
        lines: "train" or "validation" → (epoch, value) pairs.
    """

    name: str
    label: str
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def panels(
    records: Iterable[Mapping[str, Any]], units: Mapping[str, str] | None = None
) -> list[Panel]:
    """The quantities in some records, losses and metrics, each with its lines.

    Args:
        records: one dict an epoch, such as `{"epoch": 1, "loss": 0.7, "validation_loss": 0.8}`.
            Numbers that are not finite, and values that are no numbers, are left out.
        units: name of a quantity → unit, beside those that are known for "loss" and "accuracy".

    Raises:
        DataError: there is nothing to draw.

    Example:
        >>> panel, = panels([{"epoch": 1, "loss": 0.7, "validation_loss": 0.8}])
        >>> panel.label, panel.lines
        ('loss (mean per sample)', {'train': [(1.0, 0.7)], 'validation': [(1.0, 0.8)]})
    """
    found: dict[str, Panel] = {}
    for number, record in enumerate(records, start=1):
        epoch = float(record.get("epoch", number))
        for key, value in record.items():
            if key not in _COUNTERS and _is_finite(value):
                name, line = _parsed(key)
                panel = found.setdefault(
                    name, Panel(name, _label(name, {**_UNITS, **(units or {})}))
                )
                panel.lines.setdefault(line, []).append((epoch, float(value)))
    if not found:
        raise DataError(
            "records: expected dicts with a number for each loss or metric, such as "
            "{'epoch': 1, 'loss': 0.7}, got none; train for an epoch before drawing its curve"
        )
    return list(found.values())


def _parsed(key: str) -> tuple[str, str]:
    """(quantity, line) of a record's key."""
    for prefix, line in _PREFIXES.items():
        if key.startswith(prefix):
            return key.removeprefix(prefix), line
    return key, TRAIN


def _is_finite(value: Any) -> bool:
    if isinstance(value, (str, bytes, bool, type(None))):
        return False
    try:
        return abs(float(value)) < _LARGEST
    except (TypeError, ValueError):
        return False


def _label(name: str, units: Mapping[str, str]) -> str:
    readable = name.replace("_", " ")
    return f"{readable} ({units[name]})" if name in units else readable
