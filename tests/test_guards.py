"""What a forward reads from outside is never stale: after a change comes the new answer."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import kuai
from tests import captures, captures_unseen

X = jnp.array([[0.5], [1.5]])
SETTINGS = {"auto": None, "hybridize": True, "plain": False}


class Net(kuai.Block):
    """A block that runs a function and holds the blocks that it calls."""

    def __init__(self, made):
        super().__init__()
        self.run = made.forward
        self.used = list(made.blocks)

    def forward(self, x):
        return self.run(x)


def check(call, change):
    """Twice the input, for three calls: plain, compiled, from the cache; then three times."""
    for _ in range(3):
        np.testing.assert_array_equal(call(X), 2 * X)
    change()
    np.testing.assert_array_equal(call(X), 3 * X)
    np.testing.assert_array_equal(call(X), 3 * X)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", captures.TWELVE)
def test_a_block_sees_the_change(kind, setting):
    made = captures.MAKERS[kind]()
    net = Net(made)
    if SETTINGS[setting] is not None:
        net.hybridize(SETTINGS[setting])
    check(net, made.change)
    assert len(net.explain().compilations) == {"auto": 2, "hybridize": 2, "plain": 0}[setting]


@pytest.mark.parametrize("kind", captures.MAKERS)
def test_a_function_sees_the_change(kind):
    made = captures.MAKERS[kind]()
    check(kuai.hybrid(made.forward), made.change)


@pytest.mark.parametrize("kind", captures_unseen.MAKERS)
def test_a_function_sees_what_no_operator_sees(kind):
    made = captures_unseen.MAKERS[kind]()
    check(kuai.hybrid(made.forward), made.change)


@pytest.mark.parametrize("kind", captures.TWELVE)
def test_a_gradient_sees_the_change(kind):
    made = captures.MAKERS[kind]()
    gradient = kuai.grad(lambda x: (made.forward(x) * X).sum(), wrt=0)
    check(gradient, made.change)


@pytest.mark.parametrize("kind", captures.TWELVE)
def test_a_step_of_training_sees_the_change(kind):
    made = captures.MAKERS[kind]()
    net = Net(made)
    net.bias = kuai.Parameter(jnp.zeros(1))
    net.run = lambda x: made.forward(x) + 0 * net.bias
    trainer = kuai.Trainer(net, optax.sgd(0.0), lambda output, _: output.sum())
    losses = [float(trainer.step((X, X)).loss) for _ in range(3)]
    made.change()
    losses += [float(trainer.step((X, X)).loss) for _ in range(2)]
    assert losses == [4.0, 4.0, 4.0, 6.0, 6.0]


def test_what_was_read_from_outside_is_told():
    thing = captures.Thing()
    scaled = kuai.hybrid(lambda x: x * thing.value)
    scaled(X)
    assert "Thing.value = 2.0" in kuai.explain(scaled).signatures[0].guards
    thing.value = 3.0
    scaled(X)
    assert kuai.explain(scaled).compilations[1] == "Thing.value changed from 2.0 to 3.0"


def test_an_equal_value_is_no_change():
    thing = captures.Thing(float("2.5"))
    scaled = kuai.hybrid(lambda x: x * thing.value)
    scaled(X)
    thing.value = float("2.5")
    np.testing.assert_array_equal(scaled(X), 2.5 * X)
    assert len(kuai.explain(scaled).compilations) == 1


def test_what_a_forward_does_not_read_may_change():
    thing = captures.Thing()
    thing.steps = 0
    scaled = kuai.hybrid(lambda x: x * thing.value)
    for _ in range(3):
        scaled(X)
        thing.steps += 1
    assert len(kuai.explain(scaled).compilations) == 1


def test_going_back_finds_the_old_program():
    thing = captures.Thing()
    scaled = kuai.hybrid(lambda x: x * thing.value)
    for value in (2.0, 3.0, 2.0, 3.0):
        thing.value = value
        np.testing.assert_array_equal(scaled(X), value * X)
    assert len(kuai.explain(scaled).compilations) == 2
