"""Where in the user's source something stands."""

from __future__ import annotations

import functools
import os
import sysconfig
from pathlib import Path

_HERE = str(Path(__file__).parents[1]) + os.sep
_PATHS = ("stdlib", "platstdlib", "purelib", "platlib")
_INSTALLED = {sysconfig.get_path(name) + os.sep for name in _PATHS}
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


@functools.cache
def is_library_file(filename: str) -> bool:
    """Whether code of this file is left alone: installed packages, Python itself, kuai."""
    if filename.startswith("<frozen") or "site-packages" in filename:
        return True
    return filename.startswith((_HERE, *_INSTALLED))
