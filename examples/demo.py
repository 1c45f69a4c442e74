"""The chapter "Layers and Blocks" in kuai, listing by listing; then a net trained on real digits.

Run by `make demo`. Each listing is a file of its own in examples/chapter, made to be read and
changed.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from kuai.cli import main as kuai

CHAPTER = Path(__file__).parent / "chapter"
RUN = "runs/demo"
RULE = "-" * 96


def show_listing(number: int, file: Path) -> None:
    """Run a listing under its title: the first line of its docstring."""
    title = file.read_text(encoding="utf-8").split('"""')[1].splitlines()[0]
    print(f"{RULE}\n{number}. {title}\n   examples/chapter/{file.name}\n")
    runpy.run_path(str(file), run_name="__main__")
    print()


def train_on_digits() -> int:
    """What `kuai train` does on the command line, with the same words."""
    words = ["train", "--data", "digits", "--net", "mlp", "--epochs", "20", "--out", RUN, "--force"]
    print(f"{RULE}\nTraining: kuai {' '.join(words)}\n", flush=True)
    return kuai(words)


def main() -> int:
    for number, file in enumerate(sorted(CHAPTER.glob("[0-9]*.py")), start=1):
        show_listing(number, file)
    failed = train_on_digits()
    if not failed:
        print(f"\nOpen {RUN}/report.html first: the net, its curves and its mistakes on one page.")
        print(f"Then: kuai show {RUN}    kuai eval {RUN}    kuai predict {RUN} --data digits")
    return failed


if __name__ == "__main__":
    sys.exit(main())
