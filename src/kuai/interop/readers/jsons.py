"""JSON from a file that may be hostile."""

from __future__ import annotations

import json
from typing import Any

from kuai.interop.readers.source import Source

_LIMIT = 64 * 2**20


def parsed(source: Source, raw: bytes, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        FileFormatError: it is none, names a key twice, or is too long or nested too deep.
    """
    if len(raw) > _LIMIT:
        raise source.damaged(f"{what} takes {len(raw):,} bytes")
    if raw.count(b"[") + raw.count(b"{") > 1_000_000 + len(raw) // 8:
        raise source.damaged(f"{what} holds little but brackets")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise source.damaged(f"{what} gives one key twice")
        return found

    try:
        found = json.loads(raw, object_pairs_hook=once)
    except RecursionError:
        raise source.damaged(f"{what} is nested too deep") from None
    except ValueError as error:
        if type(error).__module__.startswith("kuai"):
            raise
        raise source.damaged(f"{what} is not JSON ({str(error)[:80]})") from None
    if not isinstance(found, dict):
        raise source.damaged(f"{what} is no JSON object")
    return found
