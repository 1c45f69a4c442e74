"""The names of a file's arrays, told apart into those of layers and what is below them.

The systems join names by ".", "/" or "_"; here all are joined by ".".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kuai.errors import ArgumentError
from kuai.interop.readers.weights import Weights

_VARIABLE = re.compile(
    r"_((?:[lr]\d+_)?(?:i2h|h2h)_(?:weight|bias)|weight|bias|gamma|beta|alpha|running_mean"
    r"|running_var|moving_mean|moving_var)$"
)
# What Keras calls the layers inside of layers, and what it calls their places in a file.
_PLACES = (
    (re.compile(r"(^|\.)(?:lstm|gru|simple_rnn)_cell(?:_\d+)?\."), r"\1cell."),
    (re.compile(r"(^|\.)forward_\w+\.cell\."), r"\1forward_layer.cell."),
    (re.compile(r"(^|\.)backward_\w+\.cell\."), r"\1backward_layer.cell."),
)
_PROJECTION = re.compile(r"(?:(.*)[./])?(query|key|value|attention_output)[./](kernel|bias|\d+)")

# What Keras and TensorFlow write beside the layers of a model in training.
_TRAINING = re.compile(
    r"(?:_?optimizer/|keras_api/metrics/|save_counter$)|.*/\.OPTIMIZER_SLOT/"
    r"|(?:.*/)?seed_generator(?:_\d+)?/(?:vars/|_?state)"
)
_IN_PROGRAMS = {"w_0": "weight", "b_0": "bias", "w_1": "_mean", "w_2": "_variance"}
_CELL_OF_PROGRAM = re.compile(r"_cell_\d+$")  # has two weights and two biases


@dataclass(frozen=True)
class Named:
    """An array of a file.

    Args:
        own: its name in the file.
        shape: its shape.
        is_told: whether the user said where it goes.
    """

    own: str
    shape: tuple[int, ...]
    is_told: bool = False


class Names(dict[str, Named]):
    """Name → array, in the file's order; it does not change.

    Attributes:
        inside: what names begin with → (the rest → name).
    """

    def __init__(self, named: dict[str, Named]) -> None:
        super().__init__(named)
        self.inside: dict[str, dict[str, str]] = {}
        for name in named:
            for prefix in prefixes(name):
                rest = name[len(prefix) + 1 :] if prefix else name
                self.inside.setdefault(prefix, {})[rest] = name

    def without(self, taken: Collection[str]) -> Names:
        """Those that are left when some are taken."""
        return Names({name: array for name, array in self.items() if name not in taken})


def prefixes(name: str) -> list[str]:
    """What a name begins with up to a ".", the longest first, "" the last."""
    steps = name.split(".")[:-1]
    return [".".join(steps[:end]) for end in range(len(steps), -1, -1)]


def spellings(weights: Weights, system: str, mapping: Any) -> list[Names]:
    """Name → array in the file's order, in each of the ways in which the file names its arrays.

    Args:
        weights: the file.
        system: whose names it has.
        mapping: what the user says of them; None for nothing.

    Raises:
        ArgumentError: the mapping is none, leads two arrays to one name, or names none of them.
    """
    shapes = weights.shapes
    attention = projections(shapes) if system == "keras" else frozenset()
    told = _targets(list(shapes), mapping, attention)
    training = _of_training(weights)
    found: list[Names] = []
    for spelled in _spelled(weights, system):
        named: dict[str, Named] = {}
        for own, shape in shapes.items():
            if (own in told and told[own] is None) or (own not in told and own in training):
                continue
            name = told.get(own) or spelled(own)
            if name in named:
                raise ArgumentError(
                    f"mapping: {named[name].own!r} and {own!r} of {weights.path} both lead to "
                    f"{name!r}; give each a place of its own, or None to pass it over"
                )
            named[name] = Named(own, shape, own in told)
        if named not in found:
            found.append(Names(named))
    return found


def _of_training(weights: Weights) -> set[str]:
    """The arrays that Keras or TensorFlow keeps of a training, which no layer has."""
    if weights.system not in ("keras", "tensorflow"):
        return set()
    paths = weights.metadata.get("paths") or {}
    return {own for own in weights if _TRAINING.match(paths.get(own, own))}


def _spelled(weights: Weights, system: str) -> list[Callable[[str], str]]:
    if system == "gluon":
        return _spelled_by_gluon(list(weights))
    if system == "paddle":
        return [lambda own: own, _of_program]
    if system != "keras":
        return [lambda own: own]
    paths = weights.metadata.get("paths") or {}
    attention = projections(weights.shapes)
    return [
        lambda own: _joined(paths.get(own, own), own in attention),
        lambda own: _joined(own, own in attention),
    ]


def _of_program(own: str) -> str:
    """Paddle's static programs count a layer's arrays: those of a BatchNorm are four."""
    start, _, end = own.rpartition(".")
    if end not in _IN_PROGRAMS or _CELL_OF_PROGRAM.search(start):
        return own
    return f"{start}.{_IN_PROGRAMS[end]}"


def _spelled_by_gluon(names: list[str]) -> list[Callable[[str], str]]:
    """`dense0_weight` is a weight of dense0, but `rand_weight` may be what an attribute is called.

    Files of save_parameters have attributes, with a "." in the names of all but the outermost.
    """
    if any("." in name for name in names):
        return [lambda own: own]
    return [lambda own: _VARIABLE.sub(r".\1", own), lambda own: own]


def projections(shapes: Mapping[str, tuple[int, ...]]) -> frozenset[str]:
    """The arrays of Keras's attentions; other layers called `query` have no axis for the heads."""
    inside: dict[str, dict[tuple[str, str], str]] = {}
    for name in shapes:
        match = _PROJECTION.fullmatch(name)
        if match:
            inside.setdefault(match[1] or "", {})[match[2], match[3]] = name
    found: set[str] = set()
    for names in inside.values():
        kernels = [name for (_, variable), name in names.items() if variable in ("kernel", "0")]
        if len(kernels) == 4 and all(len(shapes[name]) == 3 for name in kernels):
            found |= set(names.values())
    return frozenset(found)


