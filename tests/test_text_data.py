"""Text as examples: pieces of characters, and what is refused."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import kuai
from kuai.data.text_file import decode, encode


@pytest.fixture
def file(tmp_path):
    def write(content, **how):
        path = tmp_path / "t.txt"
        path.write_text(content, encoding="utf-8", **how)
        return path

    return write


def test_pieces_follow_one_another_and_targets_are_one_further(file):
    data = kuai.data.text(file("abcabcabca"), length=3)
    assert [decode(x, data.vocabulary) for x in data.x] == ["abc", "abc", "abc"]
    assert [decode(y, data.vocabulary) for y in data.y] == ["bca", "bca", "bca"]
    assert data.classes == data.vocabulary == ("a", "b", "c")
    assert data.x.dtype == data.y.dtype == np.int32


def test_load_takes_it_by_name(file):
    path = file("ab" * 65)
    data = kuai.data.load(f"text:{path}")
    assert data.x.shape == (2, 64)
    with pytest.raises(kuai.errors.ArgumentError, match="2 classes, got classes=5"):
        kuai.data.load(f"text:{path}", classes=5)


def test_a_split_keeps_whole_pieces_apart(file):
    data = kuai.data.text(file("".join(chr(97 + i % 26) for i in range(401))), length=10)
    train, test = data.split(test=0.25, seed=3)
    assert (len(train), len(test)) == (30, 10)
    assert train.vocabulary == data.vocabulary


def test_a_vocabulary_that_is_given_rules(file):
    data = kuai.data.text(file("baba"), length=2, vocabulary="xab")
    assert data.x.tolist() == [[2, 1]]
    with pytest.raises(kuai.errors.DataError, match=r"expected the 1 characters .* got 'b' too"):
        kuai.data.text(file("baba"), length=2, vocabulary="a")


@given(st.text(min_size=1, max_size=30))
def test_decode_undoes_encode(content):
    letters = sorted(set(content))
    assert decode(encode(content, letters), letters) == content


@pytest.mark.parametrize("length", [0, -1, 2.0, True])
def test_a_length_is_a_positive_integer(file, length):
    with pytest.raises(kuai.errors.ArgumentError, match="length to be an integer of at least 1"):
        kuai.data.text(file("abc"), length)


def test_files_that_are_no_text(file, tmp_path):
    with pytest.raises(kuai.errors.DataError, match="more than 3 characters"):
        kuai.data.text(file("abc"), 3)
    with pytest.raises(kuai.errors.FileAccessError, match="does not exist"):
        kuai.data.text(tmp_path / "none.txt")
    with pytest.raises(kuai.errors.FileAccessError, match="is no regular file"):
        kuai.data.text(tmp_path)
    (tmp_path / "b.txt").write_bytes(b"ab\xff\xfe")
    with pytest.raises(kuai.errors.DataError, match="expected text in UTF-8, but byte 2 is none"):
        kuai.data.text(tmp_path / "b.txt")
