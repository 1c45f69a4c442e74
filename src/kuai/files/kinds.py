"""What a file that is no safetensors file looks like, by its first bytes: for the error to say."""

from __future__ import annotations

HEAD_BYTES = 512  # enough for a tar's mark, and for the first name inside a zip

_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file (.h5, Keras weights)",
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"\x12\x01\0\0\0\0\0\0": "an MXNet/Gluon parameter file (.params)",
    b"GGUF": "a GGUF file (llama.cpp)",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull` to get the file itself",
    b"<!DOCTYPE": "a web page: the download went wrong",
    b"<html": "a web page: the download went wrong",
    b"<?xml": "an XML document",
}
_MAGIC |= {bytes([0x80, n]): "a pickle (.pt, .pdparams, .pkl)" for n in range(2, 6)}

_ZIP_MEMBERS = {
    b"data.pkl": "a PyTorch checkpoint (.pt, .pth)",
    b".npy": "a NumPy archive (.npz)",
    b"metadata.json": "a Keras model (.keras)",
}


def looks_like(head: bytes) -> str | None:
    """Name the format of a file from its first `HEAD_BYTES` bytes; None: no idea.

    Example:
        >>> from kuai.files.kinds import looks_like
        >>> looks_like(b"GGUF" + bytes(20))
        'a GGUF file (llama.cpp)'
    """
    if head.startswith(b"PK\x03\x04"):
        return next((kind for mark, kind in _ZIP_MEMBERS.items() if mark in head), "a zip archive")
    if head[257:262] == b"ustar":
        return "a tar archive (an old PyTorch checkpoint?)"
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return "a text file" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    printable = sum(byte >= 32 or byte in b"\t\r\n" for byte in head)
    return bool(head) and printable == len(head) and b"\x7f" not in head
