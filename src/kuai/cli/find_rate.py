"""`kuai train --find-lr`: the loss at rising learning rates, and which one to take."""

from __future__ import annotations

from pathlib import Path

from kuai.cli import session, training
from kuai.cli.command import Result, log
from kuai.cli.runs import Run
from kuai.cli.settings import Settings
from kuai.errors import DataError, MissingExtraError
from kuai.train.lr_finder import RateSearch, find_learning_rate

CURVE = "find_lr.png"


def run(settings: Settings) -> Result:
    """Try rates on the training part; draw the curve into --out, if one is given."""
    begun = session.prepare(settings, Run(Path(), {}))
    found = find_learning_rate(
        begun.trainer,
        begun.arrays("train"),
        optimizer=lambda rate: training.optimizer(settings, rate),
        batch_size=settings.batch_size,
    )
    if found.suggestion is None:
        raise DataError(
            "--find-lr: the loss fell at no learning rate; look whether targets and net fit"
        )
    drawn = _drawn(found, Path(settings.out)) if settings.out else None
    files = [] if drawn is None else [drawn]
    data = {
        "learning_rate": float(found.suggestion),
        "rates": found.rates.tolist(),
        "losses": found.losses.tolist(),
        "files": files,
    }
    return Result("\n".join([f"learning rate {found.suggestion:.3g}", *files]), data)


def _drawn(found: RateSearch, folder: Path) -> str | None:
    """The curve's file, or None where it cannot be drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CURVE
    try:
        found.plot(path)
    except MissingExtraError as error:
        log.warning("%s is not drawn: %s", CURVE, error)
        return None
    return str(path)