def _joined(own: str, is_projection: bool = False) -> str:
    """A name in Keras by the places below its layer."""
    name = own.replace("/vars/", "/").replace("/", ".").removeprefix("vars.")
    for pattern, place in _PLACES:
        name = pattern.sub(place, name)
    if not is_projection or "_dense." in name:
        return name
    layer, part, variable = name.rsplit(".", 2) if name.count(".") > 1 else ("", *name.split("."))
    return ".".join(filter(None, (layer, f"{part.removeprefix('attention_')}_dense", variable)))


def _targets(names: list[str], mapping: Any, attention: frozenset[str]) -> dict[str, str | None]:
    """Name in the file → name of ours, or None to pass it over, of those that the user tells of."""
    if mapping is None:
        return {}
    lead = leading(mapping, attention)
    found = {}
    for name in names:
        target = lead(name)
        if target is not None and not isinstance(target, str):
            raise ArgumentError(f"mapping: expected text or None for {name!r}, got {target!r}")
        if target != name:
            found[name] = target
    if not found:
        raise ArgumentError(unchanged("load", names))
    check_all_match("load", mapping, names)
    return found


def check_all_match(where: str, mapping: Any, names: list[str]) -> None:
    """Check that every key or pattern of a mapping matches a name; of a function nothing is known.

    Raises:
        ArgumentError: one matches none.
    """
    if callable(mapping):
        return
    beginnings = {start for name in names for start in _beginnings(name)}
    if isinstance(mapping, Mapping):
        lost = next((key for key in mapping if key not in beginnings), None)
    else:
        lost = _lost_pattern(mapping, names)
    if lost is not None:
        near = difflib.get_close_matches(str(lost), sorted(beginnings), n=3)
        more = " ..." if len(names) > 5 else ""
        hint = f"near: {', '.join(near)}" if near else f"there are {', '.join(names[:5])}{more}"
        raise ArgumentError(
            f"{where}: mapping= has {lost!r}, which matches no name; {hint}. Leave it out, or mend "
            "it"
        )


def _beginnings(name: str) -> list[str]:
    """All keys of a mapping that would match a name, the longest first."""
    separators = ("", ".", "/") if "." in name or "/" in name else ("", "_")
    return [name[:end] for end in range(len(name), 0, -1) if name[end : end + 1] in separators]


def _lost_pattern(mapping: Any, names: list[str]) -> str | None:
    """The first pattern that matches nothing, of what those before have made."""
    for pattern, replacement in mapping:
        if not any(re.search(pattern, name) for name in names):
            return getattr(pattern, "pattern", pattern)
        names = [re.sub(pattern, replacement, name) for name in names]
    return None


def unchanged(where: str, names: list[str]) -> str:
    """What to say of a mapping that changes nothing."""
    return (
        f"{where}: mapping= changes no name of the file, which has {', '.join(names[:5])}"
        f"{' ...' if len(names) > 5 else ''}; give those, or what they begin with"
    )


def leading(mapping: Any, attention: frozenset[str] = frozenset()) -> Callable[[str], Any]:
    """Name → what a user's mapping makes of it; the name itself where it says nothing.

    Args:
        mapping: as for `spellings`.
        attention: the names that are of Keras's attentions.

    Raises:
        ArgumentError: it is no mapping.
    """
    if isinstance(mapping, Mapping):
        return lambda name: _by_beginning(mapping, name, name in attention)
    if callable(mapping):
        return _noted(mapping)
    if isinstance(mapping, Iterable) and not isinstance(mapping, (str, bytes)):
        return _by_patterns(list(mapping))
    raise ArgumentError(
        "mapping: expected a dict {their name: our path}, pairs (pattern, replacement) or a "
        f"function of a name, got {mapping!r}"
    )


def _noted(mapping: Callable[[str], Any]) -> Callable[[str], Any]:
    def lead(name: str) -> Any:
        try:
            return mapping(name)
        except Exception as error:
            error.add_note(f"in mapping= of {name!r}")
            raise

    return lead


def _by_beginning(mapping: Mapping[str, Any], name: str, is_projection: bool) -> Any:
    """By the longest key that is the name, or what it begins with up to a separator."""
    key = next((start for start in _beginnings(name) if start in mapping), None)
    if key is None:
        return name
    target = mapping[key]
    if key == name or not isinstance(target, str):
        return target
    rest = _joined(_of_program(name)[len(key) + 1 :], is_projection)
    return f"{target}.{rest}" if target else rest


def _by_patterns(pairs: list[Any]) -> Callable[[str], str]:
    try:
        rules = [(re.compile(pattern), replacement) for pattern, replacement in pairs]
    except (TypeError, ValueError, re.error) as error:
        raise ArgumentError(
            f"mapping: expected pairs (regular expression, replacement), but {error}"
        ) from None

    def lead(name: str) -> str:
        for pattern, replacement in rules:
            name = pattern.sub(replacement, name)
        return name

    return lead
