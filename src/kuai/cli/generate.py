"""`kuai generate`: what a net that was trained on text writes."""

from __future__ import annotations

from kuai.cli import nets, writing
from kuai.cli.command import Command, Result
from kuai.cli.options import Option, UsageError, nonnegative, probability, text, whole
from kuai.cli.settings import Settings
from kuai.cli.targets import TARGET, data_before, trained

_DETAILS = """\
The text begins with --start, whose characters must be among those that the net was trained on. At a
temperature of 0 the likeliest character is taken each time, and the seed does not matter."""


def _run(settings: Settings) -> Result:
    found = trained(settings, None) if data_before(settings).get("vocabulary") else None
    if found is None or found.vocabulary is None or not writing.can_write(found.net):
        raise UsageError(
            f"{settings.target}: expected the run of a net that was trained on text, as kuai train "
            "--net gpt-mini --data text:FILE trains one"
        )
    written = writing.write(
        found.net,
        found.vocabulary,
        settings.start or found.vocabulary[0],
        characters=settings.length,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        seed=settings.seed,
    )
    return Result(written, {"text": written})


COMMAND = Command(
    "generate",
    "let a net that was trained on text write",
    _run,
    (
        Option("start", text, "what the text begins with", None, "TEXT"),
        Option("length", whole(1), "characters that are added", writing.CHARACTERS, "N"),
        Option("temperature", nonnegative, "how freely it draws", writing.TEMPERATURE, "NUMBER"),
        Option("top-k", whole(1), "draw among the N likeliest characters only", None, "N"),
        Option(
            "top-p",
            probability,
            "draw among the likeliest only, as few as have this probability together",
            None,
            "NUMBER",
        ),
        Option("seed", whole(0, 2**32 - 1), "of the draws", 0, "N"),
        nets.NET,
    ),
    TARGET,
    _DETAILS,
)
