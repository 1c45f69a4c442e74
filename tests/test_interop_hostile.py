"""Weights files that are made to mislead: kuai's own error in words, and nothing else happens."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kuai import interop
from kuai.errors import FileAccessError, FileFormatError, MissingFileError, UnsafeFileError
from tests import hostile_weights
from tests.fuzz.seeds import GOLDENS, seeds

CASES = hostile_weights.cases()
NAMES = [(group, name) for group, members in CASES.items() for name in members]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return hostile_weights.write(tmp_path_factory.mktemp("hostile"))


def read_all(path):
    weights = interop.read(path)
    return {name: weights[name] for name in weights}


@pytest.mark.parametrize(("group", "name"), NAMES, ids=lambda word: word.replace(" ", "-"))
def test_a_hostile_file_is_refused_in_words(paths, group, name):
    case, path = CASES[group][name], paths[group, name]
    with pytest.raises(case.error) as caught:
        read_all(path)
    message = str(caught.value)
    assert case.text in message
    assert str(path.parent) in message
    assert len(message) < 700 + message.count(str(path)) * len(str(path))


# What a reader may not do while it reads: import, run, connect, or open anything but the files of
# its own folder; and what it may take: two seconds, and twice the files' size and 64 MB.
ORACLE = r"""
import json, os, resource, sys, time
from kuai import interop
import kuai.interop.readers.recognise  # which `read` imports when it is first called
from kuai.errors import FileFormatError

events, watching = [], False
WATCHED = {"import", "exec", "compile", "socket", "subprocess", "os", "open", "ctypes", "pickle",
           "shutil", "mmap", "marshal", "code"}

def hook(name, arguments):
    if watching and name.split(".")[0] in WATCHED:
        own = name == "open" and (isinstance(arguments[0], int) or
                                  os.path.dirname(str(arguments[0])) == folder)
        listed = name in ("os.listdir", "os.scandir") and str(arguments[0]) == folder
        if not own and not listed:
            events.append((name, str(arguments[0])[:200]))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

sys.addaudithook(hook)
resource.setrlimit(resource.RLIMIT_CPU, (500, 500))
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
results = []
for path in sys.stdin.read().split("\0"):
    folder = os.path.dirname(path)
    size = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
    before, begun, events[:] = peak(), time.process_time(), []
    watching = True
    try:
        weights = interop.read(path)
        for name in weights:
            weights[name].copy()
        outcome = "read"
    except FileFormatError:
        outcome = "refused"
    except BaseException as error:
        outcome = repr(error)[:200]
    watching = False
    seconds = time.process_time() - begun
    results.append([path, outcome, list(events), peak() - before, size, seconds])
print(json.dumps(results))
"""


def judged(paths: list[Path], cwd: Path) -> list[list]:
    asked = "\0".join(map(str, paths))
    command = [sys.executable, "-c", ORACLE]
    ran = subprocess.run(command, input=asked, capture_output=True, text=True, check=True, cwd=cwd)
    return json.loads(ran.stdout)


def check(found, expected):
    for path, outcome, events, grown, size, seconds in found:
        assert outcome == expected[path][1], (expected[path], outcome)
        assert events == [], (expected[path], events)
        assert grown <= 2 * size + 64 * 2**20, (expected[path], grown)
        assert seconds < 2, (expected[path], seconds)


def test_a_hostile_file_runs_nothing_opens_nothing_and_takes_little(paths, tmp_path):
    expected = {str(path): (key, "refused") for key, path in paths.items()}
    for number, (name, data) in enumerate(hostile_weights.INERT.items()):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "net").write_bytes(data)
        expected[str(place / "net")] = (name, "read")
    check(judged(list(expected), tmp_path), expected)
    assert not (tmp_path / "kuai-was-run").exists()  # what a payload would make


def test_valid_files_run_nothing_either(tmp_path):
    expected = {}
    for name, known in seeds(tmp_path).items():
        for number, seed in enumerate(known):
            place = tmp_path / f"{name}-{number}"
            place.mkdir()
            for file, data in seed.files.items():
                (place / file).write_bytes(data)
            expected[str(place / seed.main)] = ((name, number), "read")
    check(judged(list(expected), tmp_path), expected)


def test_two_loads_at_once_do_not_lend_each_other_anything(paths):
    hostile = paths["pickle in torch", "REDUCE os.system"]
    good = GOLDENS / "torch" / "mlp.pt"

    def refused(_):
        with pytest.raises(UnsafeFileError):
            interop.read(hostile)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = [pool.submit(refused, n) for n in range(40)]
        loads = [pool.submit(read_all, good) for _ in range(40)]
        assert all(future.result() is None for future in results)
        assert all(len(future.result()) == 4 for future in loads)


def test_a_fifo_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "net.pt")
    begun = time.monotonic()
    with pytest.raises(FileAccessError, match="expected a regular file, got a FIFO"):
        interop.read(tmp_path / "net.pt")
    assert time.monotonic() - begun < 30


def test_a_device_is_not_read():
    with pytest.raises(FileAccessError, match="expected a regular file, got a device"):
        interop.read("/dev/zero")


def test_a_missing_shard_is_told(tmp_path):
    entries = [hostile_weights.HEADER, (0, b"a", hostile_weights.ENTRY)]
    (tmp_path / "net.index").write_bytes(hostile_weights.table(entries))
    with pytest.raises(MissingFileError, match=r"net\.data-00000-of-00001: no such file"):
        interop.read(tmp_path / "net")


def test_a_file_that_changed_after_it_was_opened_is_not_read_on(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes((GOLDENS / "torch" / "mlp.pt").read_bytes())
    weights = interop.read(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(FileFormatError, match="was changed after it was opened; read it again"):
        weights["0.weight"]
