"""A small net whose gradients are known by hand, for the tests of gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from kuai import nn

X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)


def total(net, x):
    return net(x).sum()


def squared(net, x):
    return (net(x) ** 2).sum()


def small_net():
    return nn.Sequential(nn.Dense(4, "tanh"), nn.Dense(2)).initialize(sample=X)


def oracle(net, x):
    """Value and gradients of `squared` for the small net, by hand in float64."""
    w0, b0, w1, b1 = (np.asarray(p.array, np.float64) for p in net.parameters())
    x = np.asarray(x, np.float64)
    h = np.tanh(x @ w0 + b0)
    y = h @ w1 + b1
    dy = 2 * y
    dh = (dy @ w1.T) * (1 - h**2)
    return (y**2).sum(), {
        "0.weight": x.T @ dh,
        "0.bias": dh.sum(0),
        "1.weight": h.T @ dy,
        "1.bias": dy.sum(0),
    }, dh @ w0.T  # fmt: skip


def close(found, expected):
    assert found.keys() == expected.keys()
    for path in expected:
        np.testing.assert_allclose(found[path], expected[path], rtol=2e-5, atol=1e-5, err_msg=path)


def concrete(net):
    for path, holder in net.named_holders():
        assert not isinstance(holder.array, jax.core.Tracer), path
    return True
