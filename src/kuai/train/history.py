"""What training leaves to read: the result of a step, the records of the epochs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from kuai.train import measure


class StepResult(Mapping[str, Any]):
    """What `Trainer.step` gives: `loss`, and each metric of the batch by its name.

    The values are on the device; nothing waits for them until one is read.

    Args:
        loss: of the batch.
        metrics: of the trainer.
        sums: what they gathered on this batch.
    """

    __slots__ = ("_metrics", "_sums", "loss")

    def __init__(self, loss: jax.Array, metrics: tuple[Any, ...], sums: list[Any]) -> None:
        self.loss = loss
        self._metrics = metrics
        self._sums = sums

    def __getitem__(self, name: str) -> Any:
        if name == "loss":
            return self.loss
        return measure.values(self._metrics, self._sums)[name]

    def __iter__(self) -> Iterator[str]:
        yield "loss"
        yield from (metric.name for metric in self._metrics)

    def __len__(self) -> int:
        return 1 + len(self._metrics)

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={_short(value)}" for name, value in self.items())
        return f"StepResult({inner})"


class History:
    """The records of a run, one dict for each epoch; a column is an attribute.

    Args:
        records: of the epochs so far.

    Example:
        >>> from kuai.train.history import History
        >>> records = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 0.5}]
        >>> history = History(records)
        >>> history.loss, len(history), history[-1]["epoch"]
        ([2.0, 0.5], 2, 2)
        >>> history
        epoch  loss
            1     2
            2   0.5
    """

    def __init__(self, records: list[dict[str, Any]] | None = None) -> None:
        self.records: list[dict[str, Any]] = [] if records is None else list(records)

    def append(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    @property
    def columns(self) -> list[str]:
        """The names that any record has, in order.

        Example:
            >>> from kuai.train.history import History
            >>> History([{"epoch": 1, "loss": 2.0}]).columns
            ['epoch', 'loss']
        """
        return list(dict.fromkeys(name for record in self.records for name in record))

    def __getattr__(self, name: str) -> list[Any]:
        if name.startswith("_") or name not in self.columns:
            raise AttributeError(f"the history has no {name!r}; it has {', '.join(self.columns)}")
        return [record.get(name) for record in self.records]

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.records)

    def __repr__(self) -> str:
        if not self.records:
            return "History(no epoch yet)"
        columns = self.columns
        rows = [
            columns,
            *([_short(record.get(name)) for name in columns] for record in self.records),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.rjust, row, widths)) for row in rows]
        return "\n".join(lines)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, (int, str)) else f"{float(value):.4g}"
