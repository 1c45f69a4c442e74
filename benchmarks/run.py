"""Run all benchmarks, print their ratios, and keep the raw figures: `make bench`."""

from __future__ import annotations

import argparse
import importlib

import jax

import kuai
from benchmarks.report import Comparison, machine, versions, write

NAMES = (
    *("call", "training", "control_flow", "loops"),
    *("repeat", "convolutions", "transformer", "recurrent", "weights", "imports"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {NAMES}; default all")
    names = tuple(parser.parse_args().names) or NAMES
    # Results are waited for, as torch does: then JAX is quickest in the calling thread.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    kuai.keep_memory()  # as `kuai train` does; torch's is kept with it
    print(machine(), versions(), sep="\n")
    comparisons: list[Comparison] = []
    for name in names:
        found = importlib.import_module(f"benchmarks.{name}").run()
        for comparison in found:
            print(*comparison.lines(), sep="\n", flush=True)
        comparisons += found
    if names == NAMES:
        print("raw figures:", write(comparisons).name)


if __name__ == "__main__":
    main()
