"""Batches: of arrays, of loaders, and taken up again where they were left."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuai.data import ArrayBatches, Batches, IterableBatches, as_batches, load
from kuai.errors import ArgumentError, DataError

X, Y = np.arange(14, dtype=np.float32).reshape(7, 2), np.arange(7, dtype=np.int32)


def labels(batches: Any) -> list[list[int]]:
    return [batch[1].tolist() for batch in batches]


# --- arrays --------------------------------------------------------------------------------------


def test_batches_follow_the_order_of_the_data_and_keep_the_rest():
    batches = ArrayBatches((X, Y), 3)
    assert labels(batches) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(batches) == 3
    np.testing.assert_array_equal(next(iter(batches))[0], X[:3], strict=True)


def test_the_rest_may_be_dropped():
    batches = ArrayBatches((X, Y), 3, drop_last=True)
    assert labels(batches) == [[0, 1, 2], [3, 4, 5]]
    assert len(batches) == 2


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**32), st.booleans())
def test_a_shuffled_epoch_gives_every_example_once(examples, size, seed, shuffle):
    batches = ArrayBatches(np.arange(examples), size, shuffle=shuffle, seed=seed)
    for _ in range(2):
        epoch = list(batches)
        assert sorted(np.concatenate(epoch).tolist()) == list(range(examples))
        assert len(epoch) == len(batches)
        assert all(len(batch) == size for batch in epoch[:-1])


def test_each_epoch_has_an_order_of_its_own_that_the_seed_decides():
    first, again, other = (ArrayBatches((X, Y), 7, shuffle=True, seed=s) for s in (1, 1, 2))
    epochs = [labels(first), labels(first), labels(first)]
    assert epochs == [labels(again), labels(again), labels(again)]
    assert len({str(epoch) for epoch in [*epochs, labels(other)]}) == 4


def test_inputs_stay_with_their_targets_when_shuffled():
    for x, y in ArrayBatches((X, Y), 2, shuffle=True):
        np.testing.assert_array_equal(x[:, 0], 2 * y)


def test_arrays_may_be_nested_and_of_any_library():
    Pair = namedtuple("Pair", "left right")
    data = ({"image": X, "more": [jnp.asarray(Y), Y]}, Pair(X, Y))
    inputs, pair = next(iter(ArrayBatches(data, 2)))
    assert inputs["image"].shape == (2, 2)
    assert [type(array) for array in inputs["more"]] == [np.ndarray, np.ndarray]
    assert isinstance(pair, Pair)
    np.testing.assert_array_equal(pair.right, [0, 1])


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ((X, Y[:5]), "along their first axis, but [0] has shape (7, 2), [1] has shape (5,)"),
        (
            ({"a": X}, {"b": {"c": Y[:1]}}),
            "[0]['a'] has shape (7, 2), [1]['b']['c'] has shape (1,)",
        ),
        ((X, np.float32(3)), "[1] has shape ()"),
        ((X[:0], Y[:0]), "the data: there are no examples in it"),
        (np.zeros((0, 3)), "the data: there are no examples in it"),
        ((), "the data: expected at least one array, got ()"),
        ((X, None), "expected an array of numbers, got NoneType"),
        ((X, "text"), "expected an array of numbers, got str"),
        ((X, np.array(["a"] * 7)), "expected an array of numbers, got one of the dtype <U1"),
        (([1, 2, 3], [0, 1, 0]), "the data: expected arrays, got a list of numbers at [0]; make"),
    ],
)
def test_arrays_that_make_no_batches_are_refused(arrays, text):
    with pytest.raises(DataError) as caught:
        ArrayBatches(arrays, 2)
    assert text in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, True])
def test_a_batch_size_that_is_none_is_refused(size):
    with pytest.raises(
        ArgumentError, match=f"batch_size: expected a whole number from 1, got {size}"
    ):
        ArrayBatches(X, size)


def test_no_full_batch_is_an_error():
    with pytest.raises(DataError, match="the data has 7 examples, not one full batch of 8"):
        ArrayBatches(X, 8, drop_last=True)


# --- position ------------------------------------------------------------------------------------


def sources() -> list[Any]:
    lists = [(X[:3], Y[:3]), (X[3:6], Y[3:6]), (X[6:], Y[6:])]
    return [
        lambda: ArrayBatches((X, Y), 3, shuffle=True, seed=5),
        lambda: IterableBatches(lists),
        lambda: IterableBatches(lambda: iter(lists)),
    ]


@pytest.mark.parametrize("make", sources())
@pytest.mark.parametrize("stop", range(1, 8))
def test_a_restored_position_goes_on_with_the_batch_that_follows(make, stop):
    whole = make()
    expected = labels(whole) + labels(whole) + labels(whole)
    first = make()
    seen: list[list[int]] = []
    while len(seen) < stop:
        for batch in first:
            seen.append(batch[1].tolist())
            if len(seen) == stop:
                break
    second = make()
    second.restore(first.state())
    while len(seen) < len(expected):
        seen += labels(second)
    assert seen == expected


def test_a_pass_left_early_is_over():
    batches = ArrayBatches((X, Y), 3, shuffle=True)
    order = labels(batches), labels(batches), labels(batches)
    batches.restore({**batches.state(), "epoch": 0, "batch": 0})
    next(iter(batches))
    assert labels(batches) == order[1]
    assert labels(batches) == order[2]


def test_a_position_in_other_data_is_refused():
    state = ArrayBatches((X, Y), 3, seed=1).state()
    for batches, text in [
        (ArrayBatches((X, Y), 2, seed=1), "data with batch_size=3, this data has batch_size=2"),
        (ArrayBatches((X, Y), 3, seed=2), "data with seed=1, this data has seed=2"),
        (ArrayBatches(X[:6], 3, seed=1), "data with examples=7, this data has examples=6"),
    ]:
        with pytest.raises(DataError, match=text):
            batches.restore(state)


# --- loaders -------------------------------------------------------------------------------------


def test_lists_and_functions_serve_every_epoch():
    for source in ([(X, Y), [X, Y]], lambda: iter([(X, Y), (X, Y)])):
        batches = as_batches(source)
        assert len(list(batches)) == len(list(batches)) == 2
        assert type(next(iter(batches))) is tuple


def test_a_generator_serves_one_epoch_and_says_so():
    batches = as_batches((X, Y) for _ in range(2))
    assert len(list(batches)) == 2
    with pytest.raises(
        DataError, match=r"is a generator .* used up after one epoch. Give a list, a"
    ):
        next(iter(batches))


@pytest.mark.parametrize(
    ("batches", "text"),
    [
        ([(X, Y), (X, Y[:2])], "batch 1 of epoch 0: expected arrays of equal length"),
        ([(X, Y), (X[:0], Y[:0])], "batch 1 of epoch 0: there are no examples in it"),
        ([(X, None)], "expected an array of numbers, got NoneType"),
        ([()], "batch 0 of epoch 0: expected at least one array, got ()"),
        ([], "the data gave no batch; expected at least one an epoch"),
    ],
)
def test_batches_that_are_none_are_refused(batches, text):
    with pytest.raises(DataError) as caught:
        list(as_batches(batches))
    assert text in str(caught.value)


def test_the_length_is_the_loaders():
    assert len(as_batches([X, X])) == 2
    with pytest.raises(TypeError):
        len(as_batches(iter([X])))


class KerasLike:
    """A Keras PyDataset: a length and items, no end by itself."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        return X[number : number + 1], Y[number : number + 1]


