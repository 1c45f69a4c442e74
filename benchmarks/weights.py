"""Reading weights files of 500 MB beside the systems' own loaders, and what `kuai inspect` takes.

The files are warm in the system's cache. A loader has done when every array is a NumPy array.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

import kuai
from benchmarks.report import Comparison
from benchmarks.timing import Work, interleaved
from kuai import interop
from kuai.interop.writers.gluon import write_gluon

ARRAYS = 20  # of 25 MiB each


def run() -> list[Comparison]:
    kuai.keep_memory(False)  # a process that reads a file has had no memory to keep
    generator = np.random.default_rng(0)
    arrays = {
        f"layers.{number}.weight": generator.standard_normal((2560, 2560), np.float32)
        for number in range(ARRAYS)
    }
    found: list[Comparison] = []
    for name, (write, load) in _FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"net{name}"
            write(path, arrays)
            found += [_times(name, path, load), _memory(name, path)]
            if name == ".safetensors":
                found.append(_inspected(path))
    return found


def _write_torch(path: Path, arrays: dict[str, np.ndarray]) -> None:
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)


def _load_torch(path: Path) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in torch.load(path, weights_only=True).values()]


def _load_npz(path: Path) -> list[np.ndarray]:
    with np.load(path) as arrays:
        return list(arrays.values())


_FORMATS: dict[str, tuple[Callable[..., Any], Callable[[Path], Any]]] = {
    ".safetensors": (
        lambda path, arrays: safetensors.numpy.save_file(arrays, path),
        safetensors.numpy.load_file,
    ),
    ".pt": (_write_torch, _load_torch),
    ".npz": (lambda path, arrays: np.savez(path, **arrays), _load_npz),
    # MXNet runs on no Python that JAX runs on: the plain bytes stand for its loader.
    ".params": (write_gluon, lambda path: np.fromfile(path, np.uint8)),
}
_PEERS = {
    ".safetensors": "safetensors.numpy",
    ".pt": "torch.load",
    ".npz": "numpy.load",
    ".params": "the file's bytes",
}


def _times(name: str, path: Path, load: Callable[[Path], Any]) -> Comparison:
    works: dict[str, Work] = {
        "kuai": lambda: list(interop.read(path).values()),
        _PEERS[name]: lambda: load(path),
    }
    times = interleaved(works, seconds=12.0)
    return Comparison(f"reading 500 MB of {name}", "us", times, {_PEERS[name]: 1.3})


def _memory(name: str, path: Path) -> Comparison:
    """The largest memory of a process that holds all arrays, less that of one that holds none."""
    held, none = (_kilobytes(path, count) for count in (ARRAYS, 0))
    values = {"kuai": round((held - none) / 1024, 1), "the file": path.stat().st_size / 2**20}
    return Comparison(f"memory for 500 MB of {name}", "MiB", values, {"the file": 1.2})


def _kilobytes(path: Path, count: int) -> int:
    code = (
        "import re, sys; from kuai import interop\n"
        "weights = interop.read(sys.argv[1])\n"
        "arrays = [weights[name] for name in list(weights)[:int(sys.argv[2])]]\n"
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"
    )
    command = [sys.executable, "-c", code, str(path), str(count)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _inspected(path: Path) -> Comparison:
    """`kuai inspect`, the whole process, beside one that imports jax."""
    works: dict[str, Work] = {
        "kuai": lambda: _run("-m", "kuai", "inspect", str(path)),
        "import jax": lambda: _run("-c", "import jax"),
    }
    return Comparison("kuai inspect of 500 MB", "us", interleaved(works, seconds=12.0), {})


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
