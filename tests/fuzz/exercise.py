"""Reading one damaged file, and judging what came of it."""

from __future__ import annotations

import random
import resource
import time
from pathlib import Path

from kuai import interop
from kuai.errors import FileAccessError, FileFormatError
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import Seed

SECONDS = 2.0
FREE = 64 * 2**20


def damage(seed: Seed, folder: Path, dice: random.Random) -> Path:
    """Write the seed's files, one of them damaged; most often the first."""
    names = list(seed.files)
    chosen = names[0] if dice.random() < 0.7 else dice.choice(names)
    for name, data in seed.files.items():
        (folder / name).write_bytes(mutated(data, dice) if name == chosen else data)
    return folder / seed.main


def outcome(path: Path) -> str:
    """Read a file and all its arrays: "read" or "refused"; any other error goes through."""
    try:
        weights = interop.read(path)
        for name in weights:
            weights[name].copy()  # of a view too, whatever its strides
    except (FileFormatError, FileAccessError):
        return "refused"
    return "read"


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def judged(path: Path) -> tuple[str, str | None]:
    """The outcome, and what is wrong with how it came about; None: nothing."""
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    before, begun = peak(), time.process_time()
    try:
        found = outcome(path)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {str(error)[:200]}"
    seconds, grown = time.process_time() - begun, peak() - before
    if seconds > SECONDS:
        return found, f"took {seconds:.1f} s"
    if grown > 2 * size + FREE:
        return found, f"took {grown >> 20} MB for a file of {size >> 10} kB"
    return found, None
