"""JAX's cache of compiled programs, kept in the user's own folder: a second run starts at once.

What is read from it is run. So the folder is the user's, and nobody else may write to it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import jax

from kuai.cli.command import log


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
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def default_folder() -> Path:
    """Where the system keeps what can be made again."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "kuai" / "compiled"


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
