"""Valid files of every format that kuai reads, to be damaged."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from kuai.files import write_arrays

GOLDENS = Path(__file__).parents[1] / "goldens" / "interop"
ARRAYS = {
    "first.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "first.half": np.ones((2, 2), jnp.bfloat16),
    "mask": np.array([True, False]),
    "count": np.array(3, np.int8),
}


class Seed(NamedTuple):
    """Files that are read together; the first is the one that `read` is given."""

    files: dict[str, bytes]

    @property
    def main(self) -> str:
        return next(iter(self.files))


def seeds(scratch: Path) -> dict[str, list[Seed]]:
    """Format → its seeds.

    Args:
        scratch: a folder to write in; nothing in it is needed afterwards.
    """
    return {
        "torch": _goldens("torch", "mlp.pt", "convbn.pt", "checkpoint.pt", "views.pt", "dtypes.pt"),
        "torch-legacy": _goldens("torch", "mlp_legacy.pt", "views_legacy.pt"),
        "safetensors": [_own(scratch), *_plain_safetensors()],
        "index": [_index()],
        "npz": _numpy(scratch),
        "npy": _npy(scratch),
        "gluon": [
            *_goldens("gluon", "mlp.params", "dtypes.params", "sparse.params", "np_shape.params"),
            *_goldens("gluon", "list.params", "convbn_export-0000.params"),
            Seed({"legacy": legacy_params()}),
            Seed({"v1": legacy_params(version=1)}),
        ],
        "keras": _goldens("keras", "mlp.keras", "convbn.keras"),
        "h5": _goldens("keras", "mlp.weights.h5", "lstm.weights.h5", "convbn.h5"),
        "tensorflow": [
            _together(GOLDENS / "tensorflow" / "mlp", "ckpt-1.index", "ckpt-1.data-00000-of-00001")
        ],
        "pdparams": _goldens(
            "paddle", "mlp.pdparams", "mlp_protocol2.pdparams", "nested.pdparams",
            "lstm.pdparams", "mlp_bfloat16.pdparams",
        ),
        "pdiparams": [
            _together(GOLDENS / "paddle", "mlp_program.pdiparams", "mlp_program.json"),
            _together(GOLDENS / "paddle", "lstm_program.pdiparams", "lstm_program.json"),
            _together(GOLDENS / "paddle_old", "mlp_program.pdiparams", "mlp_program.pdmodel"),
        ],
    }  # fmt: skip


def _goldens(system: str, *names: str) -> list[Seed]:
    return [_together(GOLDENS / system, name) for name in names]


def _together(folder: Path, *names: str) -> Seed:
    return Seed({name: (folder / name).read_bytes() for name in names})


def _own(scratch: Path) -> Seed:
    ties = {"kuai.aliases": json.dumps({"second": "first"})}
    write_arrays(scratch / "own.safetensors", ARRAYS, ties)
    return _together(scratch, "own.safetensors")


def _plain_safetensors() -> list[Seed]:
    return [Seed({"plain.safetensors": plain_safetensors({"a": (2, 3), "b.c": (4,)})})]


def plain_safetensors(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """A file without kuai's checksums, so that damage reaches what stands behind them."""
    header, data = {}, b""
    for name, shape in shapes.items():
        values = np.arange(np.prod(shape), dtype=np.float32).tobytes()
        offsets = [len(data), len(data) + len(values)]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": offsets}
        data += values
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def _index() -> Seed:
    places = {"a": "1.safetensors", "b.c": "1.safetensors", "d": "2.safetensors"}
    content = {"metadata": {"total_size": 48}, "weight_map": places}
    return Seed(
        {
            "model.safetensors.index.json": json.dumps(content).encode(),
            "1.safetensors": plain_safetensors({"a": (2, 3), "b.c": (4,)}),
            "2.safetensors": plain_safetensors({"d": (2,)}),
        }
    )


def _numpy(scratch: Path) -> list[Seed]:
    arrays = {name: a for name, a in ARRAYS.items() if a.dtype != jnp.bfloat16}
    np.savez(scratch / "a.npz", **arrays)  # type: ignore[arg-type]
    np.savez_compressed(scratch / "b.npz", **arrays)  # type: ignore[arg-type]
    return [_together(scratch, "a.npz"), _together(scratch, "b.npz")]


def _npy(scratch: Path) -> list[Seed]:
    np.save(scratch / "a.npy", np.asfortranarray(ARRAYS["first.weight"]))
    np.save(scratch / "b.npy", ARRAYS["first.weight"].astype(">f8"))
    return [_together(scratch, "a.npy"), _together(scratch, "b.npy")]


def legacy_params(version: int = 0) -> bytes:
    """An MXNet file as its documented layouts before 0.11 are: no release that writes them runs."""
    values = ARRAYS["first.weight"]
    sizes = struct.pack("<2I", 2, 2) + struct.pack("<I", 3)
    if version == 1:
        sizes = struct.pack("<Ii2q", 0xF993FAC8, 2, 2, 3)
    array = sizes + struct.pack("<iii", 1, 0, 0) + values.tobytes()
    name = b"arg:weight"
    head = struct.pack("<QQQ", 0x112, 0, 1)
    return head + array + struct.pack("<QQ", 1, len(name)) + name
