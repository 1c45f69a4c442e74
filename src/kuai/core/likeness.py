"""Whether layers are equal, so that one of them may stand for all.

Blocks and holders are compared by their place in the layer, everything else by value. What is not
the very same object in all layers (a function that a factory made anew, a plain object) may change
behind kuai's back: it is listed, so that a compiled program can guard it.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kuai.core.parameter import ARRAY_TYPES, Holder, State
from kuai.core.stack import Rows, row_in
from kuai.core.tree import Node, join, same_value

_DEEPEST = 8  # objects inside one another that are compared
_COMPARED = (np.dtype, range, slice, set, frozenset)
_SETTINGS = "(mode, hooks, class)"


@dataclass
class Likeness:
    """What comparing layers found.

    Attributes:
        places: for each place of an array of its own, the holder there of every layer.
        objects: what the later layers have that is equal to the first's and not the same.
        difference: (layer, path in it, its value, the first layer's) of the first difference.
        apart: why the layers must run one by one though they are equal, or None.
    """

    places: list[tuple[Holder, ...]] = field(default_factory=list)
    objects: list[Any] = field(default_factory=list)
    difference: tuple[int, str, Any, Any] | None = None
    apart: str | None = None

    @property
    def equal(self) -> bool:
        """Whether one layer may stand for all."""
        return self.difference is None and self.apart is None


class _Form:
    """A layer taken apart: what stands where."""

    def __init__(self, layer: Node) -> None:
        self.numbers: dict[int, int] = {}  # id of a block or holder → its number
        self.holders: list[Holder] = []
        self.hooked = False
        self.items = list(self._walk(layer))

    def _walk(self, layer: Node) -> Iterator[tuple[str, Any]]:
        pending: list[tuple[str, Any]] = [("", layer)]
        while pending:
            path, value = pending.pop()
            below: list[tuple[Any, Any]] = []
            if isinstance(value, (Node, Holder)):
                known = id(value) in self.numbers
                yield path, (type(value), self.numbers.setdefault(id(value), len(self.numbers)))
                if known:
                    continue
                if isinstance(value, Holder):
                    self.holders.append(value)
                    yield from _facts(path, value)
                    continue
                yield join(path, _SETTINGS), value._kuai_settings()
                self.hooked = self.hooked or _is_hooked(value)
                below = list(value._kuai_stored())
            elif isinstance(value, dict):
                below = list(dict.items(value))
            elif isinstance(value, (list, tuple)):
                kind: Any = list if isinstance(value, list) else tuple
                below = list(enumerate(kind.__iter__(value)))
            else:
                yield path, value
                continue
            yield path, (type(value), tuple(name for name, _ in below))
            pending.extend((join(path, name), item) for name, item in reversed(below))


def _facts(path: str, holder: Holder) -> Iterator[tuple[str, Any]]:
    yield f"{path}.shape", holder.shape
    yield f"{path}.dtype", str(holder.dtype)
    yield f"{path}.trainable", holder.trainable


def _is_hooked(block: Any) -> bool:
    return bool(block._kuai.before or block._kuai.after)


def likeness(layers: list[Any], rows: Rows | None = None) -> Likeness:
    """Compare layers with the first of them.

    Args:
        layers: blocks.
        rows: what row of which stack a holder will be; default what it is now.
    """
    found = Likeness()
    known = {id(layer): _Form(layer) for layer in layers}
    first, *others = forms = [known[id(layer)] for layer in layers]
    for index, form in enumerate(others, start=1):
        if form is not first:
            found.difference = _difference(index, form, first, found.objects)
        if found.difference is not None:
            return found
    found.apart = _apart(forms)
    if found.apart is None:
        _pair(found, layers, forms, rows)
    return found


def _apart(forms: list[_Form]) -> str | None:
    if any(form.hooked for form in forms):
        return "a layer has hooks"
    holders = [holder for form in forms for holder in form.holders]
    if any(isinstance(holder, State) and not holder.persistent for holder in holders):
        return "a layer keeps an array that is not saved, whose shape may change"
    return None


def _pair(found: Likeness, layers: list[Any], forms: list[_Form], rows: Rows | None) -> None:
    """The holders of each place; those that all layers share have none."""
    owners = [frozenset(form.numbers) for form in forms]
    homes = [_homes(form, inner, rows) for form, inner in zip(forms, owners, strict=True)]
    places = [place for place in zip(*homes, strict=False) if len(set(place)) > 1]
    own = [holder for place in places for holder in place]
    if len(set(map(len, homes))) > 1 or len(set(own)) < len(own):
        found.apart = "layers share some of their arrays"
    elif len({id(layer) for layer in layers}) not in (1, len(layers)):
        found.apart = "a layer stands at some places and not at others"
    else:
        found.places = places


def _homes(form: _Form, inner: frozenset[int], rows: Rows | None) -> list[Holder]:
    """The layer's arrays: its holders, or the stacks of a `Repeat` inside it."""
    homes = []
    for home in form.holders:
        while (row := row_in(home, rows)) is not None and id(row[0].owner()) in inner:
            home = row[0]
        homes.append(home)
    return list(dict.fromkeys(homes))


def _difference(
    index: int, form: _Form, first: _Form, objects: list[Any]
) -> tuple[int, str, Any, Any] | None:
    same = functools.partial(_same, ours=form.numbers, theirs=first.numbers, objects=objects)
    for (path, a), (other, b) in zip(form.items, first.items, strict=False):
        if path != other or not same(a, b):
            return index, path, a, b
    return (index, "", None, None) if len(form.items) != len(first.items) else None


def _same(
    a: Any,
    b: Any,
    ours: dict[int, int],
    theirs: dict[int, int],
    objects: list[Any],
    depth: int = 0,
) -> bool:
    """Whether a value of one layer is what another has at the same place."""
    if same_value(a, b):
        return True
    if type(a) is not type(b) or depth > _DEEPEST:
        return False
    if isinstance(a, (Node, Holder)):
        return id(a) in ours and ours[id(a)] == theirs.get(id(b))
    if isinstance(a, _COMPARED):
        return bool(a == b)
    inside = _inside(a), _inside(b)
    if None in inside:
        return False
    if depth == 0 and not isinstance(a, tuple):
        objects.append(a)
    deeper = functools.partial(_same, ours=ours, theirs=theirs, objects=objects, depth=depth + 1)
    one, other = inside
    return len(one) == len(other) and all(map(deeper, one, other))  # type: ignore[arg-type]


def _inside(value: Any) -> list[Any] | None:
    """What makes a value equal to another of its type; None where only the same object is."""
    if isinstance(value, types.FunctionType):
        cells = [_content(cell) for cell in value.__closure__ or ()]
        return [value.__code__, value.__defaults__, value.__kwdefaults__, *cells]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, (type, types.ModuleType, *ARRAY_TYPES)):
        return None
    own = getattr(value, "__dict__", None)
    slots = {n for kind in type(value).__mro__ for n in getattr(kind, "__slots__", ())}
    if not isinstance(own, dict) or slots - {"__dict__", "__weakref__"}:
        return None
    return [*own, *own.values()]


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that has no value yet
        return None
