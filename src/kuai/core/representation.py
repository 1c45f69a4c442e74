"""`repr` of a block: it reads like the code that made it."""

from __future__ import annotations

import inspect
import threading
from types import NoneType
from typing import Any

from kuai.core.admission import raw_items
from kuai.core.parameter import Holder
from kuai.core.reparametrized import transforms
from kuai.core.tree import Node

WIDTH = 88
_INDENT = "  "
_PLAIN = (int, float, str, tuple)
_MOST_DEEP = 40
_MOST_BLOCKS = 2000


class _Progress(threading.local):
    """What this thread has shown of the outermost block: its open blocks, and how many in all."""

    def __init__(self) -> None:
        self.open: list[int] = []
        self.shown = 0


_progress = _Progress()


def represent(block: Any) -> str:
    """`Name(arguments, child=...)`, over several lines where one is too short.

    A block inside itself, more than 40 levels or more than 2,000 blocks are cut short by "...".
    """
    name = type(block).__name__
    if not _progress.open:
        _progress.shown = 0
    _progress.shown += 1
    if id(block) in _progress.open or len(_progress.open) >= _MOST_DEEP:
        return f"{name}(...)"
    if _progress.shown > _MOST_BLOCKS:
        return "..."
    _progress.open.append(id(block))
    try:
        own = getattr(block, "_kuai_parts", None)
        return _wrapped(block, laid_out(name, own() if own else parts(block)))
    finally:
        _progress.open.pop()


def laid_out(name: str, items: list[str]) -> str:
    """`name(items)` on one line where it fits, else an item a line."""
    line = f"{name}({', '.join(items)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    lines = [f"{_INDENT}{item},".replace("\n", f"\n{_INDENT}") for item in items]
    return "\n".join([f"{name}(", *lines, ")"])


def _wrapped(block: Any, text: str) -> str:
    """The text of a block in the calls that set reparametrizations on it."""
    for name in block._kuai.derived:
        for transform in transforms(block, name):
            own = getattr(transform, "_kuai_wrapped", None)
            call, options = (
                own(block, name) if own else ("parametrize", [repr(name), repr(transform)])
            )
            text = laid_out(call, [text, *options])
    return text


def print_lines(printer: Any, text: str) -> None:
    """Give text to IPython's printer line by line, so that it can indent it."""
    for number, line in enumerate(text.split("\n")):
        if number:
            printer.break_()
        printer.text(line)


def with_counts(texts: list[str]) -> list[str]:
    """Runs of four or more equal lines told once, with their number."""
    shown: list[str] = []
    start = 0
    for index in range(1, len(texts) + 1):
        if index < len(texts) and texts[index] == texts[start]:
            continue
        run = index - start
        shown += [f"{run} × {texts[start]}"] if run > 3 else texts[start:index]
        start = index
    return shown


def parts(block: Any) -> list[str]:
    """The constructor's arguments as they stand now, then the children that they do not show."""
    shown, values = _arguments(block)
    values += [each for name in block._kuai.derived for each in transforms(block, name)]
    children = [
        f"{name}={value!r}"
        for name, value in block._kuai_stored()
        if _holds_blocks(value) and not any(value is other for other in values)
    ]
    return shown + children


def arguments(block: Any) -> list[str]:
    """The constructor's arguments as they stand now, where the children follow from them."""
    return _arguments(block)[0]


def _holds_blocks(value: Any) -> bool:
    if isinstance(value, (list, tuple, dict)):
        return any(map(_holds_blocks, raw_items(value)))
    return isinstance(value, Node)


def _arguments(block: Any) -> tuple[list[str], list[Any]]:
    """The texts of the arguments that are not at their defaults, and the values behind them."""
    positional, keywords = block._kuai.arguments
    given = iter(positional)
    texts: list[str] = []
    values: list[Any] = []
    by_name = False
    for parameter in list(inspect.signature(type(block).__init__).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            texts += [repr(value) for value in given]
        elif parameter.kind is parameter.VAR_KEYWORD:
            texts += [f"{name}={_text(value)}" for name, value in _others(block, keywords)]
        else:
            value = _value(block, parameter, next(given, parameter.empty), keywords)
            by_name = by_name or parameter.default is not parameter.empty
            if value is parameter.empty or _is_default(value, parameter.default):
                continue
            values.append(value)
            named = by_name or parameter.kind is parameter.KEYWORD_ONLY
            texts.append(f"{parameter.name}={_text(value)}" if named else _text(value))
    return texts, values


def _others(block: Any, keywords: dict[str, Any]) -> list[tuple[str, Any]]:
    """The keywords that the constructor takes by `**`."""
    named = inspect.signature(type(block).__init__).parameters
    return [(name, value) for name, value in keywords.items() if name not in named]


def _value(block: Any, parameter: inspect.Parameter, given: Any, keywords: dict[str, Any]) -> Any:
    """The argument as the block holds it now under the same name, else as it was given."""
    stored = dict(block._kuai_stored()).get(parameter.name, parameter.empty)
    if stored is parameter.empty:
        stored = _of_property(block, parameter)
    if stored is not parameter.empty and not isinstance(stored, Holder):
        return stored
    return keywords.get(parameter.name, given)


def _of_property(block: Any, parameter: inspect.Parameter) -> Any:
    """What a property of the argument's name says, if that is plain; `parameter.empty` else."""
    if not isinstance(getattr(type(block), parameter.name, None), property):
        return parameter.empty
    try:
        found = getattr(block, parameter.name)
    except Exception:  # noqa: BLE001  # a property that fails must not make repr fail
        return parameter.empty
    return found if isinstance(found, (*_PLAIN, NoneType)) else parameter.empty


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (
        isinstance(value, _PLAIN) and type(value) is type(default) and value == default
    )


def _text(value: Any) -> str:
    if callable(value) and not isinstance(value, Node) and hasattr(value, "__name__"):
        return str(value.__name__)
    return repr(value)
