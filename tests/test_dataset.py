"""A data set in memory: what it tells, and how it is split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuai.data import Dataset, load
from kuai.errors import ArgumentError, DataError


def dataset(labels: Any, classes: int = 3) -> Dataset:
    y = np.asarray(labels, np.int32)
    return Dataset("toy", np.arange(len(y), dtype=np.float32)[:, None], y, tuple("abc")[:classes])


def test_a_data_set_unpacks_and_tells_what_it_holds():
    data = dataset([0, 1, 2])
    x, y = data
    assert (x is data.x, y is data.y, len(data)) == (True, True, 3)
    assert repr(data) == "Dataset('toy': x float32 (3, 1), y int32 (3,), 3 classes)"


def test_column_names_go_with_the_inputs_and_their_number_is_checked():
    x = np.arange(8.0).reshape(4, 2)
    data = Dataset("toy", x, x[:, :1], columns=("a", "b"))
    assert [part.columns for part in data.split(0.5)] == [("a", "b")] * 2
    with pytest.raises(
        DataError, match=r"toy: expected a name for each input, got 1 names and x of shape \(4, 2\)"
    ):
        Dataset("toy", x, x[:, :1], columns=("a",))


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(
        DataError, match=r"toy: expected labels from 0 to 1 \(2 classes\), got 2 at"
    ):
        dataset([0, 1, 2], classes=2)


@given(
    st.lists(st.integers(0, 2), min_size=2, max_size=60),
    st.floats(0.05, 0.95),
    st.integers(0, 2**32),
)
def test_a_split_parts_the_examples_and_shares_out_each_class(labels, share, seed):
    data = dataset(labels)
    count = round(share * len(data))
    if not 0 < count < len(data):
        return
    train, test = data.split(share, seed)
    assert len(test) == count
    np.testing.assert_array_equal(np.sort(np.concatenate([train.x, test.x]), 0), data.x)
    for label in set(labels):
        members, found = labels.count(label), int((test.y == label).sum())
        assert abs(found - members * count / len(data)) < 1.5


def test_a_split_depends_on_its_seed_alone():
    digits = load("digits")
    (_, a), (_, b), (_, c) = digits.split(seed=1), digits.split(seed=1), digits.split(seed=2)
    np.testing.assert_array_equal(a.x, b.x)
    assert not np.array_equal(a.y, c.y)
    assert (np.abs(np.bincount(a.y) - np.bincount(digits.y) * 0.2) < 1).all()


def test_a_split_without_classes_takes_any_examples():
    data = Dataset("numbers", np.arange(10.0), np.arange(10.0))
    train, test = data.split(3)
    assert (len(train), len(test)) == (7, 3)
    assert set(train.x) | set(test.x) == set(data.x)


@pytest.mark.parametrize("test", [0, 1.0, 0.0, -0.5, 3, 7, 0.01])
def test_a_split_with_an_empty_part_is_refused(test):
    with pytest.raises(ArgumentError, match=r"a number from 1 to 2 of test examples, got .* empty"):
        dataset([0, 1, 2]).split(test)
