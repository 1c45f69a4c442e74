"""Damage valid files of every format, many thousand times each, and read them.

    python -m tests.fuzz.run [--files 100000] [--format torch ...] [--seed 0] [--keep FOLDER]

Each format runs in a process of its own, so that a crash of native code is found and counted. A
failure names the number that makes the file again: --format NAME --seed NUMBER --files 1.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fuzz.exercise import damage, judged
from tests.fuzz.seeds import seeds

_IN_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own in it


def work(name: str, first: int, last: int, pipe: Connection, keep: str | None) -> None:
    """Try files number first to last; tell of each before it is tried, and of what came."""
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if Path(_IN_MEMORY).is_dir() else None) as at:
        scratch = Path(at) / "seeds"
        scratch.mkdir()
        known = seeds(scratch)[name]
        folder = Path(at) / "damaged"
        for number in range(first, last):
            dice = random.Random(number)
            folder.mkdir()
            path = damage(dice.choice(known), folder, dice)
            pipe.send(("trying", number))
            found, wrong = judged(path)
            pipe.send((found, wrong))
            if wrong and keep:
                shutil.copytree(folder, Path(keep) / f"{name}-{number}", dirs_exist_ok=True)
            shutil.rmtree(folder)


def fuzz(name: str, first: int, files: int, keep: str | None) -> dict[str, Any]:
    """Try many files of a format; the process is started again where it dies."""
    counts: collections.Counter[str] = collections.Counter()
    failures: list[tuple[int, str]] = []
    number, begun = first, time.monotonic()
    context = multiprocessing.get_context("spawn")
    while number < first + files:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(name, number, first + files, theirs, keep))
        process.start()
        theirs.close()
        try:
            while True:
                said, value = ours.recv()
                if said == "trying":
                    number = value
                    continue
                counts[said] += 1
                if value:
                    failures.append((number, value))
                number += 1
        except EOFError:
            process.join()
        if process.exitcode:
            counts["crashed"] += 1
            failures.append((number, f"the process died ({process.exitcode})"))
            number += 1
    return {
        "format": name, **counts, "failures": failures[:20], "wrong": len(failures),
        "seconds": round(time.monotonic() - begun),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000, help="of each format")
    parser.add_argument("--format", action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=0, help="the first file's number")
    parser.add_argument("--keep", help="a folder for the files that were read wrongly")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        names = options.format or list(seeds(Path(scratch)))
    wrong = 0
    for name in names:
        found = fuzz(name, options.seed, options.files, options.keep)
        print(json.dumps(found), flush=True)
        wrong += found["wrong"]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
