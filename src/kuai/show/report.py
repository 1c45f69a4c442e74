"""A run on one page of HTML that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from kuai.errors import ArgumentError
from kuai.files import write_text
from kuai.show import chart, confusion
from kuai.show.diagram import to_svg
from kuai.show.markup import element, escape
from kuai.show.records import panels
from kuai.show.summary import Summary
from kuai.show.table import as_html

_PACKAGES = {"kuai": "kuai-nn", "jax": "jax", "numpy": "numpy", "optax": "optax"}

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
       color: #1b1f24; background: #ffffff; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8c959f; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #8c959f; text-align: left; }
.wide { overflow-x: auto; }
.curves { display: flex; flex-wrap: wrap; gap: 1rem; }
svg { max-width: 100%; height: auto; }
@media screen and (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117; } }
@media print {
  body { max-width: none; margin: 0; font-size: 11pt; }
  .wide { overflow: visible; }
  h2 { break-after: avoid; }
  tr, .kuai-chart { break-inside: avoid; }
}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Report:
    """What a run was, how it went, and with what it was made.

    Attributes:
        title: of the page.
        summary: of the net, from `net.summary(sample)`.
        data: facts about the data, name → value.
        records: one dict an epoch, as for `save_curve`.
        metrics: final results, name → value.
        confusion: how many samples of class i (row) were taken for class j (column).
        classes: the names of the classes; default their numbers.
        settings: what the run was started with, name → value.

    Raises:
        ArgumentError: the confusion matrix is not square, or the classes do not fit it.

    Example:
        >>> net = nn.Dense(2)
        >>> report = kuai.show.Report("Digits", net.summary(), metrics={"accuracy": 0.98})
        >>> "<td>0.98</td>" in report.html()
        True
    """

    title: str
    summary: Summary
    data: Mapping[str, Any] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    confusion: Any = None
    classes: Sequence[str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.confusion is None and self.classes is not None:
            raise ArgumentError("Report: expected a confusion matrix with classes, got none")
        if self.confusion is not None:
            confusion.check(self.confusion, self.classes)

    def html(self) -> str:
        """The page."""
        style = element("style", STYLE + chart.STYLE)
        head = (
            '<meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            f"{element('title', escape(self.title))}{style}"
        )
        body = element("main", element("h1", escape(self.title)) + "".join(self._sections()))
        page = element("html", element("head", head) + element("body", body), lang="en")
        return f"<!DOCTYPE html>\n{page}\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page durably.

        Args:
            path: of the HTML file.

        Raises:
            FileAccessError: the folder is missing or cannot be written.
        """
        write_text(path, self.html())

    def _sections(self) -> list[str]:
        sections = [
            ("Results", facts("Final metrics", self.metrics)),
            ("Confusion matrix", self._confusion()),
            ("Training", self._curves()),
            ("Data", facts("The data", self.data)),
            ("Net", element("div", as_html(self.summary), class_="wide")),
            ("Diagram", element("div", to_svg(self.summary), class_="wide")),
            ("Settings", facts("What the run was started with", self.settings)),
            ("Versions", facts("Made with", versions())),
        ]
        return [element("section", element("h2", name) + body) for name, body in sections if body]

    def _curves(self) -> str:
        if not self.records:
            return ""
        charts = "".join(map(chart.chart, panels(self.records)))
        return element("div", charts, class_="curves")

    def _confusion(self) -> str:
        if self.confusion is None:
            return ""
        return element("div", confusion.as_html(self.confusion, self.classes), class_="wide")


def facts(caption: str, named: Mapping[str, Any]) -> str:
    """A table of names and values; nothing for no names."""
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(_value(value))}</td></tr>'
        for name, value in named.items()
    )
    return (
        f"<table><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table>" if rows else ""
    )


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def versions() -> dict[str, str]:
    """Name → version of what results depend on."""
    found = {"Python": platform.python_version(), "platform": platform.platform(terse=True)}
    for name, package in _PACKAGES.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from its sources
            found[name] = "not installed as a package"
    return found
