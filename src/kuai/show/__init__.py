"""Looking at a net and at its training: summary, picture, curve, report, notebook view."""

from __future__ import annotations

from kuai.core.extensions import registered
from kuai.show.curve import save_curve
from kuai.show.diagram import diagram, save_diagram
from kuai.show.html import to_html
from kuai.show.report import Report
from kuai.show.summary import Row, Summary, summarize

__all__ = [
    "Report",
    "Row",
    "Summary",
    "diagram",
    "save_curve",
    "save_diagram",
    "summarize",
    "to_html",
]

registered.summarize = summarize
registered.to_html = to_html
