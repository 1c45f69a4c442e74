"""Where in the user's source something stands."""

from __future__ import annotations

from pathlib import Path

Where = tuple[str, int, str]  # file, line, name of the function


def told_place(where: Where) -> str:
    """`file:line in name: `, the file as seen from the working directory."""
    file, line, name = where
    return f"{short(file)}:{line} in {name}: "


def short(file: str) -> str:
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file
