"""Whatever is edited, in whatever order, the listing is that of a plain Python model."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import jax.numpy as jnp
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

import kuai

NAMES = st.sampled_from(["a", "b", "c"])
KEYS = st.sampled_from(["k", "l", 0, 7])


class Thing(kuai.Block):
    """A block without an __init__ of its own."""


class Mirror:
    """A container or block of the model: the real thing and what it should hold, by name."""

    def __init__(self, real: Any, items: Any) -> None:
        self.real = real
        self.items = items


def leaves(path: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mirror) and not isinstance(value.real, kuai.Block):
        pairs = value.items.items() if isinstance(value.items, dict) else enumerate(value.items)
        return [leaf for key, item in pairs for leaf in leaves(f"{path}.{key}", item)]
    return [] if value is None else [(path, value)]


def expected(root: Mirror) -> dict[str, Any]:
    """Path → parameter by the rules: depth first, each at its first path, attributes that are
    parameters before all others."""
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def visit(path: str, thing: Any) -> None:
        key = id(thing.real) if isinstance(thing, Mirror) else id(thing)
        if key in seen:
            return
        seen.add(key)
        if not isinstance(thing, Mirror):
            found[path] = thing
            return
        direct = {n: v for n, v in thing.items.items() if isinstance(v, kuai.Parameter)}
        for name, value in {**direct, **thing.items}.items():
            for below, leaf in leaves(name, value):
                visit(f"{path}.{below}" if path else below, leaf)

    visit("", root)
    return found


class Registration(RuleBasedStateMachine):
    """Blocks, parameters and containers are put here and there; `expected` says what is listed."""

    blocks = Bundle("blocks")
    lists = Bundle("lists")
    dicts = Bundle("dicts")

    def __init__(self) -> None:
        super().__init__()
        self.root = Mirror(Thing(), {})
        self.pool = [kuai.Parameter(jnp.zeros(1)) for _ in range(3)]

    @rule(target=blocks)
    def the_root(self):
        return self.root

    @rule(target=blocks)
    def new_block(self):
        return Mirror(Thing(), {})

    def put(self, owner: Mirror, name: str, value: Any) -> None:
        had = owner.items.get(name)
        setattr(owner.real, name, value.real if isinstance(value, Mirror) else value)
        # A name keeps its place unless it changes between arrays and everything else.
        if isinstance(had, kuai.Parameter) != isinstance(value, kuai.Parameter):
            owner.items.pop(name, None)
        owner.items[name] = value

    @rule(owner=blocks, name=NAMES, number=st.integers(0, 2))
    def put_parameter(self, owner, name, number):
        self.put(owner, name, self.pool[number])

    @rule(owner=blocks, name=NAMES, child=blocks)
    def put_block(self, owner, name, child):
        if not isinstance(owner.items.get(name), kuai.Parameter):
            self.put(owner, name, child)

    @rule(owner=blocks, name=NAMES)
    def put_none(self, owner, name):
        self.put(owner, name, None)

    @rule(target=lists, owner=blocks, name=NAMES, children=st.lists(blocks, max_size=2))
    def put_list(self, owner, name, children):
        if isinstance(owner.items.get(name), kuai.Parameter):
            return multiple()
        fresh = Mirror([child.real for child in children], list(children))
        self.put(owner, name, fresh)
        fresh.real = getattr(owner.real, name)
        return fresh

    @rule(target=dicts, owner=blocks, name=NAMES, key=KEYS, child=blocks)
    def put_dict(self, owner, name, key, child):
        if isinstance(owner.items.get(name), kuai.Parameter):
            return multiple()
        fresh = Mirror({key: child.real}, {key: child})
        self.put(owner, name, fresh)
        fresh.real = getattr(owner.real, name)
        return fresh

    @rule(owner=blocks, name=NAMES)
    def delete(self, owner, name):
        if name in owner.items:
            delattr(owner.real, name)
            del owner.items[name]

    @rule(some=lists, number=st.integers(0, 2))
    def append_parameter(self, some, number):
        some.real.append(self.pool[number])
        some.items.append(self.pool[number])

    @rule(some=lists, child=blocks, index=st.integers(-3, 3))
    def insert_block(self, some, child, index):
        some.real.insert(index, child.real)
        some.items.insert(index, child)

    @rule(some=lists, child=blocks, start=st.integers(0, 3), stop=st.integers(0, 3))
    def assign_slice(self, some, child, start, stop):
        some.real[start:stop] = [child.real, child.real]
        some.items[start:stop] = [child, child]

    @rule(some=lists, start=st.integers(0, 3))
    def delete_slice(self, some, start):
        del some.real[start:]
        del some.items[start:]

    @rule(some=lists)
    def reverse(self, some):
        some.real.reverse()
        some.items.reverse()

    @rule(some=lists)
    def pop(self, some):
        if some.items:
            some.real.pop()
            some.items.pop()

    @rule(some=dicts, key=KEYS, child=blocks)
    def update(self, some, key, child):
        if not isinstance(some.items.get(key), kuai.Parameter):
            some.real.update({key: child.real})
            some.items[key] = child

    @rule(some=dicts, key=KEYS, number=st.integers(0, 2))
    def set_parameter(self, some, key, number):
        some.real[key] = self.pool[number]
        some.items[key] = self.pool[number]

    @rule(some=dicts, key=KEYS)
    def pop_key(self, some, key):
        some.real.pop(key, None)
        some.items.pop(key, None)

    @invariant()
    def lists_what_the_model_lists(self):
        found = dict(self.root.real.named_parameters())
        assert list(found.items()) == list(expected(self.root).items())

    @invariant()
    def a_copy_lists_the_same_paths(self):
        twin = self.root.real.copy()
        assert [n for n, _ in twin.named_parameters()] == [*expected(self.root)]
        assert not {*twin.parameters()} & {*self.root.real.parameters()}


TestRegistration = Registration.TestCase
TestRegistration.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
