"""The function that users call. The readers are imported when it is, so that kuai starts fast."""

from __future__ import annotations

import os

from kuai.interop.readers.weights import Weights


def read(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    program: str | os.PathLike[str] | None = None,
    mapped: bool = False,
) -> Weights:
    """Read the weights of Gluon, PyTorch, Keras, TensorFlow, Paddle, NumPy or safetensors.

    The system need not be installed. The format is told by the content, never by the name. Only
    headers are read; an array is read when it is asked for. Nothing in a file is ever run:
    `docs/security.md` says how.

    Args:
        path: a file; an index.json of sharded files; or a folder with one of these, a TensorFlow
            checkpoint or a SavedModel. Of a TensorFlow checkpoint, the path without `.index` does.
        key: the part of a nested checkpoint, such as "state_dict"; default all of it, with dotted
            names ("state_dict.0.weight").
        program: what stands beside the weights of an exported net and names them: `-symbol.json`
            for Gluon, `.pdmodel` or `.json` for Paddle; default none for Gluon, and for
            `.pdiparams` the one beside it.
        mapped: give memory maps in place of copies, where arrays stand in the file as they are.
            Only for files that nobody changes meanwhile: a mapped file that is cut short kills the
            process.

    Returns:
        Name → array, with the system, the aliases of tied arrays, and the file's metadata.

    Raises:
        FileFormatError: the file is damaged, or of no format that kuai reads.
        UnsafeFileError: reading it would run something out of it.
        UnsupportedFileError: it holds something that kuai does not read, which the message names.
        FileAccessError: it is missing, unreadable, or no regular file.
        ArgumentError: `key` names no part, or `key` or `program` mean nothing for this format.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
        >>> nn.Dense(2).initialize(sample=jnp.ones((1, 3))).save(path)
        >>> weights = kuai.interop.read(path)
        >>> weights.system, list(weights), weights["weight"].shape
        ('kuai', ['bias', 'weight'], (3, 2))
    """
    from kuai.interop.readers.recognise import read_any

    return read_any(path, key, program, mapped=mapped)
