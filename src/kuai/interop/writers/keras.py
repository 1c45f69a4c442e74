"""Writing `.weights.h5` and `.keras`, which Keras 3 loads, without Keras."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from kuai.errors import ArgumentError, MissingExtraError
from kuai.files.durable import write_with
from kuai.interop.readers.keras import CONFIG, WEIGHTS
from kuai.interop.writers.common import little_endian
from kuai.interop.writers.zips import opened_member, put

_METADATA = {
    "keras_version": "3.15.1",  # the one whose files these copy
    "date_saved": "1980-01-01@00:00:00",  # the same content shall give the same bytes
}
_DTYPES = tuple(
    np.dtype(dtype)
    for dtype in (
        np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int64, np.int32, np.int16,
        np.int8, np.uint64, np.uint32, np.uint16, np.uint8, np.bool_,
    )
)  # fmt: skip

Groups = Mapping[str, Sequence[Any]]


def write_keras_weights(
    path: str | os.PathLike[str], groups: Groups, names: Mapping[str, str] | None = None
) -> None:
    """Write a `.weights.h5` that the `load_weights` of Keras 3 takes.

    Args:
        path: the file, whose name must end in ".weights.h5" for Keras; an existing one is replaced
            only when the new one is whole on the disk.
        groups: path in the file, such as "layers/dense/vars" → the arrays of that layer in the
            order in which it makes its variables. One array is held at a time.
        names: path of a group → what its layer is called; default none. Keras writes it and does
            not read it; `kuai.interop.read` makes the names of arrays from it.

    Raises:
        MissingExtraError: h5py is not installed.
        ArgumentError: a path is none that HDF5 and Keras take.
        DtypeError: Keras cannot load such a dtype.
        FileAccessError: the file cannot be written. The old one is whole.

    Example:
        >>> import os, tempfile
        >>> from kuai.interop.writers.keras import write_keras_weights
        >>> path = os.path.join(tempfile.mkdtemp(), "net.weights.h5")
        >>> arrays = [np.ones((3, 2), np.float32), np.zeros(2, np.float32)]
        >>> write_keras_weights(
        ...     path, {"layers/dense/vars": arrays}, {"layers/dense/vars": "head"})
        >>> kuai.interop.read(path).shapes
        {'head/kernel': (3, 2), 'head/bias': (2,)}
    """
    h5py = _h5py()
    write_with(path, lambda file: _write_h5(h5py, file, path, groups, names or {}))


def write_keras_archive(
    path: str | os.PathLike[str],
    config: Mapping[str, Any],
    groups: Groups,
    names: Mapping[str, str] | None = None,
) -> None:
    """Write a `.keras` archive, which `keras.models.load_model` takes.

    Args:
        path: the file, whose name must end in ".keras" for Keras; an existing one is replaced only
            when the new one is whole on the disk. Its folder holds a second copy of the weights
            meanwhile.
        config: what config.json shall hold: how Keras builds the model.
        groups: as for `write_keras_weights`.
        names: as for `write_keras_weights`.

    Raises:
        ArgumentError: the configuration is not one that JSON can write.
        As `write_keras_weights`.

    Example:
        >>> import os, tempfile
        >>> from kuai.interop.writers.keras import write_keras_archive
        >>> path = os.path.join(tempfile.mkdtemp(), "net.keras")
        >>> config = {"class_name": "Sequential", "config": {"layers": []}}
        >>> write_keras_archive(path, config, {"layers/dense/vars": [np.ones((3, 2), np.float32)]})
        >>> kuai.interop.read(path).shapes
        {'dense/kernel': (3, 2)}
    """
    h5py = _h5py()
    told = _json(path, config)

    def write(file: BinaryIO) -> None:
        folder = Path(os.path.realpath(path)).parent
        with zipfile.ZipFile(file, "w") as archive, tempfile.TemporaryFile(dir=folder) as weights:
            put(archive, "metadata.json", json.dumps(_METADATA).encode())
            put(archive, CONFIG, told)
            _write_h5(h5py, weights, path, groups, names or {})
            nbytes = weights.seek(0, os.SEEK_END)
            weights.seek(0)
            with opened_member(archive, WEIGHTS, nbytes) as out:
                shutil.copyfileobj(weights, out, 2**20)

    write_with(path, write)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            'Keras files need h5py: pip install "kuai-nn[keras-files]"'
        ) from error
    return h5py


def _json(path: str | os.PathLike[str], config: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(config).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"{os.fspath(path)}: config: expected what JSON can write (text, numbers, lists, "
            f"dictionaries), got something else ({error}); give what Keras's to_json gives"
        ) from None


def _write_h5(
    h5py: Any,
    file: Any,
    path: str | os.PathLike[str],
    groups: Groups,
    names: Mapping[str, str],
) -> None:
    # "earliest": Keras's own choice, and what every reader knows.
    with h5py.File(file, "w", libver="earliest") as h5:
        for where, arrays in groups.items():
            group = _group(h5, path, where)
            if where in names:
                group.attrs["name"] = names[where]
            for index in range(len(arrays)):
                label = f"{where}/{index}"
                array = little_endian(path, label, arrays[index], "Keras", _DTYPES)
                _add(group, str(index), array)


def _group(h5: Any, path: str | os.PathLike[str], where: str) -> Any:
    sound = not ({"", ".", ".."} & set(where.split("/"))) and "\0" not in where
    try:
        if sound:
            return h5.create_group(where)
    except ValueError:  # it stands already, or an array stands there
        pass
    raise ArgumentError(
        f"{os.fspath(path)}: expected the path of a group such as 'layers/dense/vars', got "
        f"{where!r}; Keras 3 puts the variables of each layer in a group of its own"
    )


def _add(group: Any, name: str, array: np.ndarray) -> None:
    """HDF5 has no bfloat16: Keras writes two plain bytes, and says what they are beside them."""
    if array.dtype == ml_dtypes.bfloat16:
        group.create_dataset(name, data=array.view("V2")).attrs["dtype"] = "bfloat16"
    else:
        group.create_dataset(name, data=array)
