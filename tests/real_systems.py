"""Small scripts run where the real systems are installed.

A system is looked for in the interpreter of the tests, then in the one that an environment variable
names, because not all of them can live in one environment: `KUAI_TORCH_PYTHON`,
`KUAI_KERAS_PYTHON`, `KUAI_PADDLE_PYTHON`, `KUAI_GLUON_PYTHON`; for Gluon, then in the environment
that `make peers` makes. Where there is none, the test is skipped. kuai itself may be missing there,
and Python as old as 3.8: a script imports the system and NumPy, and is given what else it needs as
arguments, mostly the paths of files.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_MODULES = {"torch": "torch", "keras": "keras", "paddle": "paddle", "gluon": "mxnet"}
_TIMEOUT_S = 300
_ROOT = Path(__file__).parents[1]
_GLUON = _ROOT / ".venv" / "gluon" / "bin" / "python"  # of `make peers`, which then marks it ready
_GLUON_READY = _ROOT / ".venv" / ".ready" / "gluon"


def python_of(system: str) -> str:
    """The interpreter that has a system ("torch", "keras", "paddle", "gluon"), or skip the test."""
    module, variable = _MODULES[system], f"KUAI_{system.upper()}_PYTHON"
    if importlib.util.find_spec(module):
        return sys.executable
    if variable in os.environ:
        return os.environ[variable]
    if system == "gluon" and _GLUON_READY.exists():
        return str(_GLUON)
    pytest.skip(f"{module} is not installed, and {variable} names no Python that has it")


def run(system: str, script: str, *arguments: object) -> str:
    """Run a script with a system's interpreter and return what it printed.

    Args:
        system: as for `python_of`.
        script: Python; its indentation is taken off.
        arguments: what it finds in `sys.argv[1:]`.

    Raises:
        AssertionError: it failed; the message is all that it printed.
    """
    return _run(system, "-c", textwrap.dedent(script), *arguments)


def run_module(system: str, module: str, *arguments: object) -> str:
    """Run a module of this repository as `run` runs a script.

    Args:
        system: as for `python_of`.
        module: such as "tests.real_nets.torch_nets".
        arguments: as for `run`.

    Raises:
        AssertionError: as for `run`.
    """
    return _run(system, "-m", module, *arguments)


def _run(system: str, *arguments: object) -> str:
    command = [python_of(system), *map(str, arguments)]
    environment = {"KERAS_BACKEND": "jax", **os.environ}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
        env=environment,
        cwd=_ROOT,
    )
    assert done.returncode == 0, f"{system} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout
