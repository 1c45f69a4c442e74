"""Files that are damaged, hostile or of another format: kuai's own error, and nothing else."""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from kuai.errors import FileFormatError
from kuai.files import read_arrays, write_arrays
from kuai.files.header import HEADER_LIMIT

ARRAYS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.ones((2, 2), jnp.bfloat16),
    "mask": np.array([True, False]),
    "count": np.array(3, np.int8),
}


def packed(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def one(data: bytes = bytes(4), **fields: Any) -> bytes:
    return packed({"a": entry(**fields)}, data)


NESTED_LISTS = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NESTED_OBJECTS = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
E = json.dumps(entry()).encode()

# name of the case: (the file, what the message says)
HOSTILE = {
    "empty file": (b"", "it is empty"),
    "five bytes": (b"\0\0\0\0\0", "it has only 5 bytes"),
    "length of eight bytes alone": (bytes(8), "it has only 8 bytes"),
    "header longer than the file": (
        packed({}, length=500),
        "the file has only 10: it is cut short",
    ),
    "header longer than allowed": (
        packed({}, length=HEADER_LIMIT + 1),
        "the most allowed is 1000000",
    ),
    "header of 2**64 - 1 bytes": (packed({}, length=2**64 - 1), "18446744073709551615 bytes long"),
    "header of no bytes": (packed(b"", bytes(8)), "does not begin with '{'"),
    "header that is a list": (packed(b"[]", bytes(8)), "does not begin with '{'"),
    "header that is half JSON": (packed(b'{"a":'), "its header is not JSON"),
    "header with garbage behind": (packed(b"{} x"), "its header is not JSON"),
    "header that is not UTF-8": (packed(b'{"\xff":1}'), "its header is not UTF-8 (byte 2)"),
    "header with a zero byte": (packed(b'{"a\0": 1}'), "its header is not JSON"),
    "strings that never end": (packed(b'{"' + b'\\"' * 300_000), "its header is not JSON"),
    "lists nested deep": (packed(NESTED_LISTS), "its header nests lists"),
    "lists side by side": (packed(b'{"a":[' + b"[]," * 500_000 + b"1]}"), "its header nests lists"),
    "objects nested deep": (packed(NESTED_OBJECTS), "its header is nested too deep"),
    "objects side by side": (
        packed(b'{"a":{"b":{' + b'"c":{},' * 99_999 + b'"d":{}}}}'),
        "'c' stands twice in its header",
    ),
    "a number of many digits": (packed(b'{"a":' + b"9" * 100_000 + b"}"), "its header is not JSON"),
    "not a number": (packed(b'{"a":NaN}'), "'a' in its header is neither"),
    "an entry that is null": (packed({"a": None}), "'a' in its header is neither"),
    "an entry that is text": (packed({"a": "F32"}), "holds text where an array's entry should be"),
    "an entry without shape": (packed({"a": {"dtype": "F32"}}), "'a' in its header is neither"),
    "an entry with more": (packed({"a": entry() | {"x": "y"}}), "'shape' in its header"),
    "an entry inside an entry": (packed({"a": {"b": entry()}}), "'a' in its header is neither"),
    "a name twice": (packed(b'{"a":%b,"a":%b}' % (E, E), bytes(4)), "'a' stands twice"),
    "a key twice": (packed(b'{"a":{"dtype":"F32","dtype":"F32"}}'), "'dtype' stands twice"),
    "metadata twice": (
        packed(b'{"__metadata__":{},"__metadata__":{}}'),
        "'__metadata__' stands twice",
    ),
    "metadata that is a number": (
        packed({"__metadata__": {"a": 1}}),
        "'a' in its header is neither",
    ),
    "metadata that is a list": (packed({"__metadata__": ["a"]}), "'__metadata__' in its header"),
    "metadata that is text": (packed({"__metadata__": "a"}), "holds text where"),
    "metadata that is an array": (packed({"__metadata__": entry()}, bytes(4)), "other than text"),
    "metadata within metadata": (packed({"__metadata__": {"__metadata__": {}}}), "other than text"),
    "an array within metadata": (packed({"__metadata__": {"a": entry()}}), "other than text"),
    "unknown dtype": (one(dtype="F4"), "has the dtype 'F4'; kuai reads BOOL, U8"),
    "dtype that is a list": (one(dtype=["F32"]), "has the dtype ['F32']"),
    "dtype of objects": (one(dtype="O"), "has the dtype 'O'"),
    "negative dimension": (
        one(shape=[-1]),
        "the shape [-1] is not a list of up to 64 whole numbers",
    ),
    "two negative dimensions": (one(shape=[-1, -1]), "the shape [-1, -1] is not"),
    "dimension that is a float": (one(shape=[1.0]), "the shape [1.0] is not"),
    "dimension that is a bool": (one(shape=[True]), "the shape [True] is not"),
    "dimension that is text": (one(shape=["1"]), "the shape ['1'] is not"),
    "shape that is a number": (one(shape=1), "the shape 1 is not"),
    "shape that is text": (one(shape="1"), "'data_offsets' in its header"),
    "shape of 65 dimensions": (one(shape=[1] * 65), "is not a list of up to 64"),
    "dimension of 2**63": (one(shape=[2**63]), "the shape [9223372036854775808] is not"),
    "shape whose product overflows": (one(shape=[2**32, 2**32]), "larger than any memory"),
    "empty shape that overflows": (
        one(b"", shape=[0, 2**62, 2**62], offsets=[0, 0]),
        "larger than any memory",
    ),
    "shape × itemsize that overflows": (one(shape=[2**61]), "larger than any memory"),
    "shape bomb": (one(shape=[10**12]), "needs 4000000000000 bytes, its offsets [0, 4] give it 4"),
    "negative offset": (one(offsets=[-4, 0]), "the offsets [-4, 0] are not two whole numbers"),
    "reversed offsets": (one(offsets=[4, 0]), "its offsets [4, 0] give it -4"),
    "offsets that are floats": (one(offsets=[0, 4.0]), "the offsets [0, 4.0] are not"),
    "offsets that are bools": (
        one(shape=[0], offsets=[False, False]),
        "the offsets [False, False]",
    ),
    "one offset": (one(offsets=[4]), "the offsets [4] are not two"),
    "three offsets": (one(offsets=[0, 4, 8]), "the offsets [0, 4, 8] are not two"),
    "offset of 2**64": (one(offsets=[2**64, 2**64 + 4]), "the offsets [18446744073709551616"),
    "offsets past the end": (one(shape=[100], offsets=[0, 400]), "it is cut short"),
    "fewer bytes than the shape needs": (
        one(shape=[2]),
        "needs 8 bytes, its offsets [0, 4] give it",
    ),
    "overlap": (
        packed({"a": entry(), "b": entry(shape=[2], offsets=[0, 8])}, bytes(8)),
        "the bytes of the array 'b' overlap those of another",
    ),
    "hole": (
        packed({"a": entry(), "b": entry(offsets=[8, 12])}, bytes(12)),
        "the bytes of the array 'b' leave a hole",
    ),
    "hole at the start": (one(bytes(8), offsets=[4, 8]), "the bytes of the array 'a' leave a hole"),
    "trailing bytes": (one(bytes(5)), "the file holds 5 (the rest belongs to nothing)"),
    "missing bytes": (one(bytes(3)), "the file holds 3 (it is cut short)"),
    "boolean that is neither": (one(b"\2", dtype="BOOL", offsets=[0, 1]), "holds bytes above 1"),
    "checksums that are no JSON": (
        packed({"__metadata__": {"kuai.checksums": "["}}),
        "its checksums cannot be read",
    ),
    "checksums that are a list": (
        packed({"__metadata__": {"kuai.checksums": "[]"}}),
        "its checksums cannot be read",
    ),
    "checksums nested deep": (
        packed({"__metadata__": {"kuai.checksums": "[" * 100_000}}),
        "its checksums cannot be read",
    ),
    "checksums of other arrays": (
        packed({"__metadata__": {"kuai.checksums": '{"arrays":{"b":1},"metadata":0}'}}),
        "the checksum of 'b' does not match",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_in_words(tmp_path, case):
    content, text = HOSTILE[case]
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        read_arrays(tmp_path / "a.safetensors")
    assert text in str(caught.value)
    assert str(tmp_path / "a.safetensors") in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


# The oracle of a hostile file: only the typed error; nothing imported, run, connected or opened
# besides the file itself; at most twice its size and 64 MB of memory.
ORACLE = r"""
import json, os, resource, sys
import kuai.files
from kuai.errors import FileFormatError

events, watching = [], False
WATCHED = {"import", "exec", "compile", "socket", "subprocess", "os", "open", "ctypes", "pickle",
           "shutil", "mmap"}

def hook(name, arguments):
    own_descriptor = name == "open" and isinstance(arguments[0], int)
    if watching and name.split(".")[0] in WATCHED and not own_descriptor:
        events.append((name, str(arguments[0])[:200]))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

sys.addaudithook(hook)
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
results = []
for path in sys.argv[1:]:
    before, events[:] = peak(), []
    watching = True
    try:
        kuai.files.read_arrays(path)
        outcome = "loaded"
    except FileFormatError:
        outcome = "refused"
    except BaseException as error:
        outcome = repr(error)[:200]
    watching = False
    foreign = [event for event in events if event != ("open", path)]
    results.append([path, outcome, foreign, peak() - before, os.path.getsize(path)])
print(json.dumps(results))
"""


def test_a_hostile_file_runs_nothing_opens_nothing_and_takes_little_memory(tmp_path):
    paths = [tmp_path / str(number) for number in range(len(HOSTILE))]
    for path, (content, _) in zip(paths, HOSTILE.values(), strict=True):
        path.write_bytes(content)
    ran = subprocess.run(
        [sys.executable, "-c", ORACLE, *map(str, paths)], capture_output=True, text=True, check=True
    )
    for (path, outcome, foreign, grown, size), case in zip(
        json.loads(ran.stdout), HOSTILE, strict=True
    ):
        assert outcome == "refused", (case, outcome)
        assert foreign == [], (case, foreign)
        assert grown <= 2 * size + 64 * 2**20, (case, path, grown)


# --- other formats -------------------------------------------------------------------------------


def zip_with(name: str) -> Any:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"...")

    return make


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


def npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "pickle")


FORMATS = {
    "a PyTorch checkpoint (.pt, .pth)": zip_with("archive/data.pkl"),
    "a Keras model (.keras)": zip_with("metadata.json"),
    "a zip archive": zip_with("other"),
    "a NumPy archive (.npz)": npz,
    "a NumPy array (.npy)": npy,
    "a pickle (.pt, .pdparams, .pkl)": lambda path: path.write_bytes(pickle.dumps([1], 4)),
    "an HDF5 file (.h5, Keras weights)": lambda path: path.write_bytes(
        b"\x89HDF\r\n\x1a\n" + b"\0" * 9
    ),
    "an MXNet/Gluon parameter file (.params)": lambda path: path.write_bytes(
        (0x112).to_bytes(8, "little") + bytes(40)
    ),
    "a tar archive": tar,
    "a gzip archive": lambda path: path.write_bytes(gzip.compress(b"x" * 99)),
    "a GGUF file": lambda path: path.write_bytes(b"GGUF" + bytes(30)),
    "a text file": lambda path: path.write_text("epoch,loss\n1,0.5\n"),
    "a web page": lambda path: path.write_text("<!DOCTYPE html><p>Not found"),
    "an XML document": lambda path: path.write_text("<?xml version='1.0'?>"),
    "a Git LFS pointer: run `git lfs pull`": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"
    ),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_of_another_format_is_called_by_its_name(tmp_path, kind):
    path = tmp_path / "net.safetensors"
    FORMATS[kind](path)
    with pytest.raises(FileFormatError) as caught:
        read_arrays(path)
    assert f"expected a safetensors file, but it looks like {kind}" in str(caught.value)
    assert "write the file again as .safetensors" in str(caught.value)


# --- damage --------------------------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    write_arrays(tmp_path / "whole", ARRAYS, {"note": "x"})
    return (tmp_path / "whole").read_bytes()


def outcome(path: Path, content: bytes) -> dict[str, np.ndarray] | None:
    path.write_bytes(content)
    try:
        return read_arrays(path)[0]
    except FileFormatError:
        return None


def test_a_file_cut_short_anywhere_is_refused(tmp_path, whole):
    assert all(outcome(tmp_path / "a", whole[:n]) is None for n in range(len(whole)))


def flipped(content: bytes) -> Iterator[tuple[int, bytes]]:
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            yield position, bytes(damaged)


def test_no_flipped_bit_goes_unnoticed(tmp_path, whole):
    key = whole.index(b"kuai.checksums")
    for position, damaged in flipped(whole):
        found = outcome(tmp_path / "a", damaged)
        if found is not None:  # the only way through: the word that announces checksums itself
            assert key <= position < key + len(b"kuai.checksums")
            assert all(found[name].tobytes() == array.tobytes() for name, array in ARRAYS.items())


def test_zeroed_data_under_a_whole_header_is_noticed_and_the_array_named(tmp_path, whole):
    start = whole.index(np.float32(1).tobytes() + np.float32(2).tobytes())
    (tmp_path / "a").write_bytes(whole[:start] + bytes(8) + whole[start + 8 :])
    with pytest.raises(FileFormatError, match="the checksum of 'weight' does not match its data"):
        read_arrays(tmp_path / "a")


def test_damaged_metadata_is_noticed(tmp_path, whole):
    (tmp_path / "a").write_bytes(whole.replace(b'"note":"x"', b'"note":"y"'))
    with pytest.raises(FileFormatError, match="the checksum of its metadata does not match"):
        read_arrays(tmp_path / "a")


def test_many_damaged_arrays_are_counted(tmp_path):
    write_arrays(tmp_path / "a", {f"w{i}": np.full(2, 7, np.int8) for i in range(8)})
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[:-16] + bytes(16))
    with pytest.raises(FileFormatError, match=r"'w0', 'w1', 'w2', 'w3', 'w4' .* \(and 3 more\)"):
        read_arrays(tmp_path / "a")


def test_a_file_that_shrinks_while_it_is_read_is_refused_and_kills_nobody(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_arrays(path, {"big": np.zeros(1_000_000, np.float32)})
    real = np.empty

    def shrink_then_allocate(*args: Any) -> np.ndarray:
        path.write_bytes(path.read_bytes()[:5000])
        return real(*args)

    monkeypatch.setattr(np, "empty", shrink_then_allocate)
    with pytest.raises(FileFormatError, match="was cut short while 'big' was read; read it again"):
        read_arrays(path)


def test_a_file_without_checksums_is_read(tmp_path):
    safetensors.numpy.save_file(ARRAYS, tmp_path / "a")
    assert read_arrays(tmp_path / "a")[0].keys() == ARRAYS.keys()
