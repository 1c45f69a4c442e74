"""Blocks and tables in treescope, which folds and unfolds them; it asks for them by a method.

treescope calls `__treescope_repr__` of what it shows, so it is loaded already when this runs, and
kuai need not depend on it. Of treescope only its documented `rendering_parts` are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kuai.core.parameter import Holder


def to_treescope(block: Any, path: str | None, render: Callable[..., Any]) -> Any:
    """A block with what stands on it, arrays included.

    Args:
        block: to show.
        path: the code that reaches it, for treescope's copy button; None: not known.
        render: shows what is inside.
    """
    from treescope import rendering_parts as parts

    children = [
        _child(parts, render, name, value, path)
        for name, value in block._kuai_stored()
        if not name.startswith("_")
    ]
    return parts.build_foldable_tree_node_from_children(
        prefix=parts.siblings(parts.maybe_qualified_type_name(type(block)), "("),
        children=children,
        suffix=")",
        comma_separated=True,
        path=path,
    )


def _child(parts: Any, render: Callable[..., Any], name: str, value: Any, path: str | None) -> Any:
    """`name=value`, or the value alone where it has a number in place of a name."""
    here = f"[{name}]" if name.isdigit() else f".{name}"
    shown = value.read() if isinstance(value, Holder) and value.ready else value
    part = render(shown, path=None if path is None else f"{path}{here}")
    return part if name.isdigit() else parts.siblings_with_annotations(f"{name}=", part)


def text_in_treescope(name: str, text: str, path: str | None) -> Any:
    """A text of several lines that folds to a name."""
    from treescope import rendering_parts as parts

    return parts.build_custom_foldable_tree_node(
        label=parts.text(name),
        contents=parts.fold_condition(expanded=parts.indented_children([parts.text(text)])),
        path=path,
        expand_state=parts.ExpandState.EXPANDED,
    )
