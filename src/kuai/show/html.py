"""A block in a notebook: a tree that opens and closes."""

from __future__ import annotations

from kuai.core.block import Block
from kuai.show.markup import escape
from kuai.show.outline import ArrayFact, Entry, outline
from kuai.show.table import place
from kuai.show.wording import shape_text

_OPEN_DEPTH = 2  # deeper levels start closed


def to_html(block: Block) -> str:
    """A block as nested `<details>`, every text escaped; `Block._repr_html_` calls this.

    Example:
        >>> kuai.show.to_html(nn.Dense(2)).count("<details")
        1
    """
    parts: list[str] = []
    depth = -1
    for entry in outline(block):
        parts.append("</details>" * (depth - entry.depth + 1))
        depth = entry.depth
        parts.append(_opened(entry))
    parts.append("</details>" * (depth + 1))
    return f'<div class="kuai-block" style="font-family:monospace">{"".join(parts)}</div>'


def _opened(entry: Entry) -> str:
    """The start of an entry; what is inside follows, and then the end."""
    shown = " open" if entry.depth < _OPEN_DEPTH and entry.children else ""
    name = f"{escape(entry.name)}: " if entry.name else ""
    return (
        f'<details{shown} style="margin-left:{1.2 if entry.depth else 0}em">'
        f"<summary>{name}<strong>{escape(_headline(entry))}</strong></summary>"
        f"{''.join(map(_array_line, entry.arrays()))}"
    )


def _headline(entry: Entry) -> str:
    if entry.shared_with is not None:
        return f"{entry.class_name} (shared with {place(entry.shared_with)})"
    return entry.class_name if entry.children else repr(entry.block)


def _array_line(array: ArrayFact) -> str:
    words = [array.kind, shape_text(array.shape), array.dtype]
    if array.kind == "parameter" and not array.trainable:
        words.append("frozen")
    if array.shared_with is not None:
        words.append(f"shared with {array.shared_with}")
    return f'<div style="margin-left:1.2em">{escape(array.name)}: {escape(" ".join(words))}</div>'
