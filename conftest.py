"""What holds for every test: those in tests/, the examples in docstrings, and those in the docs."""

from __future__ import annotations

import builtins
import json
import linecache
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

# JAX reads this when it is imported. Whoever wants the tests on another device sets it.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the tests' time is XLA compiling programs that then run once: let it optimize less.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)

import hypothesis
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from sybil import Document, Region, Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

GOLDENS = Path(__file__).parent / "tests" / "goldens"

jax.config.update("jax_numpy_dtype_promotion", "strict")
# The modules of array functions; so kuai is imported inside functions below. What they import for
# their annotations alone, and so not at run time, is found among the built-in names.
OPS = ["adaptive_pooling", "attending", "convolution", "dropping", "gru_scan", "linear", "lookup",
       "lstm_scan", "norm", "padding", "pooling", "resizing", "rnn_scan", "shuffling"]  # fmt: skip
jaxtyping.install_import_hook(
    [*(f"kuai.nn.ops.{name}" for name in OPS), "kuai.nn.functions", "kuai.losses", "kuai.metrics"],
    "beartype.beartype",
)
for _name in ("Bool", "Float", "Integer", "Shaped"):
    setattr(builtins, _name, getattr(jaxtyping, _name))

# No test may depend on how fast the machine is, and CI must find what it found before.
hypothesis.settings.register_profile(
    "kuai", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True
)
hypothesis.settings.load_profile("kuai")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-goldens", action="store_true", help="write tests/goldens/ anew")


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what tests/slow_tests.py found to be slow."""
    slow = frozenset((GOLDENS.parent / "slow.txt").read_text().splitlines())
    for item in items:
        if item.nodeid in slow:
            item.add_marker(pytest.mark.slow)


def names_for_examples() -> dict[str, Any]:
    """The names that every documented example may use without an import."""
    import kuai
    from kuai import nn
    from kuai.hybrid.function import hybrid

    # pytest, which imports the modules of a package by itself, puts the package in its place.
    kuai.hybrid = hybrid
    return {"jax": jax, "jnp": jnp, "kuai": kuai, "nn": nn, "np": np}


_CODE = re.compile(r"^```python\n(?!>>>)(.*?)^```$", re.DOTALL | re.MULTILINE)


def source_for_conversion(document: Document) -> tuple[Region, ...]:
    """Let linecache have a page's code at the page's lines: kuai converts a forward from there."""
    text = ""
    for block in _CODE.finditer(document.text):
        lines_before = document.text.count("\n", 0, block.start(1))
        text += "\n" * (lines_before - text.count("\n")) + block[1]
    lines = text.splitlines(keepends=True)
    linecache.cache[document.path] = len(text), None, lines, document.path
    return ()


pytest_collect_file = Sybil(
    parsers=[source_for_conversion, PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "CONTRIBUTING.md", "docs/*.md", "docs/**/*.md"],
    setup=lambda namespace: namespace.update(names_for_examples()),
).pytest()


@pytest.fixture(autouse=True)
def same_seed_for_every_test() -> None:
    import kuai

    kuai.seed(0)


@pytest.fixture(autouse=True)
def short_names_in_doctests(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(names_for_examples())


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Compare plain data with tests/goldens/NAME.json, or write that file with --renew-goldens."""

    def compare(name: str, found: Any) -> None:
        file = GOLDENS / f"{name}.json"
        text = json.dumps(found, indent=2, sort_keys=True) + "\n"
        if request.config.getoption("--renew-goldens"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        assert text == file.read_text(), f"{file.name} differs; CONTRIBUTING.md says how to renew"

    return compare
