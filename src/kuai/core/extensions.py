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
        compile_block: block → a callable of (inputs, keywords) that runs the block compiled.
        compile_transform: transform of a block → a callable that runs it compiled.
        summarize: (block, inputs) → an object that prints as a table.
        to_html: block → HTML for notebooks.
        to_treescope: (block, path, renderer of what is inside) → what treescope shows.
    """

    compile_block: Callable[..., Any] | None = None
    compile_transform: Callable[..., Any] | None = None
    summarize: Callable[..., Any] | None = None
    to_html: Callable[..., Any] | None = None
    to_treescope: Callable[..., Any] | None = None


registered = Extensions()


def run_transform(block: Any, transform: Callable[..., Any], inputs: Any, keywords: Any) -> Any:
    """`transform(block, *inputs)`, compiled where the block is hybridized."""
    compile_transform = registered.compile_transform
    if compile_transform is None or not block.hybridized or context.inline:
        return transform(block, *inputs, **keywords)
    return compile_transform(transform)(block, *inputs, **keywords)
