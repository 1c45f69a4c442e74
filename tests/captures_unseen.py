"""Captures that no operator of converted code sees: what Python or a library reads by itself."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import operator
import types
from collections.abc import Callable

import jax

import kuai
from tests.captures import Capture, Thing

MAKERS: dict[str, Callable[[], Capture]] = {}
factor = 2.0


def capture(make):
    MAKERS[make.__name__] = make
    return make


def set_factor(value):
    globals()["factor"] = value


def change_of(thing):
    return lambda: setattr(thing, "value", 3.0)


@capture
def slots():
    class Slotted:
        __slots__ = ("value",)

    thing = Slotted()
    thing.value = 2.0
    return Capture(lambda x: x * thing.value, change_of(thing))


@capture
def attributes_that_are_computed():
    class Config:
        def __init__(self):
            self.table = {"value": 2.0}

        def __getattr__(self, name):
            return self.__dict__["table"][name]

    config = Config()
    return Capture(lambda x: x * config.value, lambda: config.table.__setitem__("value", 3.0))


@capture
def dict_with_attributes():
    class Config(dict):
        def __getattr__(self, name):
            return self[name]

    config = Config(deep=Config(value=2.0))
    return Capture(lambda x: x * config.deep.value, lambda: config.deep.update(value=3.0))


@capture
def generator():
    thing = Thing()

    def values():
        yield thing.value

    def forward(x):
        for value in values():
            x = x * value
        return x

    return Capture(forward, change_of(thing))


@capture
def function_without_source():
    names = {"thing": Thing()}
    exec("def scale(x): return x * thing.value\ndef forward(x): return scale(x)", names)  # noqa: S102  # the point
    return Capture(names["forward"], change_of(names["thing"]))


def scaled(x):
    return x * factor


@capture
def function_inside_vmap():
    set_factor(2.0)
    mapped = jax.vmap(scaled)
    return Capture(lambda x: mapped(x), lambda: set_factor(3.0))


@capture
def function_inside_grad():
    set_factor(2.0)
    gradient = jax.grad(lambda x: scaled(x * x).sum() / 2)
    return Capture(lambda x: gradient(x), lambda: set_factor(3.0))


@capture
def function_inside_a_cache():
    thing = Thing()
    value = functools.lru_cache(lambda: thing.value)

    def change():
        thing.value = 3.0
        value.cache_clear()

    return Capture(lambda x: x * value(), change)


@capture
def context_manager():
    set_factor(2.0)

    @contextlib.contextmanager
    def scale():
        yield factor

    def forward(x):
        with scale() as value:
            return x * value

    return Capture(forward, lambda: set_factor(3.0))


@capture
def constructor():
    set_factor(2.0)

    class Scale:
        def __init__(self):
            self.value = factor

    return Capture(lambda x: x * Scale().value, lambda: set_factor(3.0))


@capture
def constructor_of_a_dataclass():
    set_factor(2.0)

    @dataclasses.dataclass
    class Scale:
        value: float = 0.0

        def __post_init__(self):
            self.value = factor

    return Capture(lambda x: x * Scale().value, lambda: set_factor(3.0))


class Operators(Thing):
    """What Python calls by itself."""

    def __rmul__(self, other):
        return other * self.value

    __array_ufunc__ = None

    def __radd__(self, other):
        return other * self.value

    def __enter__(self):
        return self.value

    def __exit__(self, *_):
        return None

    def __len__(self):
        return int(self.value)

    def __bool__(self):
        return self.value == 2.0

    def __contains__(self, value):
        return value == self.value

    def __iter__(self):
        return iter([self.value])

    def __eq__(self, value):
        return value == self.value

    __hash__ = None  # type: ignore[assignment]  # it can change


def of_operators(name, forward):
    def make():
        thing = Operators()
        return Capture(functools.partial(forward, thing), change_of(thing))

    MAKERS[name] = make


def entered(thing, x):
    with thing as value:
        return x * value


def iterated(thing, x):
    for value in thing:
        x = x * value
    return x


def matched(thing, x):
    match thing:
        case Operators(value=2.0):
            return x * 2.0
    return x * 3.0


def added(thing, x):
    class Left:
        def __add__(self, other):
            return other.value

    return x * (Left() + thing)


of_operators("operator", added)
of_operators("with", entered)
of_operators("len", lambda thing, x: x * len(thing))
of_operators("bool", lambda thing, x: x * (2.0 if thing else 3.0))
of_operators("in", lambda thing, x: x * (2.0 if 2.0 in thing else 3.0))
of_operators("iteration", iterated)
of_operators("equality", lambda thing, x: x * (2.0 if thing == 2.0 else 3.0))
of_operators("match", matched)
of_operators("vars", lambda thing, x: x * vars(thing)["value"])
of_operators("attrgetter", lambda thing, x: x * operator.attrgetter("value")(thing))
of_operators("dict of attributes", lambda thing, x: x * thing.__dict__["value"])


@capture
def fields_of_a_dataclass():
    @dataclasses.dataclass
    class Config:
        value: float = 2.0

    config = Config()
    return Capture(lambda x: x * dataclasses.asdict(config)["value"], change_of(config))


@capture
def descriptor():
    class Described:
        def __init__(self):
            self.value = 2.0

        def __get__(self, owner, kind):
            return self.value

    described = Described()

    class Own:
        value = described

    thing = Own()
    return Capture(lambda x: x * thing.value, change_of(described))


@capture
def property_of_a_metaclass():
    class Meta(type):
        @property
        def value(cls):
            return cls.known

    class Own(metaclass=Meta):
        known = 2.0

    return Capture(lambda x: x * Own.value, lambda: setattr(Own, "known", 3.0))


@capture
def attribute_that_was_missing():
    thing = Thing()
    del thing.value
    return Capture(lambda x: x * getattr(thing, "value", 2.0), change_of(thing))


@capture
def attribute_asked_for():
    thing = Thing()
    del thing.value
    return Capture(lambda x: x * (3.0 if hasattr(thing, "value") else 2.0), change_of(thing))


@capture
def global_that_hides_a_builtin():
    names = globals()
    names.pop("abs", None)
    return Capture(lambda x: x * abs(-2.0), lambda: names.__setitem__("abs", lambda _: 3.0))


@capture
def globals_by_name():
    set_factor(2.0)
    return Capture(lambda x: x * globals()["factor"], lambda: set_factor(3.0))


@capture
def keywords_of_a_partial():
    multiply = functools.partial(lambda x, by: x * by, by=2.0)
    return Capture(lambda x: multiply(x), lambda: multiply.keywords.__setitem__("by", 3.0))


@capture
def last_of_a_long_list():
    values = [2.0] * 20_000
    return Capture(lambda x: x * values[-1], lambda: values.__setitem__(-1, 3.0))


@capture
def keys_that_are_tuples():
    table = {(0, 1, 2): None}

    def change():
        table.clear()
        table[0, 1, 3] = None

    return Capture(lambda x: x * next(iter(table.keys()))[2], change)


@capture
def order_of_a_dict():
    table = collections.OrderedDict(a=2.0, b=3.0)
    return Capture(lambda x: x * next(iter(table.values())), lambda: table.move_to_end("a"))


@capture
def kind_of_an_item():
    items = {1}

    def change():
        items.clear()
        items.add(1.0)

    return Capture(lambda x: x * sum(2.0 if type(i) is int else 3.0 for i in items), change)


@capture
def view_of_a_dict():
    table = {"value": 2.0}
    view = types.MappingProxyType(table)
    return Capture(lambda x: x * view["value"], lambda: table.update(value=3.0))


@capture
def dicts_of_the_standard_library():
    table = collections.UserDict(value=2.0)
    chain = collections.ChainMap({}, table)
    return Capture(lambda x: x * chain["value"], lambda: table.update(value=3.0))


@capture
def object_on_a_block_in_a_generator():
    thing = Thing()

    class Net(kuai.Block):
        def __init__(self):
            super().__init__()
            self.thing = thing

        def values(self):
            yield self.thing.value

        def forward(self, x):
            return x * sum(self.values())

    block = Net()
    return Capture(lambda x: block(x), change_of(thing), (block,))
