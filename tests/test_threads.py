"""One net called from many threads, while others trace it, is right every time."""

from __future__ import annotations

import threading
from collections import UserList
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np

import kuai
from kuai import nn

THREADS = 16


def together(work, count=THREADS):
    """Run work(i) in `count` threads that start at once; their results in order."""
    gate = threading.Barrier(count)

    def start(index):
        gate.wait(timeout=60)
        return work(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


def small_net():
    """Every row of its output follows from that row of its input."""
    return nn.Sequential(nn.Dense(16, activation="relu"), nn.LayerNorm(), nn.Dense(3))


def test_calls_from_many_threads_while_others_trace():
    net = small_net()
    rows = np.asarray(kuai.random.uniform((THREADS, THREADS, 4)))
    # One plain call gives all answers: a plain call compiles each operation for each shape.
    outputs = np.asarray(net(rows.reshape(-1, 4))).reshape(THREADS, THREADS, 3)
    inputs = [rows[i, : i + 1] for i in range(THREADS)]
    answers = [outputs[i, : i + 1] for i in range(THREADS)]
    net.hybridize()

    def work(index):
        for _ in range(20):
            np.testing.assert_allclose(net(inputs[index]), answers[index], rtol=1e-5, atol=1e-6)

    together(work)


def test_one_trace_for_each_signature():
    traces = UserList()  # a library's object: kuai lets it be

    def counted(x):
        traces.append(x.shape)
        return x * 2

    net = nn.Sequential(nn.Lambda(counted)).hybridize()
    together(lambda index: net(jnp.ones((index % 4 + 1, 2))))
    assert sorted(set(traces)) == [(n, 2) for n in (1, 2, 3, 4)]
    assert (
        len(traces) <= 5
    )  # the first shape may be traced by the plain path and again by the fast one


def test_gradients_in_threads():
    net = small_net()
    function = kuai.value_and_grad(lambda net, x: jnp.square(net(x)).sum())
    # Values tell the threads apart; two shapes are enough, for each operation compiles for each.
    inputs = [kuai.random.uniform((2 + i % 2, 4)) for i in range(THREADS)]

    def work(index):
        return np.asarray(function(net, inputs[index])[1]["0.weight"])

    expected = [work(index) for index in range(THREADS)]
    assert len({want.tobytes() for want in expected}) == THREADS
    for _ in range(5):
        for got, want in zip(together(work), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_modes_are_of_the_thread():
    drop = nn.Dropout(0.5)
    x = jnp.ones((50,))

    def work(index):
        if index % 2:
            with kuai.train_mode():
                return bool((drop(x) == 0).any())
        return bool((drop(x) == 0).any())

    assert together(work) == [bool(i % 2) for i in range(THREADS)]


def test_every_thread_draws_keys_of_its_own():
    kuai.seed(0)
    net = nn.Sequential(nn.Dropout(0.5)).train().hybridize()
    net(jnp.ones((64,)))
    masks = together(lambda _: tuple(np.asarray(net(jnp.ones((64,)))).tolist()))
    assert len(set(masks)) == THREADS


def test_a_change_of_structure_beside_running_calls():
    net = nn.Sequential(nn.Lambda(lambda x: x), nn.Dense(4, init="ones")).hybridize()
    x = jnp.ones((1, 4))
    net(x)
    done = threading.Event()

    def call(_):
        seen = set()
        while not done.is_set():
            seen.add(float(net(x)[0, 0]))
        return seen

    def change(index):
        for factor in (2.0, 3.0, 4.0):
            net[0].function = lambda x, factor=factor: x * factor
            net(x)
        done.set()
        return {4.0}

    seen = set().union(*together(lambda i: change(i) if i == 0 else call(i), 4))
    assert seen <= {4.0, 8.0, 12.0, 16.0}
    assert float(net(x)[0, 0]) == 16.0


class Halving(kuai.Block):
    """A dense layer and a loop whose trips depend on the row."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(3)

    def forward(self, x):
        x = self.dense(x)
        while jnp.abs(x).sum() > 1:
            x = x / 2
        return x


def test_a_loop_in_many_threads_while_others_trace():
    callers, tracers, calls = 32, 8, 1000
    net = Halving().initialize(seed=0, sample=jnp.ones((1, 4)))
    rows = jnp.asarray(np.random.default_rng(0).normal(size=(callers, 1, 4)) * 50, jnp.float32)
    others = [jnp.full((2 + i, 4), 50.0) for i in range(tracers)]
    with kuai.eager():
        expected = [np.asarray(net(x)) for x in (*rows, *others)]
    net.hybridize()

    def work(index):
        if index >= callers:
            return [net(others[index - callers])]
        return [net(rows[index]) for _ in range(calls)][:: calls // 10]

    found = together(work, callers + tracers)
    for outputs, right in zip(found, expected, strict=True):
        for output in outputs:
            np.testing.assert_allclose(output, right, rtol=1e-5, atol=1e-7)
    told = net.explain()
    assert len(told.compilations) == 1
    assert sorted(s.arguments for s in told.signatures) == sorted(
        f"float32[{rows}, 4]" for rows in range(1, 2 + tracers)
    )


def test_values_from_outside_that_change_beside_running_calls():
    """Each call sees one of the values that there were, and the last call the last one."""
    values = {"scale": 1.0}
    scaled = kuai.hybrid(lambda x: x * values["scale"])
    x = jnp.ones(2)
    scaled(x)

    def work(index):
        if index == 0:
            for _ in range(20):
                values["scale"] = 3.0 - values["scale"]  # 1.0 or 2.0, each time another object
            return []
        return [float(scaled(x)[0]) for _ in range(200)]

    found = together(work, 8)
    assert {value for outputs in found for value in outputs} <= {1.0, 2.0}
    assert float(scaled(x)[0]) == values["scale"]
    assert len(kuai.explain(scaled).compilations) <= 2
