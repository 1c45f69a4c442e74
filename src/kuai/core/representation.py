"""`repr` of a block: it reads like the code that made it."""

from __future__ import annotations

import inspect
import reprlib
from typing import Any

from kuai.core.parameter import Holder
from kuai.core.tree import Node, members

WIDTH = 88
_INDENT = "  "


@reprlib.recursive_repr("...")
def represent(block: Any) -> str:
    """`Name(arguments, child=...)`, over several lines where one is too short."""
    return laid_out(type(block).__name__, block._kuai_parts() if hasattr(block, "_kuai_parts") else parts(block))


def laid_out(name: str, items: list[str]) -> str:
    line = f"{name}({', '.join(items)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    body = "".join(f"{_INDENT}{item},\n".replace("\n", f"\n{_INDENT}")[: -len(_INDENT)] for item in items)
    return f"{name}(\n{body})"


def parts(block: Any) -> list[str]:
    """The constructor's arguments as they stand now, then the children that they do not show."""
    shown, values = _arguments(block)
    children = [
        f"{name}={child!r}"
        for name, child in members(block)
        if isinstance(child, Node) and not any(child is value for value in values)
    ]
    return shown + children


def _arguments(block: Any) -> tuple[list[str], list[Any]]:
    texts: list[str] = []
    values: list[Any] = []
    positional, keywords = block._kuai.arguments
    given = iter(positional)
    named = False
    for parameter in inspect.signature(type(block).__init__).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            texts += [repr(value) for value in given]
            named = True
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        value = _value(block, parameter, next(given, parameter.empty), keywords)
        if value is parameter.empty or _is_default(value, parameter.default):
            named = True
            continue
        values.append(value)
        required = parameter.default is parameter.empty and not named
        texts.append(_text(value) if required else f"{parameter.name}={_text(value)}")
    return texts, values


def _value(block: Any, parameter: inspect.Parameter, given: Any, keywords: dict[str, Any]) -> Any:
    """The argument as the block holds it now under the same name, else as it was given."""
    stored = dict(block._kuai_stored()).get(parameter.name, parameter.empty)
    if stored is not parameter.empty and not isinstance(stored, Holder):
        return stored
    return keywords.get(parameter.name, given)


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, (int, float, str, tuple)) and value == default)


def _text(value: Any) -> str:
    if callable(value) and not isinstance(value, Node) and hasattr(value, "__name__"):
        return str(value.__name__)
    return repr(value)
