"""Outputs and gradients of functions of arrays in float64, by JAX and by torch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def with_gradients(function: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    """The output, and the gradients of its product with random weights, as one program."""

    def run(*inputs: Any) -> Any:
        output, backward = jax.vjp(function, *inputs)
        return output, *backward(jnp.asarray(normal(*output.shape, seed=9)))

    with jax.enable_x64(True):
        return [np.asarray(x) for x in jax.jit(run)(*map(jnp.asarray, arrays))]


def with_torchs_gradients(function: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    torch = pytest.importorskip("torch", reason="torch is not installed; `make peers` adds it")
    inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    output = function(*inputs)
    output.backward(torch.from_numpy(normal(*output.shape, seed=9)))
    return [output.detach().numpy(), *(x.grad.numpy() for x in inputs)]


def assert_all_near(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Equal up to the order in which float64 adds up."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)
