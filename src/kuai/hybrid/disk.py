"""Compiled programs on disk: `kuai.cache`.

What is read from there is run. So the folder is the user's, and nobody else may write to it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import jax

from kuai.errors import FileAccessError


def cache(folder: str | os.PathLike[str] | None) -> Path | None:
    """Keep compiled programs in a folder, so that the next process finds them there.

    This sets JAX's persistent compilation cache, for every program however small.

    Args:
        folder: made if it is missing, for this user alone; None keeps none.

    Returns:
        The folder, or None.

    Raises:
        FileAccessError: it cannot be made, belongs to another user, or others may write to it.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kept = kuai.cache(folder)
        ...     kuai.cache(None)
        >>> kept == Path(folder)
        True
    """
    if folder is None:
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    path = Path(folder).expanduser()
    problem = prepare(path)
    if problem:
        raise FileAccessError(
            f"kuai.cache: expected a folder of your own to write to, got {path}: {problem}"
        )
    jax.config.update("jax_compilation_cache_dir", str(path))
    keep_all()
    return path


def keep_all() -> None:
    """Keep every program, however small, where JAX has been told."""
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def prepare(folder: Path) -> str | None:
    """Make the folder for the user alone, or say why it cannot be trusted."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except (OSError, RuntimeError) as error:
        return f"{folder} cannot be made ({getattr(error, 'strerror', None) or error})"
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder} is no folder"
    if os.name == "nt":  # profiles are private there, and the bits below say nothing
        return None
    if found.st_uid != os.getuid():
        return f"{folder} belongs to another user, who could make this one run anything"
    if stat.S_IMODE(found.st_mode) & 0o022:
        return f"others may write to {folder} and so make you run anything; empty it, chmod 700 it"
    return None
