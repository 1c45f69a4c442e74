"""Looking at a net and at its training: summary, picture, curve, report, notebook view.

Everything here is imported when it is first used, so that `import kuai` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kuai.core.registry import registered

if TYPE_CHECKING:
    from kuai.show.curve import save_curve
    from kuai.show.diagram import save_diagram, to_svg
    from kuai.show.html import to_html
    from kuai.show.report import Report
    from kuai.show.summary import Row, Summary, summarize

__all__ = [
    "Report",
    "Row",
    "Summary",
    "save_curve",
    "save_diagram",
    "summarize",
    "to_html",
    "to_svg",
]

_HOMES = {
    "Report": "report",
    "Row": "summary",
    "Summary": "summary",
    "save_curve": "curve",
    "save_diagram": "diagram",
    "summarize": "summary",
    "to_html": "html",
    "to_svg": "diagram",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def _summarize(block: Any, inputs: tuple[Any, ...]) -> Any:
    return __getattr__("summarize")(block, inputs)


def _to_html(block: Any) -> Any:
    return __getattr__("to_html")(block)


def _to_treescope(block: Any, path: str | None, render: Any) -> Any:
    foldable = importlib.import_module(f"{__name__}.foldable")
    return foldable.to_treescope(block, path, render)


registered.summarize = _summarize
registered.to_html = _to_html
registered.to_treescope = _to_treescope
