"""A forward that changes something besides State: refused when compiled, right as plain Python.

The change would happen once, while compiling. Each case is tried on its own, since what is refused
is put back as it was.
"""

from __future__ import annotations

import bisect
import collections
import contextvars
import copy
import dataclasses
import heapq
import itertools
import operator
import os
import types
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai.errors import HybridizeError, HybridizeWarning, ImpureCallError, MutationError

X = jnp.array([4.0, 5.0])


class Counter:
    """A plain object that counts in every way there is."""

    def __init__(self):
        self.n = 0
        self.items = []

    def __iadd__(self, amount):
        self.n = self.n + amount
        return self

    def __setitem__(self, _, value):
        self.n = value

    def __enter__(self):
        self.n = self.n + 1

    def __exit__(self, *_):
        return None

    @property
    def total(self):
        return self.n

    @total.setter
    def total(self, value):
        self.n = value


class Slotted:
    __slots__ = ("n",)

    def __init__(self):
        self.n = 0


class One:
    """Always the same object."""

    made = None

    def __new__(cls):
        if cls.made is None:
            cls.made = super().__new__(cls)
            cls.made.n = 0
        return cls.made


# ---- what outlives the call


def attribute(thing, x):
    thing.n = thing.n + 1
    return x * thing.n


def attribute_by_name(thing, x):
    setattr(thing, "n", thing.n + 1)  # noqa: B010  # the point
    return x * thing.n


def attributes_as_a_dict(thing, x):
    vars(thing)["n"] += 1
    return x * thing.n


def growing_list(thing, x):
    thing.items.append(1)
    return x * len(thing.items)


def operator_of_a_class(thing, x):
    thing += 1
    return x * thing.n


def setter(thing, x):
    thing.total = thing.n + 1
    return x * thing.n


def context_manager(thing, x):
    with thing:
        return x * thing.n


def only_one(_, x):
    thing = One()
    thing.n = thing.n + 1
    return x * thing.n


def rotated(things, x):
    things.rotate(1)
    return x * things[0]


def element(array, x):
    array[0] += 1
    return x * float(array[0])


def taken(iterator, x):
    return x * next(iterator)


def looped_over(iterator, x):
    for value in iterator:
        return x * value
    return x


def summed(iterator, x):
    return x * sum(itertools.islice(iterator, 2))


OUTSIDE = {
    "attribute": (attribute, Counter),
    "attribute in a slot": (attribute, Slotted),
    "attribute by name": (attribute_by_name, Counter),
    "attributes as a dict": (attributes_as_a_dict, Counter),
    "growing list": (growing_list, Counter),
    "operator of a class": (operator_of_a_class, Counter),
    "setter": (setter, Counter),
    "context manager": (context_manager, Counter),
    "an object that there is once": (only_one, lambda: setattr(One, "made", None)),
    "deque": (rotated, lambda: collections.deque([1.0, 2.0, 3.0])),
    "element of a NumPy array": (element, lambda: np.zeros(2)),
    "next": (taken, lambda: itertools.count(1)),
    "loop over an iterator": (looped_over, lambda: iter([1.0, 2.0, 3.0, 4.0, 5.0])),
    "iterator given away": (summed, lambda: itertools.count(1)),
}


def closing_over(function, outside):
    """A function of an array; what is outside is no argument of it."""
    return lambda x: function(outside, x)


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_change_that_outlives_the_call_is_refused_and_undone(case):
    function, make = OUTSIDE[case]
    run, plain = (closing_over(function, make()) for _ in range(2))
    with pytest.raises(MutationError, match=r"outlives the call|outside itself|enclosing"):
        kuai.hybrid(run)(X)
    if case != "an object that there is once":
        np.testing.assert_array_equal(run(X), plain(X))


@pytest.mark.parametrize("case", OUTSIDE)
def test_by_itself_it_stays_plain_python(case):
    function, make = OUTSIDE[case]

    class Net(kuai.Block):
        def __init__(self):
            super().__init__()
            self.run = closing_over(function, make())

        def forward(self, x):
            return self.run(x)

    expected = closing_over(function, make())
    net = Net()
    expecting = [np.asarray(expected(X)) for _ in range(3)]
    make()
    np.testing.assert_array_equal(net(X), expecting[0])
    with pytest.warns(HybridizeWarning, match="runs as plain Python"):
        np.testing.assert_array_equal(net(X), expecting[1])
    np.testing.assert_array_equal(net(X), expecting[2])


VARIABLE = contextvars.ContextVar("variable", default=2.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * float(os.environ["HOME"] != ""),
        lambda x: x * float(os.environ.get("HOME") != ""),
        lambda x: x * VARIABLE.get(),
    ],
    ids=["os.environ", "os.environ.get", "ContextVar.get"],
)
def test_what_nothing_can_guard_is_refused(function):
    with pytest.raises(ImpureCallError, match=r"test_mutations.py:\d+ .* in a compiled forward"):
        kuai.hybrid(function)(X)


# ---- what was made before a branch or loop on arrays


def looped(change):
    """Change something on every trip, and add what became of it."""

    def run(x):
        thing = change.make()
        while x.sum() > 1:
            change.step(thing)
            x = x / 2
        return x.sum() + change.read(thing)

    return run


def branched(change):
    def run(x):
        thing = change.make()
        if x.sum() > 100:
            change.step(thing)
        return x.sum() + change.read(thing)

    return run


def setting_item(thing):
    thing[0] = 1


def adding(thing):
    thing += 1


def entering(thing):
    with thing:
        pass


def counting(thing):
    thing["a"] += 1


