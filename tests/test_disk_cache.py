"""`kuai.cache`: the next process finds the programs, and nobody else can put any there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import kuai
from kuai.errors import FileAccessError

PROGRAM = """
import sys
import jax, jax.numpy as jnp
import kuai

counts = {}
def note(event, **_):
    counts[event] = counts.get(event, 0) + 1

jax.monitoring.register_event_listener(note)
kuai.cache(sys.argv[1])

@kuai.hybrid
def halved(x):
    while x.sum() > 1:
        x = x / 2
    return x

print(halved(jnp.array([3.0, 4.0])).tolist())
prefix = "/jax/compilation_cache/"
print(counts.get(prefix + "cache_hits", 0), counts.get(prefix + "cache_misses", 0))
"""


@pytest.fixture
def off():
    """Keep no programs of the tests that follow."""
    yield
    kuai.cache(None)


@pytest.fixture
def program(tmp_path):
    """The program stands in a file, so that its loop has a source."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)

    def start(folder):
        """(result, programs found, programs compiled) of a process of its own."""
        done = subprocess.run(
            [sys.executable, str(file), str(folder)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )
        result, counts = done.stdout.splitlines()
        return result, *map(int, counts.split())

    return start


def test_a_second_process_finds_the_programs(tmp_path, program):
    folder = tmp_path / "programs"
    first, found, compiled = program(folder)
    assert found == 0
    assert compiled > 0
    second, found_again, compiled_again = program(folder)
    assert second == first == "[0.375, 0.5]"
    assert compiled_again == 0
    assert found_again == compiled


def test_the_folder_is_made_for_this_user_alone(tmp_path, off):
    folder = tmp_path / "deep" / "programs"
    assert kuai.cache(folder) == folder
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path, mode):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(FileAccessError, match=r"others may write to .*; empty it, chmod 700 it"):
        kuai.cache(folder)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_and_a_file_are_no_folder(tmp_path):
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(target)
    file.write_text("")
    with pytest.raises(FileAccessError, match=r"link is no folder"):
        kuai.cache(link)
    with pytest.raises(FileAccessError, match=r"expected a folder of your own to write to, got"):
        kuai.cache(file)


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_is_refused(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(FileAccessError, match=r"belongs to another user, who could make this one"):
        kuai.cache(folder)
