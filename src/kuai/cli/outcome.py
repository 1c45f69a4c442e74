"""What a training leaves in its folder, and says at the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from kuai.cli import writing
from kuai.cli.command import Result, log
from kuai.cli.progress import plain
from kuai.cli.runs import CURVE, METRICS, PICTURE, REPORT, WEIGHTS
from kuai.cli.session import Session
from kuai.errors import MissingExtraError
from kuai.show import Report, Summary, save_curve, save_diagram, summarize

Scores = dict[str, dict[str, float]]


def scores(session: Session, limit: int | None = None) -> Scores:
    """Loss and metrics of each part, in eval mode.

    Args:
        session: trained.
        limit: examples of each part; default all.
    """
    found = {}
    for part in session.parts.present():
        values = session.trainer.evaluate(
            session.arrays(part, limit), batch_size=session.settings.batch_size
        )
        found[part] = {name: float(value) for name, value in values.items()}
    return found


def write(session: Session, found: Scores, seconds: float) -> Result:
    """Write weights, pictures, report and record; the record last, when all else is there."""
    run = session.run
    records = list(map(plain, session.trainer.history))
    session.net.save(run.path(WEIGHTS))
    summary = summarize(session.net, (session.recipe.inputs(session.data.x[:1]),))
    save_diagram(summary, run.path(PICTURE))
    files = [REPORT, PICTURE, WEIGHTS, METRICS]
    try:
        save_curve(records, run.path(CURVE))
        files.insert(1, CURVE)
    except MissingExtraError as error:
        log.warning("%s is not drawn: %s", CURVE, error)
    _report(session, records, found, summary)
    results = {"epochs": len(records), "seconds": round(seconds, 3), "scores": found}
    sample = _sample(session)
    if sample is not None:
        results["sample"] = sample
    run.write(status="finished", results=results)
    paths = [str(run.path(name)) for name in files]
    lines = [_told(session, found), f"{len(records)} epochs, {seconds:.1f} s of training", *paths]
    if sample is not None:
        lines.append(f"a sample of what it writes:\n{sample}")
    return Result("\n".join(lines), {"out": str(run.folder), **results, "files": paths})


def _sample(session: Session) -> str | None:
    """What a net that was trained on text writes behind the first line of it."""
    vocabulary = session.data.vocabulary
    if vocabulary is None or not writing.can_write(session.net):
        return None
    start = writing.opening(session.data.x[0], vocabulary)
    return writing.write(session.net, vocabulary, start, seed=session.settings.seed)


def _report(session: Session, records: Any, found: Scores, summary: Summary) -> None:
    data, parts = session.data, session.parts.present()
    confusion = _confusion(session)
    Report(
        f"{session.recipe.net} on {data.name}",
        summary,
        data={
            "name": data.name,
            "inputs": f"{data.x.dtype} {data.x.shape[1:]}",
            **{f"{name} examples": len(part) for name, part in parts.items()},
        },
        records=records,
        metrics={f"{part} {name}": v for part, row in found.items() for name, v in row.items()},
        confusion=confusion,
        classes=None if confusion is None else data.classes,
        settings=session.run.record["settings"],
    ).save(session.run.path(REPORT))


def _confusion(session: Session) -> np.ndarray | None:
    """How often each class of the test part was taken for each, rows being the truth."""
    arrays = session.arrays("test")
    if session.data.classes is None or arrays is None or session.data.y.ndim > 1:
        return None
    x, labels = arrays
    outputs = session.trainer.predict(x, batch_size=session.settings.batch_size)
    counts = np.zeros((len(session.data.classes),) * 2, int)
    np.add.at(counts, (labels, np.asarray(outputs).argmax(-1)), 1)
    return counts


def _told(session: Session, found: Scores) -> str:
    """One line a part, in columns."""
    names = list(next(iter(found.values())))
    head = f"{'':12}{'examples':>9}" + "".join(f"{name:>12}" for name in names)
    lines = [head]
    for part, data in session.parts.present().items():
        values = "".join(f"{found[part][name]:12.4f}" for name in names)
        lines.append(f"{part:12}{len(data):9,}{values}")
    return "\n".join(lines)