CHANGES = {
    "deque": (collections.deque, lambda d: d.append(1), len),
    "NumPy array": (lambda: np.zeros(2), setting_item, lambda a: a[0]),
    "list by heapq": (lambda: [3, 5], lambda h: heapq.heappush(h, 1), lambda h: h[0]),
    "list by bisect": (lambda: [3, 5], lambda h: bisect.insort(h, 1), lambda h: h[0]),
    "list by operator": (lambda: [3, 5], lambda h: operator.setitem(h, 0, 1), lambda h: h[0]),
    "list by its class": (lambda: [3, 5], lambda h: list.append(h, 1), len),
    "list by map": (lambda: [3, 5], lambda h: list(map(h.append, [1])), len),
    "dict that makes its items": (lambda: collections.defaultdict(int), lambda d: d["a"], len),
    "counter": (lambda: collections.Counter(a=1), counting, lambda c: c["a"]),
    "iterator": (lambda: iter([10, 20, 30]), next, next),
    "operator of a class": (Counter, adding, lambda c: c.n),
    "item of a class": (Counter, setting_item, lambda c: c.n),
    "context manager": (Counter, entering, lambda c: c.n),
    "setter": (Counter, lambda c: setattr(c, "total", c.n + 1), lambda c: c.n),
    "attributes as a dict": (Counter, lambda c: vars(c).update(n=7), lambda c: c.n),
}


@pytest.mark.parametrize("place", [looped, branched])
@pytest.mark.parametrize("case", CHANGES)
def test_a_change_inside_a_branch_or_loop_is_refused(case, place):
    change = types.SimpleNamespace(
        **dict(zip(("make", "step", "read"), CHANGES[case], strict=True))
    )
    with pytest.raises(MutationError, match="made outside a branch or loop on arrays is changed"):
        kuai.hybrid(place(change), verify="never")(X)


@dataclasses.dataclass(slots=True)
class InSlots:
    n: int = 0


@pytest.mark.parametrize("kind", [InSlots, Counter, lambda: types.SimpleNamespace(n=0)])
def test_an_attribute_of_an_object_made_here_is_carried(kind):
    def run(x):
        thing = kind()
        while x.sum() > 1:
            thing.n = thing.n + 1
            x = x / 2
        if x.sum() > 0.6:
            thing.n += 10
        return x.sum() + thing.n

    compiled = kuai.hybrid(run)
    for factor in (0.01, 1.0, 1.5, 3.0):
        np.testing.assert_allclose(compiled(X * factor), run(X * factor), rtol=1e-6)


# ---- names of one object


@dataclasses.dataclass
class Box:
    value: object


def kept_by_both_branches(x):
    first = [x.sum()]
    second = first
    chosen = first if x.sum() > 1 else second
    chosen[0] = chosen[0] * 3
    return first[0] + second[0]


def kept_by_every_trip(x):
    first = [x.sum()]
    second = first
    while x.sum() > 1:
        first = first
        x = x / 2
    first[0] = first[0] + 5
    return first[0] + second[0]


def an_object_kept(x):
    box = Box(x.sum())
    other = box
    again = box if x.sum() > 1 else other
    again.value = again.value + 1
    return box.value + other.value


@pytest.mark.parametrize("function", [kept_by_both_branches, kept_by_every_trip, an_object_kept])
def test_one_object_stays_one_object(function):
    compiled = kuai.hybrid(function, verify="never")
    for factor in (0.1, 1.0):
        np.testing.assert_allclose(compiled(X * factor), function(X * factor), rtol=1e-6)


def chosen_among_two(x):
    first, second = [x.sum()], [x.sum() * 2]
    chosen = first if x.sum() > 1 else second
    chosen[0] = chosen[0] + 5
    return first[0] + second[0]


def maybe_replaced(x):
    first = [x.sum()]
    second = first
    if x.sum() > 1:
        first = [x.sum() * 2]
    second[0] = second[0] + 5
    return first[0]


def replaced_by_trips(x):
    first = Box(x.sum())
    second = first
    while x.sum() > 1:
        first = Box(first.value + 1)
        x = x / 2
    first.value = first.value + 5
    return second.value


def inside_another(x):
    inner = [x.sum()]
    outer = [inner, inner]
    if x.sum() > 1:
        outer = [inner, inner]
    outer[0][0] = outer[0][0] + 5
    return outer[1][0]


@pytest.mark.parametrize(
    "function", [chosen_among_two, maybe_replaced, replaced_by_trips, inside_another]
)
def test_what_was_chosen_among_several_cannot_be_changed(function):
    with pytest.raises(MutationError, match=r"chose among several.*; copy it before it is changed"):
        kuai.hybrid(function, verify="never")(X)


def test_a_copy_of_it_can():
    def run(x):
        first = [x.sum()]
        second = first
        if x.sum() > 1:
            first = [x.sum() * 2]
        first = list(first)
        first.append(x.mean())
        box = copy.copy(Box(first))
        box.value = first[0] + first[1]
        return box.value + second[0]

    compiled = kuai.hybrid(run)
    for factor in (0.01, 1.0):
        np.testing.assert_allclose(compiled(X * factor), run(X * factor), rtol=1e-6)


def test_what_is_refused_may_be_left_to_plain_python():
    def run(x):
        seen = collections.deque()
        while x.sum() > 1:
            seen.append(1)
            x = x / 2
        return x.sum() + len(seen)

    compiled = kuai.hybrid(run, fallback="eager")
    with pytest.warns(HybridizeWarning, match="a deque made outside"):
        np.testing.assert_allclose(compiled(X), run(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(compiled(X), run(X))
    with pytest.raises(HybridizeError):
        kuai.hybrid(run)(X)
