"""What holds for every test: those in tests/, the examples in docstrings, and those in the docs."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before jax is imported; the caller may say otherwise

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

jax.config.update("jax_numpy_dtype_promotion", "strict")

# No test may depend on how fast the machine is, and CI must find what it found before.
hypothesis.settings.register_profile(
    "kuai", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True
)
hypothesis.settings.load_profile("kuai")


def names_for_examples() -> dict[str, Any]:
    """The names that every documented example may use without an import."""
    import kuai
    from kuai import nn

    return {"jax": jax, "jnp": jnp, "kuai": kuai, "nn": nn, "np": np}


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
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
