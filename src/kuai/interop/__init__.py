"""Weights of other systems: read, loaded into nets and written, without those systems.

A reader never runs anything of a file, and takes no memory for an array before it has checked that
the file holds its bytes. `recognise` tells which reader a file needs; each format has a module.
`schemas` says what each system calls the arrays of each kind of layer, `matching` which layer of a
file is which of a net.
"""

from __future__ import annotations

from typing import Any

from kuai.core.registry import registered
from kuai.interop.nets.table import Move as Move
from kuai.interop.nets.table import Moves as Moves
from kuai.interop.readers.reading import read as read
from kuai.interop.readers.weights import Weights as Weights


def _load(block: Any, path: Any, **options: Any) -> Any:
    from kuai.interop.nets.loading import Request, load

    return load(block, path, Request(**options))


def _save(block: Any, path: Any, *, like: Any, paths: set[str], **options: Any) -> None:
    from kuai.interop.nets.alike import save_alike
    from kuai.interop.nets.saving import save

    if like is None:
        save(block, path, paths=paths, **options)
    else:
        save_alike(block, path, like, **options)


registered.load_foreign = _load
registered.save_foreign = _save
