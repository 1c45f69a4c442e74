"""What core offers by name and a part above it does: that part registers itself here.

core imports nothing from above. `kuai.hybrid` registers how blocks and transforms are compiled,
`kuai.show` how they are displayed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kuai.core.context import context


@dataclass
class Extensions:
    """The registered parts.

    Attributes:
        make_trace: gives what an abstract run records in, so that it takes all branches.
        compile_block: block → a callable of (inputs, keywords) that runs the block compiled.
        compile_function: (function, name) → it, compiled by itself where that can be.
        compile_transform: transform of a block → a callable that runs it compiled.
        explain: block → what was compiled of it, and why.
        summarize: (block, inputs) → an object that prints as a table.
        to_html: block → HTML for notebooks.
        automatic: whether outermost calls compile by themselves.
        to_treescope: (block, path, renderer of what is inside) → what treescope shows.
        load_foreign: (block, path, options of `Block.load`) → what it returns, of any file.
        save_foreign: (block, path, options of `Block.save`): writes another system's file.
    """

    make_trace: Callable[[], Any] | None = None
    compile_block: Callable[..., Any] | None = None
    compile_function: Callable[..., Any] | None = None
    compile_transform: Callable[..., Any] | None = None
    explain: Callable[..., Any] | None = None
    summarize: Callable[..., Any] | None = None
    to_html: Callable[..., Any] | None = None
    automatic: bool = True
    to_treescope: Callable[..., Any] | None = None
    load_foreign: Callable[..., Any] | None = None
    save_foreign: Callable[..., Any] | None = None


registered = Extensions()


def new_trace() -> Any:
    """What a trace records in, so that it takes all branches; None without `kuai.hybrid`."""
    return None if registered.make_trace is None else registered.make_trace()


def compiles_by_itself() -> bool:
    """Whether a call made here is one that kuai may compile unasked: the outermost."""
    return (
        registered.automatic
        and registered.compile_function is not None
        and context.scope is None
        and not context.stack
        and not context.inline
    )


class Automatic:
    """A function that is compiled from the second call of a signature on, where it can be.

    Args:
        function: of blocks and arrays.
        name: for messages.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self.compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not compiles_by_itself():
            return self._function(*args, **kwargs)
        if self.compiled is None:
            compile_function = registered.compile_function
            assert compile_function is not None  # noqa: S101  # compiles_by_itself says so
            self.compiled = compile_function(self._function, self._name)
        return self.compiled(*args, **kwargs)


def auto_hybridize(active: bool = True) -> None:
    """Set whether blocks and transforms compile by themselves, from the second call on.

    A block that was told `hybridize()` or `hybridize(False)` does as it was told.

    Args:
        active: False runs all other blocks as plain Python.

    Example:
        >>> kuai.auto_hybridize(False)
        >>> kuai.auto_hybridize()
    """
    registered.automatic = bool(active)


def run_transform(block: Any, transform: Callable[..., Any], inputs: Any, keywords: Any) -> Any:
    """`transform(block, *inputs)`, compiled where the block is hybridized."""
    compile_transform = registered.compile_transform
    by_itself = block._kuai.hybrid == "auto" and compiles_by_itself()
    if compile_transform is None or context.inline or not (by_itself or block.hybridized):
        return transform(block, *inputs, **keywords)
    return compile_transform(transform, by_itself)(block, *inputs, **keywords)