class Tensor:
    """A tensor of a system whose arrays NumPy takes by one of its methods only."""

    def __init__(self, method: str) -> None:
        setattr(self, method, lambda: X)


def test_loaders_with_items_only_and_mxnet_tensors_are_taken():
    assert labels(as_batches(KerasLike())) == [[0], [1], [2]]
    np.testing.assert_array_equal(next(iter(as_batches([Tensor("asnumpy")]))), X)


def test_a_torch_loader_gives_numpy_arrays():
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    batches = as_batches(torch.utils.data.DataLoader(data, batch_size=3))
    for _ in range(2):
        assert labels(batches) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(batches) == 3


def test_torch_tensors_with_gradients_or_bfloat16_are_taken():
    torch = pytest.importorskip("torch", reason="compares with torch; `make peers` installs it")
    half, tracked = torch.tensor([1.5]).bfloat16(), torch.tensor([2.0], requires_grad=True)
    found = next(iter(as_batches([(half, tracked)])))
    assert (found[0].dtype, found[0].tolist()) == (ml_dtypes.bfloat16, [1.5])
    assert (found[1].dtype, found[1].tolist()) == (np.float32, [2.0])


# --- as_batches ----------------------------------------------------------------------------------


def test_arrays_data_sets_and_batches_are_taken_as_what_they_are():
    digits = load("digits")
    assert next(iter(as_batches(digits, 10)))[0].shape == (10, 64)
    assert next(iter(as_batches({"x": X}, 2)))["x"].shape == (2, 2)
    assert next(iter(as_batches(jnp.asarray(X))))[0].shape == (2,)
    batches = ArrayBatches(X, 2)
    assert as_batches(batches) is batches


@pytest.mark.parametrize("options", [{"batch_size": 2}, {"shuffle": True}, {"drop_last": True}])
def test_options_for_arrays_are_refused_with_batches(options):
    with pytest.raises(
        ArgumentError, match=r"the data is batches already \(list\): let its loader"
    ):
        as_batches([X], **options)


@pytest.mark.parametrize("data", [None, 3])
def test_what_is_no_data_is_refused(data):
    with pytest.raises(DataError, match=r"or an iterable of batches, got (NoneType|int)"):
        as_batches(data)


def test_a_subclass_needs_only_its_epoch():
    class Counting(Batches):
        def _epoch(self, number: int, first: int) -> Any:
            return iter([number, number])

    batches = Counting()
    assert [list(batches), list(batches)] == [[0, 0], [1, 1]]
