"""Train and eval mode: who decides, for how long, and in which thread."""

from __future__ import annotations

import threading
from collections import UserList

import jax.numpy as jnp
import pytest

import kuai
from kuai import nn


class Mode(kuai.Block):
    """Puts out whether it trains."""

    def forward(self, x):
        return x * (2.0 if kuai.is_training() else 1.0)


ONE = jnp.array(1.0)


@pytest.mark.parametrize("hybridized", [False, True])
def test_contexts_nest_and_end(hybridized):
    net = Mode().hybridize(hybridized)
    assert float(net(ONE)) == 1.0
    with kuai.train_mode():
        assert float(net(ONE)) == 2.0
        with kuai.eval_mode():
            assert float(net(ONE)) == 1.0
        assert float(net(ONE)) == 2.0
    assert float(net(ONE)) == 1.0


def test_an_exception_ends_a_mode():
    with pytest.raises(RuntimeError, match="out"), kuai.train_mode():
        raise RuntimeError("out")
    assert not kuai.is_training()


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_pinned_block_wins_over_everything(hybridized):
    net = nn.Sequential(Mode().train(), Mode().eval(), Mode()).hybridize(hybridized)
    assert float(net(ONE)) == 2.0
    with kuai.train_mode():
        assert float(net(ONE)) == 4.0
    with kuai.eval_mode():
        assert float(net(ONE)) == 2.0
    assert float(kuai.grad(net, wrt=0)(ONE)) == 4.0
    net.mode = "auto"
    assert float(net(ONE)) == 1.0


def test_transforms_train_unless_told_otherwise():
    net = Mode()
    assert float(kuai.grad(net, wrt=0)(ONE)) == 2.0
    assert float(net.vjp(ONE)[0]) == 2.0
    with kuai.eval_mode():
        assert float(kuai.grad(net, wrt=0)(ONE)) == 1.0
        assert float(net.vjp(ONE)[0]) == 1.0
    assert float(net(ONE)) == 1.0


def test_eval_mode_inside_a_differentiated_function():
    def loss(x):
        with kuai.eval_mode():
            return Mode()(x)

    assert float(kuai.grad(loss, wrt=0)(ONE)) == 1.0


def test_modes_belong_to_their_thread():
    entered, checked = threading.Event(), threading.Event()
    seen = {}

    def train():
        with kuai.train_mode():
            entered.set()
            checked.wait(timeout=60)
            seen["inside"] = kuai.is_training()

    thread = threading.Thread(target=train)
    thread.start()
    assert entered.wait(timeout=60)
    seen["outside"] = kuai.is_training()
    with kuai.eval_mode():
        checked.set()
        thread.join()
    assert seen == {"inside": True, "outside": False}


def test_a_new_thread_starts_in_eval_mode():
    seen = []
    with kuai.train_mode():
        thread = threading.Thread(target=lambda: seen.append(kuai.is_training()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_eager_runs_hybridized_blocks_as_python():
    calls = UserList()  # a library's object: kuai lets it be

    class Counting(kuai.Block):
        def forward(self, x):
            calls.append(1)
            return x

    net = Counting().hybridize()
    net(ONE)
    net(ONE)
    assert len(calls) == 1
    with kuai.eager():
        net(ONE)
        net(ONE)
    assert len(calls) == 3
