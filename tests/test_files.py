"""Durable files: what is written comes back, and no failure leaves a mixture of old and new."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as numpy_strategies
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from kuai.errors import (
    ArgumentError,
    DtypeError,
    FileAccessError,
    FileFormatError,
    MissingFileError,
)
from kuai.files import read_arrays, write_arrays, write_bytes, write_text
from kuai.files.header import DTYPES

OLD = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(1, np.int32)}
NEW = {"weight": np.full((64, 3), 7, np.float32), "bias": np.ones(3, jnp.bfloat16)}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(identical(a[name], b[name]) for name in a)


def identical(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


# --- round trips ---------------------------------------------------------------------------------

shapes = numpy_strategies.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def any_array(draw: st.DrawFn) -> np.ndarray:
    dtype, shape = draw(st.sampled_from(list(DTYPES.values()))), draw(shapes)
    count = int(np.prod(shape)) * dtype.itemsize
    raw = draw(st.binary(min_size=count, max_size=count))
    if dtype.kind == "b":
        raw = bytes(byte & 1 for byte in raw)
    return np.frombuffer(raw, dtype).reshape(shape)


@given(st.dictionaries(names, any_array(), max_size=4), st.dictionaries(names, names, max_size=3))
def test_what_is_written_comes_back(tmp_path_factory, arrays, metadata):
    path = tmp_path_factory.mktemp("round") / "a.safetensors"
    write_arrays(path, arrays, metadata)
    found, found_metadata = read_arrays(path)
    assert same(found, arrays)
    assert found_metadata == metadata


@given(st.dictionaries(names, any_array(), max_size=4))
def test_the_safetensors_library_reads_what_kuai_writes(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("theirs") / "a.safetensors"
    write_arrays(path, arrays, {"note": "x"})
    found = dict(safetensors.deserialize(path.read_bytes()))
    assert {name: bytes(entry["data"]) for name, entry in found.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }
    assert all(tuple(found[name]["shape"]) == array.shape for name, array in arrays.items())


def test_safe_open_gives_the_same_arrays(tmp_path):
    write_arrays(tmp_path / "a.safetensors", NEW)
    with safetensors.safe_open(tmp_path / "a.safetensors", "numpy") as file:
        assert same({name: file.get_tensor(name) for name in file.keys()}, NEW)  # noqa: SIM118


def test_kuai_reads_what_the_safetensors_library_writes(tmp_path):
    arrays = NEW | {"flag": np.array([True, False]), "empty": np.zeros((0, 4), np.int8)}
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors", {"format": "np"})
    found, metadata = read_arrays(tmp_path / "a.safetensors")
    assert same(found, arrays)
    assert metadata == {"format": "np"}


def test_jax_arrays_views_and_big_endian_arrays_are_written_as_what_they_hold(tmp_path):
    arrays = {
        "jax": jnp.arange(3.0),
        "transposed": OLD["weight"].T,
        "strided": np.arange(10)[::3],
        "big_endian": np.arange(3, dtype=">i4"),
    }
    write_arrays(tmp_path / "a.safetensors", arrays)
    found, _ = read_arrays(tmp_path / "a.safetensors")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], np.asarray(array), strict=name != "big_endian")


def test_arrays_read_are_writable_and_aligned(tmp_path):
    write_arrays(tmp_path / "a.safetensors", {"odd": np.zeros(3, np.int8), "x": np.zeros(3)})
    found, _ = read_arrays(tmp_path / "a.safetensors")
    assert found["x"].flags.writeable
    assert found["x"].flags.aligned


# --- what cannot be written ----------------------------------------------------------------------

# Without the type checker that the tests run under, which would speak before kuai does.
unchecked = getattr(write_arrays, "__wrapped__", write_arrays)


@pytest.mark.parametrize(
    ("arrays", "metadata", "error", "text"),
    [
        ({"a": np.array("text")}, None, DtypeError, "a: expected a dtype that safetensors has"),
        ({"a": np.zeros(2, np.complex128)}, None, DtypeError, "got complex128; convert the array"),
        ({"a": np.array([None])}, None, DtypeError, "got object"),
        ({"__metadata__": np.zeros(2)}, None, ArgumentError, "cannot be named '__metadata__'"),
        ({3: np.zeros(2)}, None, ArgumentError, "name of an array must be text, got 3"),
        ({"\ud800": np.zeros(2)}, None, ArgumentError, "text that UTF-8 can write"),
        ({}, {"a": 1}, ArgumentError, "metadata value of 'a' must be text, got 1"),
        ({}, {"kuai.checksums": "{}"}, ArgumentError, "'kuai.checksums' is kuai's own"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, arrays, metadata, error, text):
    with pytest.raises(error, match=text):
        unchecked(tmp_path / "a", arrays, metadata)
    assert names_in(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileAccessError, match=r"the folder .*absent does not exist; make it first"):
        write_text(tmp_path / "absent" / "a.json", "{}")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    write_text(tmp_path / "file", "")
    with pytest.raises(FileAccessError, match=r"the folder .*file does not exist"):
        write_text(tmp_path / "file" / "a.json", "{}")


def no_permission(*args: Any) -> int:
    raise PermissionError(13, "Permission denied")  # root is refused nothing, so a folder won't do


def test_an_unwritable_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "open", no_permission)
    with pytest.raises(FileAccessError, match=r"Permission denied.*Check that the folder is writ"):
        write_text(tmp_path / "a.json", "{}")


def test_a_folder_or_device_is_no_place_to_write(tmp_path):
    for path in [tmp_path, Path("/dev/null")]:
        with pytest.raises(FileAccessError, match="expected a file to write, got a folder or dev"):
            write_bytes(path, b"")


# --- text, permissions, links --------------------------------------------------------------------


def test_text_is_utf8_with_its_own_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "块\r\nfast\n")
    assert (tmp_path / "a.txt").read_bytes() == "块\r\nfast\n".encode()


def test_a_new_file_follows_the_umask_and_a_replaced_one_keeps_its_permissions(tmp_path):
    path = tmp_path / "a"
    before = os.umask(0o027)
    try:
        write_bytes(path, b"1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        write_bytes(path, b"2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "latest"
    link.symlink_to(tmp_path / "real" / "a")
    write_bytes(link, b"1")
    assert link.is_symlink()
    assert (tmp_path / "real" / "a").read_bytes() == b"1"


# --- every failure, one after the other ----------------------------------------------------------

CALLS = ["open", "write", "fsync", "replace", "close", "unlink"]


class Disk:
    """Counts the calls to the system; lets the n-th fail, or cuts the power there.

    It knows what would be on the disk after a power cut: a file's bytes only as far as they were
    flushed, and a rename always (the worst case: names may reach the disk before data).
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail_at: int = 0, cut: bool = False):
        self.count, self.fail_at, self.cut, self.dead = 0, fail_at, cut, False
        self.paths: dict[int, str] = {}
        self.flushed: dict[str, bytes] = {}
        self.real = {name: getattr(os, name) for name in CALLS}
        for name in CALLS:
            monkeypatch.setattr(os, name, lambda *a, _name=name, **k: self.call(_name, *a, **k))

    def call(self, name: str, *args: Any, **options: Any) -> Any:
        self.count += 1
        if self.count == self.fail_at or self.dead:
            self.dead = self.cut
            if name == "write" and not self.dead:
                self.real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
            if name == "close":
                self.real["close"](*args)
            raise OSError(28, "No space left on device")
        if name == "write":  # the system may take less than it was given
            args = (args[0], args[1][: max(1, len(args[1]) // 2)])
        result = self.real[name](*args, **options)
        self.note(name, args, result)
        return result

    def note(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        if name == "open":
            self.paths[result] = os.fspath(args[0])
        elif name == "fsync" and Path(self.paths[args[0]]).is_file():
            self.flushed[self.paths[args[0]]] = Path(self.paths[args[0]]).read_bytes()
        elif name == "replace":
            self.flushed[os.fspath(args[1])] = self.flushed.pop(os.fspath(args[0]), b"")

    def after_power_cut(self, path: Path) -> None:
        """Leave of the file what had reached the disk."""
        if str(path) in self.flushed:
            path.write_bytes(self.flushed[str(path)])


def calls_of_one_save(path: Path) -> int:
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk = Disk(monkeypatch)
        write_arrays(path, NEW)
        return disk.count


def fail_at(path: Path, n: int, cut: bool) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk = Disk(monkeypatch, n, cut)
        with pytest.raises(FileAccessError, match="No space left on device"):
            write_arrays(path, NEW)
    if cut:
        disk.after_power_cut(path)


def test_whichever_call_fails_the_old_or_the_new_file_is_there_and_no_other(tmp_path):
    total = calls_of_one_save(tmp_path / "sample")
    (tmp_path / "sample").unlink()
    assert total > 12
    outcomes = []
    for n in range(1, total + 1):
        path = tmp_path / "net.safetensors"
        write_arrays(path, OLD)
        fail_at(path, n, cut=False)
        found, _ = read_arrays(path)
        assert same(found, OLD) or same(found, NEW)
        assert names_in(tmp_path) == ["net.safetensors"]
        outcomes.append("old" if same(found, OLD) else "new")
    assert outcomes == ["old"] * (total - 3) + ["new"] * 3  # the last three flush the folder


def test_wherever_the_power_is_cut_the_old_or_the_new_file_is_there(tmp_path):
    total = calls_of_one_save(tmp_path / "sample")
    for n in range(1, total + 1):
        path = tmp_path / "net.safetensors"
        write_arrays(path, OLD)
        fail_at(path, n, cut=True)
        found, _ = read_arrays(path)
        assert same(found, OLD) or same(found, NEW)


def test_this_power_cut_would_catch_a_rename_without_fsync(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    write_arrays(path, OLD)
    disk = Disk(monkeypatch)
    (tmp_path / "hasty").write_bytes(b"not flushed")
    (tmp_path / "hasty").replace(path)
    monkeypatch.undo()
    disk.after_power_cut(path)
    with pytest.raises(FileFormatError, match="it is empty"):
        read_arrays(path)


def test_ctrl_c_while_writing_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_bytes(tmp_path / "a", b"old")

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


def test_a_folder_that_cannot_be_flushed_is_said_to_hold_the_new_file(tmp_path, monkeypatch):
    total = calls_of_one_save(tmp_path / "sample")
    Disk(monkeypatch, total - 1)
    with pytest.raises(FileAccessError, match="the file was written, but the folder could not be"):
        write_arrays(tmp_path / "a", NEW)


# --- reading what is not there -------------------------------------------------------------------


def test_a_missing_file_is_also_a_file_not_found_error_and_near_names_are_told(tmp_path):
    write_arrays(tmp_path / "net.safetensors", OLD)
    with pytest.raises(FileNotFoundError, match=r"no such file; did you mean net\.safetensors"):
        read_arrays(tmp_path / "nett.safetensors")
    with pytest.raises(MissingFileError, match=r"the folder .*absent does not exist"):
        read_arrays(tmp_path / "absent" / "a")


@pytest.mark.parametrize(
    ("make", "kind"), [(os.mkdir, "a folder"), (os.mkfifo, r"a FIFO \(named pipe\)")]
)
def test_what_is_no_regular_file_is_refused(tmp_path, make, kind):
    make(tmp_path / "a")
    with pytest.raises(FileAccessError, match=f"expected a regular file, got {kind}"):
        read_arrays(tmp_path / "a")


def test_a_device_is_refused():
    with pytest.raises(FileAccessError, match="expected a regular file, got a device"):
        read_arrays("/dev/zero")


def test_a_file_that_becomes_a_fifo_after_it_was_looked_at_is_refused(tmp_path, monkeypatch):
    write_arrays(tmp_path / "a", OLD)
    regular = (tmp_path / "a").stat()
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")
    monkeypatch.setattr(Path, "stat", lambda self, **options: regular)
    with pytest.raises(FileAccessError, match="got a FIFO"):
        read_arrays(tmp_path / "a")


def test_an_unreadable_file_is_named(tmp_path, monkeypatch):
    write_arrays(tmp_path / "a", OLD)
    monkeypatch.setattr(os, "open", no_permission)
    with pytest.raises(FileAccessError, match=r"cannot be read \(Permission denied\)"):
        read_arrays(tmp_path / "a")


def test_arrays_of_a_failed_device_transfer_touch_no_file(tmp_path):
    deleted = jax.device_put(jnp.ones(3))
    deleted.delete()
    with pytest.raises(RuntimeError, match="deleted"):
        write_arrays(tmp_path / "a", {"a": deleted})
    assert names_in(tmp_path) == []
