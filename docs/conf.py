"""Sphinx reads this: `make docs` writes the pages to docs/_build."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from typing import Any

project = "kuai"
author = "The kuai contributors"
copyright = "The kuai contributors"
release = version_of("kuai-nn")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
default_role = "code"  # `x` is code in our docstrings, as in Markdown

html_theme = "furo"
html_title = f"kuai {release}"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of a tuple are members too, and told once
napoleon_custom_sections = ["Formula", ("Shape", "returns_style"), ("Reference", "References")]


def escape(prose: str) -> str:
    """Take |x| for an absolute value, val_ for a name and a lone * for one.

    To reStructuredText the first two are links, and the third begins an emphasis.
    """
    return re.sub(
        r"(`[^`]*`|\*\*?[^\s*][^*]*?(?<=\S)\*\*?(?!\w))"
        r"|\||(?<=\w)_(?!\w)|(?<!\\)\*(?=\S)",
        lambda m: m[1] or "\\" + m[0],
        prose,
    )


def escape_docstring(*event: Any) -> None:
    lines = event[-1]
    in_example = False
    for i, line in enumerate(lines):
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        lines[i] = line if in_example else escape(line)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", escape_docstring, priority=600)  # after napoleon
