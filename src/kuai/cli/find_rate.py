"""`kuai train --find-lr`: the loss at rising learning rates, and which one to take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kuai.cli import session
from kuai.cli.command import Result, log
from kuai.cli.runs import Run
from kuai.cli.settings import Settings
from kuai.errors import MissingExtraError

CURVE = "find_lr.png"


def run(settings: Settings) -> Result:
    """Try rates on the training part; draw the curve into --out, if one is given."""
    from kuai.train.lr_finder import find_learning_rate

    begun = session.prepare(settings, Run(Path(), {}))
    found = find_learning_rate(begun.trainer, begun.arrays("train"), batch_size=settings.batch_size)
    drawn = _drawn(found, Path(settings.out)) if settings.out else None
    files = [] if drawn is None else [drawn]
    text = [f"learning rate {found.suggestion:.3g}", *files]
    data = {
        "learning_rate": float(found.suggestion),
        "rates": [float(rate) for rate in found.rates],
        "losses": [float(loss) for loss in found.losses],
        "files": files,
    }
    return Result("\n".join(text), data)


def _drawn(found: Any, folder: Path) -> str | None:
    """The curve's file, or None where it cannot be drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CURVE
    try:
        found.plot(path)
    except MissingExtraError as error:
        log.warning("%s is not drawn: %s", CURVE, error)
        return None
    return str(path)
