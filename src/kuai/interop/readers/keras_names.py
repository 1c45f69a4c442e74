"""The names that Keras keeps out of its weight files, put together again.

A `.weights.h5` names arrays by place: `layers/dense_1/vars/0`. `layers` counts the layers of each
class, and `vars` an object's variables in the order they were made. The group of each `vars` tells
the object's own name; what its variables are called follows from its class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_PLAIN = ("kernel", "bias")
_NORM = ("gamma", "beta")
_VARIABLES: dict[str, tuple[str, ...]] = {
    "dense": _PLAIN,
    "einsum_dense": _PLAIN,
    "embedding": ("embeddings",),
    "batch_normalization": (*_NORM, "moving_mean", "moving_variance"),
    "layer_normalization": _NORM,
    "group_normalization": _NORM,
    "rms_normalization": ("scale",),
    "p_re_lu": ("alpha",),
}
_VARIABLES |= {
    f"{layer}/cell": ("kernel", "recurrent_kernel", "bias")
    for layer in (
        "lstm",
        "gru",
        "simple_rnn",
        "bidirectional/forward_layer",
        "bidirectional/backward_layer",
    )
}
_VARIABLES |= {f"conv{n}d{t}": _PLAIN for n in (1, 2, 3) for t in ("", "_transpose")}
_VARIABLES |= {f"depthwise_conv{n}d": _PLAIN for n in (1, 2)}
_VARIABLES |= {
    f"separable_conv{n}d": ("depthwise_kernel", "pointwise_kernel", "bias") for n in (1, 2)
}
_VARIABLES |= {
    f"multi_head_attention/{part}_dense": _PLAIN for part in ("query", "key", "value", "output")
}
_OPTIONAL = {"bias": "use_bias", "gamma": "scale", "beta": "center"}
_VARS = re.compile(r"^(?:(.*)/)?vars/(\d+)$")


def recovered(
    paths: list[str], own_name: Callable[[str], str | None], config: dict[str, Any] | None
) -> dict[str, str]:
    """Path in the file → name, such as "conv2d/kernel"; the path itself where names would clash.

    Args:
        paths: of the arrays.
        own_name: path of a group → the name that its object gave itself.
        config: a model's config.json; None: there is none.
    """
    classes = dict(_configs("", config)) if config else {}
    counts: dict[str, int] = {}
    for path in paths:
        match = _VARS.match(path)
        if match:
            counts[match[1] or ""] = counts.get(match[1] or "", 0) + 1
    names = {path: _name(path, own_name, classes, counts) for path in paths}
    clash = len(set(names.values())) < len(names)
    return {path: path for path in paths} if clash else names


def _name(
    path: str, own_name: Callable[[str], str | None], classes: dict[str, Any], counts: Any
) -> str:
    match = _VARS.match(path)
    if match is None or path.startswith("optimizer/"):
        return path
    group, index = match[1] or "", int(match[2])
    words = []
    steps = group.split("/") if group else []
    for depth in range(1, len(steps) + 1):
        here = "/".join(steps[:depth])
        config = classes.get(here, {})
        name = own_name(here) or config.get("name")
        if steps[depth - 1] != "layers":
            words.append(name if isinstance(name, str) and name else steps[depth - 1])
    variables = _variables(group, classes.get(group, {}), counts[group])
    words.append(variables[index] if index < len(variables) else str(index))
    return "/".join(words)


def _variables(group: str, config: dict[str, Any], count: int) -> tuple[str, ...]:
    """What the variables of an object are called; () where that is not certain."""
    steps = group.split("/")
    kinds = [re.sub(r"_\d+$", "", step) for step in steps]
    in_a_list = [index for index in range(len(steps)) if index and steps[index - 1] == "layers"]
    if not in_a_list:
        return ()
    known = _VARIABLES.get("/".join(kinds[in_a_list[-1] :]), ())
    if config:
        known = tuple(name for name in known if config.get(_OPTIONAL.get(name, ""), True))
    if len(known) - count == 1 and known[-1] == "bias":
        known = known[:-1]
    return known if len(known) == count else ()


def _configs(group: str, node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Group in the file → configuration of its layer, for the layers in lists, at any depth."""
    inner = node.get("config") if isinstance(node, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else None
    used: dict[str, int] = {}
    for layer in layers if isinstance(layers, list) else ():
        if not isinstance(layer, dict) or not isinstance(layer.get("class_name"), str):
            continue
        kind = snake_case(layer["class_name"])
        count = used.get(kind, 0)
        used[kind] = count + 1
        path = f"{group}layers/{kind}" + (f"_{count}" if count else "")
        if isinstance(layer.get("config"), dict):
            yield path, layer["config"]
        yield from _configs(f"{path}/", layer)


def snake_case(name: str) -> str:
    """Keras's own rule: MultiHeadAttention → multi_head_attention, Conv2D → conv2d."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
