"""safetensors files, read lazily; the header is checked by kuai's own reader of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kuai.files.arrays import CHECKSUMS_KEY, checksum, read_header
from kuai.interop.readers.jsons import parsed
from kuai.interop.readers.source import Source
from kuai.interop.readers.weights import Stored, Weights, contiguous

_ALIASES_KEY = "kuai.aliases"


def read_safetensors(source: Source) -> Weights:
    """Read a file of any writer.

    Of a file that kuai wrote, the further paths of tied arrays are names too, and an array that is
    read is compared with its checksum; a mapped one is not.

    Raises:
        FileFormatError: a rule of the format is broken.
    """
    with source.open() as file:
        entries, metadata = read_header(source.path, file)
        start = file.tell()
    stored = {
        name: contiguous(source.whole().part(start + e.start, e.end - e.start), e.dtype, e.shape,
                         f"the array {name[:80]!r}")
        for name, e in entries.items()
    }  # fmt: skip
    stated, tied = metadata.pop(CHECKSUMS_KEY, None), metadata.pop(_ALIASES_KEY, None)
    aliases: dict[str, str] = {}
    if stated is not None:
        sums = parsed(source, stated.encode(), "its checksums").get("arrays")
        if not isinstance(sums, dict) or sums.keys() != stored.keys():
            raise source.damaged("its checksums are not those of its arrays")
        stored = {name: _checked(source, name, array, sums[name]) for name, array in stored.items()}
        aliases = _aliases(source, tied or "{}", stored)
    stored |= {further: stored[first] for further, first in aliases.items()}
    written_by = "safetensors" if stated is None else "kuai"
    system = "torch" if metadata.get("format") == "pt" else written_by
    return Weights(source.path, system, source.format, stored, aliases, metadata)


def _checked(source: Source, name: str, stored: Stored, stated: Any) -> Stored:
    def load() -> np.ndarray:
        array = stored.load()
        if not source.mapped and checksum(array) != stated:
            raise source.damaged(f"the checksum of {name[:80]!r} does not match its data")
        return array

    return replace(stored, load=load)


def _aliases(source: Source, text: str, stored: dict[str, Stored]) -> dict[str, str]:
    """Further name → name, of arrays; the file tells them of arrays or of the blocks above."""
    found: dict[str, str] = {}
    for further, first in parsed(source, text.encode(), "the list of its ties").items():
        if not isinstance(first, str) or len(found) > 4 * len(stored):
            raise source.damaged("the list of its ties is none")
        for name in [n for n in stored if n == first or n.startswith(f"{first}.")]:
            found[further + name[len(first) :]] = name
    return {further: first for further, first in found.items() if further not in stored}
