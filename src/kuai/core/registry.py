"""What core offers by name and a part above it does: that part registers itself here.

core imports nothing from above. `kuai.hybrid` registers how blocks and transforms are compiled,
`kuai.show` how they are displayed, `kuai.interop` how other systems' files are loaded and written.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Registry:
    """The registered parts.

    Attributes:
        make_trace: gives what an abstract run records in, so that it takes all branches.
        compile_block: block → a callable of (inputs, keywords) that runs the block compiled.
        compile_function: (function, name) → it, compiled by itself where that can be.
        compile_transform: transform of a block → a callable that runs it compiled.
        explain: block → what was compiled of it, and why.
        summarize: (block, inputs) → an object that prints as a table.
        to_html: block → HTML for notebooks.
        to_treescope: (block, path, renderer of what is inside) → what treescope shows.
        load_foreign: (block, path, options of `Block.load`) → what it returns, of any file.
        save_foreign: (block, path, options of `Block.save`): writes another system's file.
        automatic: whether outermost calls compile by themselves.
    """

    make_trace: Callable[[], Any]
    compile_block: Callable[..., Any]
    compile_function: Callable[..., Any]
    compile_transform: Callable[..., Any]
    explain: Callable[..., Any]
    summarize: Callable[..., Any]
    to_html: Callable[..., Any]
    to_treescope: Callable[..., Any]
    load_foreign: Callable[..., Any]
    save_foreign: Callable[..., Any]
    automatic: bool = True

    def __getattr__(self, name: str) -> Any:
        """Import everything, so that it registers: somebody imported a part of kuai by itself."""
        if name not in Registry.__annotations__:
            raise AttributeError(f"nothing registers {name!r}")
        importlib.import_module("kuai.api")
        return vars(self)[name]


registered = Registry()
