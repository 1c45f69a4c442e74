"""Damaged weights files: kuai's own error or arrays, in little time and memory."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.exercise import damage, judged, outcome
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import seeds

with tempfile.TemporaryDirectory() as _scratch:
    SEEDS = seeds(Path(_scratch))
every_format = pytest.mark.parametrize("name", SEEDS)


@pytest.fixture(scope="module", params=SEEDS)
def known(request):
    return SEEDS[request.param]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(dice=st.randoms(use_true_random=False))
def test_a_damaged_file_is_read_or_refused(known, folder, dice):
    shutil.rmtree(folder)
    folder.mkdir()
    found, wrong = judged(damage(dice.choice(known), folder, dice))
    assert wrong is None, (found, wrong)


def smallest(name):
    return min(SEEDS[name], key=lambda seed: len(seed.files[seed.main]))


def outcomes(seed, folder, damaged):
    """What comes of each of several damaged forms of a seed's main file."""
    folder.mkdir(exist_ok=True)
    for file, data in seed.files.items():
        (folder / file).write_bytes(data)
    for data in damaged:
        (folder / seed.main).write_bytes(data)
        yield outcome(folder / seed.main)


# A Paddle parameter file that ends behind one of its arrays is a shorter one, whole in itself, if
# no program stands beside it; its program does here.
@every_format
def test_a_file_cut_short_anywhere_is_refused(name, tmp_path):
    seed = smallest(name)
    data = seed.files[seed.main]
    ends = range(0, len(data), max(1, len(data) // 150))
    found = outcomes(seed, tmp_path / "cut", (data[:end] for end in ends))
    assert set(found) == {"refused"}


@pytest.mark.slow
@every_format
def test_no_flipped_bit_breaks_a_reader(name, tmp_path):
    seed = smallest(name)
    data = seed.files[seed.main]

    def flipped():
        for bit in range(0, 8 * len(data), max(1, len(data) // 1000)):  # 8,000 at most
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            yield bytes(damaged)

    assert set(outcomes(seed, tmp_path / "flipped", flipped())) <= {"read", "refused"}


def test_the_same_dice_damage_a_file_in_the_same_way():
    data = bytes(range(256))
    first, second = (mutated(data, random.Random(7)) for _ in range(2))
    assert first == second != data
