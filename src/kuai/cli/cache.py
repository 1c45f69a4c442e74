"""JAX's cache of compiled programs, kept in the user's own folder: a second run starts at once."""

from __future__ import annotations

import os
from pathlib import Path

import jax

from kuai.cli.command import log
from kuai.hybrid.disk import keep_all, prepare


def set_up(choice: bool | str) -> None:
    """Keep compiled programs, or do not.

    Args:
        choice: False: no. True: where JAX was told already, else in the default folder. Text: the
            folder.
    """
    if choice is False:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if isinstance(choice, str) or jax.config.values["jax_compilation_cache_dir"] is None:
        folder = Path(choice).expanduser() if isinstance(choice, str) else default_folder()
        problem = prepare(folder)
        if problem:
            log.warning("compiled programs are not kept: %s", problem)
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
    keep_all()


def default_folder() -> Path:
    """Where the system keeps what can be made again."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "kuai" / "compiled"
