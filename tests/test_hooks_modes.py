"""Forward hooks, and train and eval mode."""

from __future__ import annotations

import threading

import jax.numpy as jnp
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError

ONE = jnp.asarray(1.0)


class Mode(kuai.Block):
    """Gives 1 in train mode, 0 in eval mode."""

    def forward(self, x):
        return x * float(kuai.is_training())


def test_hooks_see_and_change_inputs_and_outputs_in_order():
    net = nn.Lambda(lambda a, b: a + b)
    seen = []
    net.register_forward_pre_hook(lambda block, inputs: seen.append((block, inputs)))
    net.register_forward_pre_hook(lambda block, inputs: (inputs[0], inputs[1] * 10))
    net.register_forward_hook(lambda block, inputs, output: output + inputs[1])
    net.register_forward_hook(lambda block, inputs, output: output * 2)
    assert float(net(ONE, ONE)) == 42
    assert seen == [(net, (ONE, ONE))]


def test_one_value_from_a_hook_before_is_the_only_input():
    net = nn.Identity()
    net.register_forward_pre_hook(lambda block, inputs: inputs[0] + 1)
    assert float(net(ONE)) == 2


def test_a_handle_removes_its_hook_once():
    net = nn.Identity()

    def add(block, inputs, output):
        return output + 1

    first, second = net.register_forward_hook(add), net.register_forward_hook(add)
    assert float(net(ONE)) == 3
    first.remove()
    first.remove()
    assert float(net(ONE)) == 2
    with second:
        assert float(net(ONE)) == 2
    assert float(net(ONE)) == 1


def test_a_hook_may_remove_itself_while_it_runs():
    net = nn.Identity()
    handles = []

    def once(block, inputs, output):
        handles[0].remove()
        return output + 1

    handles.append(net.register_forward_hook(once))
    net.register_forward_hook(lambda block, inputs, output: output * 10)
    assert (float(net(ONE)), float(net(ONE))) == (20, 10)


def test_a_hook_that_raises_says_where_and_leaves_the_net_usable():
    net = nn.Sequential(nn.Identity())

    def fail(block, inputs):
        raise RuntimeError("no")

    with net[0].register_forward_pre_hook(fail), pytest.raises(RuntimeError, match="no") as caught:
        net(ONE)
    assert caught.value.__notes__ == ["in block Sequential: 0 (Identity)"]
    assert float(net(ONE)) == 1


def test_a_compiled_net_follows_its_hooks():
    net = nn.Sequential(nn.Identity()).hybridize()
    assert float(net(ONE)) == 1
    with net[0].register_forward_hook(lambda block, inputs, output: output + 5):
        assert (float(net(ONE)), float(net(ONE))) == (6, 6)
    assert float(net(ONE)) == 1


def test_hooks_run_in_gradients():
    net = nn.Identity()
    net.register_forward_hook(lambda block, inputs, output: output * 3)
    assert float(kuai.grad(lambda x: net(x), wrt=0)(ONE)) == 3


def test_a_hook_must_be_callable():
    with pytest.raises(ArgumentError, match="hook: expected a function, got int"):
        nn.Identity().register_forward_hook(3)


@pytest.mark.parametrize("hybridized", [False, True])
def test_modes_by_context_and_transform(hybridized):
    net = Mode().hybridize(hybridized)
    assert float(net(ONE)) == 0
    with kuai.train_mode():
        assert float(net(ONE)) == 1
        with kuai.eval_mode():
            assert float(net(ONE)) == 0
    assert float(net.vjp(ONE)[0]) == 1
    assert float(kuai.value_and_grad(net, wrt=0)(ONE)[0]) == 1
    with kuai.eval_mode():
        assert float(net.vjp(ONE)[0]) == 0


@pytest.mark.parametrize("hybridized", [False, True])
def test_pinned_modes(hybridized):
    inner = Mode()
    net = nn.Sequential(inner).hybridize(hybridized)
    assert net.train() is net
    assert float(net(ONE)) == 1
    inner.eval()
    assert float(net(ONE)) == 0
    net.train()
    assert (inner.mode, float(net(ONE))) == ("auto", 1)
    net.eval()
    assert float(net.vjp(ONE)[0]) == 0
    net.mode = "auto"
    assert float(net(ONE)) == 0
    assert float(net.vjp(ONE)[0]) == 1


def test_an_unknown_mode_is_refused():
    net = nn.Sequential(Mode()).train()
    with pytest.raises(ArgumentError, match=r"Sequential.mode: expected 'auto', 'train' or 'eval'"):
        net.mode = "test"
    assert net.mode == "train"


def test_modes_belong_to_their_thread():
    net, seen = Mode(), []
    with kuai.train_mode():
        thread = threading.Thread(target=lambda: seen.append(float(net(ONE))))
        thread.start()
        thread.join()
        seen.append(float(net(ONE)))
    assert seen == [0, 1]
