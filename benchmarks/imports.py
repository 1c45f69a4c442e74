"""Importing all of kuai against `import jax`, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.report import Comparison

ROUNDS = 9


def run() -> list[Comparison]:
    best = {"kuai": float("inf"), "import jax": float("inf")}
    for _ in range(ROUNDS):
        for name, module in (("kuai", "kuai.api"), ("import jax", "jax")):
            best[name] = min(best[name], _import_ms(module))
    return [Comparison("import", "ms", best, {"import jax": 1.2})]


def _import_ms(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return round(float(done.stdout) * 1e3, 1)
