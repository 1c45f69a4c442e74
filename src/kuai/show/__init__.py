"""Looking at a net and at its training: summary, picture, curve, report, notebook view."""

from __future__ import annotations

from kuai.core.extensions import registered
from kuai.show.diagram import diagram, save_diagram
from kuai.show.html import to_html
from kuai.show.summary import Row, Summary, summarize

__all__ = ["Row", "Summary", "diagram", "save_diagram", "summarize", "to_html"]

registered.summarize = summarize
registered.to_html = to_html
