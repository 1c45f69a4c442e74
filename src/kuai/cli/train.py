"""`kuai train`: a net trained on data, and a folder that tells all about it."""

from __future__ import annotations

import tempfile
import time
from typing import Any

from kuai.cli import datasets, find_rate, nets, outcome, session, training
from kuai.cli.command import Command, Result, log
from kuai.cli.options import Option, UsageError, share, switch, text, whole
from kuai.cli.progress import EveryEpoch
from kuai.cli.session import Session
from kuai.cli.settings import Settings

_DETAILS = """\
Some of the examples are held out for a test at the end: they are never trained on, nor looked at
before. Some of the rest are held out to watch the training by (validation). The folder gets
weights.safetensors, metrics.jsonl (a line an epoch), curve.png, net.svg, report.html, run.json (how
to build the net again) and checkpoint.safetensors (how to go on)."""

# Of the rates, batch sizes and shares of dropout tried on the digits, the defaults had the lowest
# validation loss.
_SHAPING = (
    datasets.DATA,
    nets.NET,
    *nets.SHAPE,
    Option("epochs", whole(1), "passes over the training part", 20, "N"),
    Option("batch-size", whole(1), "examples a step", 16, "N"),
    training.OPTIMIZER,
    training.RATE,
    training.SCHEDULE,
    Option("seed", whole(0, 2**32 - 1), "of initial values, order and dropout", 0, "N"),
    Option("validation", share, "share held out to watch the training by", 0.1, "SHARE"),
    Option("test", share, "share held out for the test at the end", 0.2, "SHARE"),
    Option("overfit-batches", whole(1), "train on these first N batches only, to debug", None, "N"),
)
_OTHER = (
    Option("out", text, "folder of the run (default runs/ and the data's name)", None, "FOLDER"),
    switch("resume", "go on with the run in --out as if it had not stopped"),
    switch("force", "replace the run in --out"),
    switch("fast-dev-run", "two batches of everything, into a folder that is removed"),
    switch("find-lr", "try learning rates, do not train"),
)


def _run(settings: Settings) -> Result:
    if settings.resume and (settings.force or settings.fast_dev_run or settings.find_lr):
        raise UsageError("--resume goes with none of --force, --fast-dev-run and --find-lr")
    if not settings.resume:
        settings.lr = training.learning_rate(settings)  # so that run.json says which it was
    if settings.find_lr:
        return find_rate.run(settings)
    if settings.fast_dev_run:
        with tempfile.TemporaryDirectory() as folder:
            settings.out = folder
            result = _train(settings)
        data = {**result.data, "out": None, "files": []}
        return Result("fast-dev-run: everything works; nothing is kept", data)
    return _train(settings)


def _train(settings: Settings) -> Result:
    begun = session.begin(settings, _SHAPING)
    log.info(_opening(begun))
    started = time.perf_counter()
    try:
        _fit(begun)
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        begun.run.write(status="interrupted" if interrupted else "failed")
        if interrupted:
            log.info("kuai train --resume --out %s goes on", begun.run.folder)
        raise
    seconds = time.perf_counter() - started
    found = outcome.scores(begun, 2 * settings.batch_size if settings.fast_dev_run else None)
    return outcome.write(begun, found, seconds)


def _fit(begun: Session) -> Any:
    settings = begun.settings
    return begun.trainer.fit(
        begun.arrays("train"),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        validation=begun.arrays("validation"),
        callbacks=(EveryEpoch(begun.run, settings.epochs),),
        progress=False if settings.quiet else None,
        fast_dev_run=settings.fast_dev_run,
        overfit_batches=settings.overfit_batches,
    )


def _opening(begun: Session) -> str:
    sizes = ", ".join(f"{len(data):,} {part}" for part, data in begun.parts.present().items())
    return f"{begun.data.name}: {sizes} examples; {begun.recipe.net} into {begun.run.folder}"


COMMAND = Command("train", "train a net on data", _run, (*_SHAPING, *_OTHER), None, _DETAILS)
