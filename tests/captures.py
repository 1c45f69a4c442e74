"""Ways in which a forward reads a number from outside itself, and how that number changes.

Each entry makes a function of an array, a block whose forward it may need, and a change.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import kuai
from kuai import nn

factor = 2.0  # the global that some of them read


class Capture(NamedTuple):
    """A function that gives twice its input, and three times after the change."""

    forward: Callable[[Any], Any]
    change: Callable[[], Any]
    blocks: tuple[Any, ...] = ()


MAKERS: dict[str, Callable[[], Capture]] = {}


def capture(make):
    """Add a way, under its own name."""
    MAKERS[make.__name__.strip("_")] = make
    return make


def set_factor(value):
    globals()["factor"] = value


class Thing:
    """A plain object."""

    def __init__(self, value=2.0):
        self.value = value


class Holder(kuai.Block):
    """A block with a value of whatever kind."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return x * self.value


# ---- the twelve kinds that every setting and caller is tried on


@capture
def global_():
    set_factor(2.0)
    return Capture(lambda x: x * factor, lambda: set_factor(3.0))


@capture
def closure_cell():
    value = 2.0

    def change():
        nonlocal value
        value = 3.0

    return Capture(lambda x: x * value, change)


@capture
def default():
    def scaled(x, values=[2.0]):  # noqa: B006  # that it can change is the point
        return x * values[0]

    return Capture(lambda x: scaled(x), lambda: scaled.__defaults__[0].__setitem__(0, 3.0))


@capture
def attribute_of_block():
    block = Holder(2.0)
    return Capture(lambda x: block(x), lambda: setattr(block, "value", 3.0), (block,))


@capture
def attribute_of_sub_block():
    block = nn.Sequential(nn.Sequential(Holder(2.0)))
    return Capture(lambda x: block(x), lambda: setattr(block[0][0], "value", 3.0), (block,))


@capture
def attribute_of_plain_object():
    thing = Thing()
    return Capture(lambda x: x * thing.value, lambda: setattr(thing, "value", 3.0))


@capture
def item_of_list_or_dict():
    table = {"deep": [1.0, {"value": 2.0}]}
    return Capture(
        lambda x: x * table["deep"][1]["value"],
        lambda: table["deep"][1].__setitem__("value", 3.0),
    )


@capture
def class_attribute():
    class Own(Thing):
        value = 2.0

        def __init__(self):
            """Without a value of its own."""

    thing = Own()
    return Capture(lambda x: x * thing.value, lambda: setattr(Own, "value", 3.0))


@capture
def hook():
    block = Holder(2.0)
    return Capture(
        lambda x: block(x),
        lambda: block.register_forward_hook(lambda _, inputs, out: out + inputs[0]),
        (block,),
    )


@capture
def mode():
    class ByMode(kuai.Block):
        def forward(self, x):
            return x * (3.0 if kuai.is_training() else 2.0)

    block = ByMode().eval()
    return Capture(lambda x: block(x), lambda: block.train(), (block,))


@capture
def replaced_child():
    block = nn.Sequential(Holder(2.0))
    return Capture(lambda x: block(x), lambda: block.replace("0", Holder(3.0)), (block,))


@capture
def tied_parameter():
    block, other = (Holder(kuai.Parameter(jnp.array(value))) for value in (2.0, 3.0))
    change = lambda: setattr(block, "value", other.params.value)  # noqa: E731  # as the others
    return Capture(lambda x: block(x), change, (block, other))


TWELVE = tuple(MAKERS)

# ---- further kinds


@capture
def module_attribute():
    module = types.ModuleType("settings")
    module.value = 2.0
    return Capture(lambda x: x * module.value, lambda: setattr(module, "value", 3.0))


@capture
def imported_inside():
    module = sys.modules["kuai_test_settings"] = types.ModuleType("kuai_test_settings")
    module.value = 2.0

    def forward(x):
        from kuai_test_settings import value  # type: ignore[import-not-found]

        return x * value

    return Capture(forward, lambda: setattr(module, "value", 3.0))


@capture
def dict_on_a_plain_object():
    thing = Thing({"deep": {"value": 2.0}})
    return Capture(
        lambda x: x * thing.value["deep"]["value"],
        lambda: thing.value["deep"].__setitem__("value", 3.0),
    )


@capture
def class_attribute_of_a_mixin():
    class Mixin:
        value = 2.0

    class Net(Mixin, kuai.Block):
        def forward(self, x):
            return x * self.value

    block = Net()
    return Capture(lambda x: block(x), lambda: setattr(Mixin, "value", 3.0), (block,))


@capture
def class_attribute_put_in_front():
    class Base:
        value = 2.0

    class Derived(Base):
        pass

    thing = Derived()
    return Capture(lambda x: x * thing.value, lambda: setattr(Derived, "value", 3.0))


@capture
def default_of_a_method():
    class Net(kuai.Block):
        def forward(self, x, values=[2.0]):  # noqa: B006  # that it can change is the point
            return x * values[0]

    block = Net()
    change = Net.forward.__defaults__[0].__setitem__
    return Capture(lambda x: block(x), lambda: change(0, 3.0), (block,))


@capture
def defaults_replaced():
    def scaled(x, value=2.0):
        return x * value

    return Capture(lambda x: scaled(x), lambda: setattr(scaled, "__defaults__", (3.0,)))


@capture
def code_replaced():
    def scaled(x):
        return x * 2.0

    def other(x):
        return x * 3.0

    change = lambda: setattr(scaled, "__code__", other.__code__)  # noqa: E731  # as the others
    return Capture(lambda x: scaled(x), change)


@capture
def attribute_of_a_function():
    def scaled(x):
        return x * scaled.value

    scaled.value = 2.0
    return Capture(lambda x: scaled(x), lambda: setattr(scaled, "value", 3.0))


@capture
def numpy_array_in_place():
    array = np.array([2.0], np.float32)
    return Capture(lambda x: x * array, lambda: array.__setitem__(0, 3.0))


@capture
def buffer_in_place():
    buffer = bytearray([2])
    return Capture(lambda x: x * buffer[0], lambda: buffer.__setitem__(0, 3))


@capture
def function_replaced_in_a_module():
    module = types.ModuleType("tools")
    module.scale = lambda x: x * 2.0
    change = lambda: setattr(module, "scale", lambda x: x * 3.0)  # noqa: E731  # as the others
    return Capture(lambda x: module.scale(x), change)


@capture
def method_replaced():
    class Own(Thing):
        def scale(self, x):
            return x * 2.0

    thing = Own()
    return Capture(lambda x: thing.scale(x), lambda: setattr(Own, "scale", lambda _, x: x * 3.0))


@capture
def method_of_super_replaced():
    class Base:
        def scale(self, x):
            return x * 2.0

    class Own(Base):
        def scale(self, x):
            return super().scale(x)

    thing = Own()
    return Capture(lambda x: thing.scale(x), lambda: setattr(Base, "scale", lambda _, x: x * 3.0))


@capture
def method_replaced_on_the_instance():
    class Net(kuai.Block):
        def scale(self, x):
            return x * 2.0

        def forward(self, x):
            return self.scale(x)

    block = Net()
    return Capture(lambda x: block(x), lambda: setattr(block, "scale", lambda x: x * 3.0), (block,))


@capture
def property_that_reads_a_global():
    set_factor(2.0)

    class Own(Thing):
        @property
        def factor(self):
            return factor

    thing = Own()
    return Capture(lambda x: x * thing.factor, lambda: set_factor(3.0))
