"""Weights that lie in several files: sharded safetensors and PyTorch files, checkpoint folders."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kuai.errors import FileFormatError, UnsupportedFileError
from kuai.interop.readers.jsons import parsed
from kuai.interop.readers.source import Source
from kuai.interop.readers.weights import Stored, Weights

Reader = Callable[[Path], Weights]
_WHOLE = ("model.safetensors", "pytorch_model.bin", "model.keras")
_PREFIX = re.compile(r'^model_checkpoint_path: "([^"/\\]+)"', re.MULTILINE)
_FILES = 10_000


def _refused(source: Source, content: dict[str, Any]) -> FileFormatError:
    """The error for a JSON file that is no index, with its weights' place if it is a program."""
    if {"nodes", "heads"} <= content.keys():
        return source.unsupported(
            "the program of an exported net of Gluon alone",
            "its weights stand in the .params beside it: read that, with this file as program=",
        )
    if {"base_code", "program"} <= content.keys():
        return source.unsupported(
            "the program of an exported net of Paddle alone",
            "its weights stand in the .pdiparams beside it: read that",
        )
    return source.damaged("it has no weight_map of names to files")


def read_index(source: Source, read: Reader) -> Weights:
    """Read the files that an index names, each name from the file that the index says.

    Args:
        source: the index.json; its files stand beside it.
        read: reads one of them.

    Raises:
        FileFormatError: the index is damaged, leads out of its folder, or a file lacks a name.
        UnsupportedFileError: it is the program of an exported net.
    """
    content = parsed(source, source.whole().read(), "the index")
    places = content.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(f, str) for f in places.values()):
        raise _refused(source, content)
    files = list(dict.fromkeys(places.values()))
    for file in files:
        if file in ("", ".", "..") or re.search(r"[/\\\0]", file) or len(files) > _FILES:
            raise source.damaged(f"the file {file[:80]!r} is not one of its folder")
    parts = {file: read(Path(source.path).with_name(file)) for file in files}
    stored: dict[str, Stored] = {}
    for name, file in places.items():
        if name not in parts[file]:
            raise source.damaged(f"{file} lacks the array {name[:80]!r}")
        stored[name] = parts[file].stored(name)
    first = next(iter(parts.values()), None)
    metadata = content.get("metadata")
    return Weights(
        source.path,
        first.system if first else "safetensors",
        source.format,
        stored,
        metadata=metadata if isinstance(metadata, dict) else {},
        is_flat=False,
    )


def weights_in(folder: Path) -> Path:
    """The file of a folder that stands for its weights.

    Raises:
        UnsupportedFileError: there is none, or more than one.
    """
    saved_model = folder / "variables" / "variables.index"
    checkpoint = folder / "checkpoint"
    if saved_model.is_file():
        return saved_model
    if checkpoint.is_file():
        with checkpoint.open(encoding="utf-8", errors="replace") as file:
            match = _PREFIX.search(file.read(4096))
        if match:
            return folder / f"{match[1]}.index"
    indices = sorted(folder.glob("*.index.json"))
    found = indices or [folder / name for name in _WHOLE if (folder / name).is_file()]
    if len(found) != 1:
        named = ", ".join(path.name for path in found)
        raise UnsupportedFileError(
            f"{folder}: expected one set of weights in this folder (an index.json, "
            f"{', '.join(_WHOLE)}, a TensorFlow checkpoint or SavedModel), got "
            f"{named or 'none'}; name the file itself"
        )
    return found[0]
