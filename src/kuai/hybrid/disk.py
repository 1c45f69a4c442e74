"""Compiled programs on disk: `kuai.cache`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import jax

from kuai.errors import FileAccessError


def cache(folder: str | os.PathLike[str] | None) -> Path | None:
    """Keep compiled programs in a folder, so that the next process finds them there.

    This sets JAX's persistent compilation cache, for every program however small. A compiled
    program is code: the folder must belong to this user, and nobody else may write to it.

    Args:
        folder: made if it is missing, for this user alone; None turns the cache off.

    Returns:
        The folder, or None.

    Raises:
        FileAccessError: it cannot be made or written, it belongs to another user, or others may
            write to it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kuai.cache(folder).name == Path(folder).name
        ...     kuai.cache(None)
        True
    """
    if folder is None:
        jax.config.update("jax_compilation_cache_dir", None)
        _reset()
        return None
    path = Path(folder).expanduser().resolve()
    _checked(path)
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _reset()
    return path


def _reset() -> None:
    """JAX looks at the folder once; let it look again."""
    from jax.experimental.compilation_cache import compilation_cache

    compilation_cache.reset_cache()


def _checked(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise FileAccessError(f"kuai.cache: expected a folder to write to, got {path}: {error}") from error
    if not path.is_dir() or not os.access(path, os.W_OK):
        raise FileAccessError(f"kuai.cache: expected a folder to write to, got {path}")
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise FileAccessError(
            f"kuai.cache: {path} belongs to another user, who could put code into it; choose a "
            "folder of your own"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise FileAccessError(
            f"kuai.cache: others may write to {path}, and could put code into it; chmod go-w it, "
            "or choose another folder"
        )
