"""Data sets out of files: what is loaded, and what is said of files that hold none."""

from __future__ import annotations

import functools
import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuai.data import load
from kuai.errors import (
    ArgumentError,
    DataError,
    FileAccessError,
    FileFormatError,
    KuaiError,
    MissingExtraError,
)

float32 = functools.partial(np.array, dtype=np.float32)
int32 = functools.partial(np.array, dtype=np.int32)


def csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding=encoding, newline="")
    return path


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


# --- the digits ----------------------------------------------------------------------------------


def test_the_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    theirs = load_digits()
    digits = load("digits")
    np.testing.assert_array_equal(digits.x, (theirs.data / 16).astype(np.float32), strict=True)
    np.testing.assert_array_equal(digits.y, theirs.target.astype(np.int32), strict=True)
    assert (digits.x.min(), digits.x.max()) == (0, 1)
    assert digits.classes == tuple("0123456789")


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "kuai-nn\[data\]"'):
        load("digits")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("digit", "got 'digit'; did you mean 'digits'?"),
        ("data.parquet", "a file that ends in .npz or .csv, got 'data.parquet'"),
        ("", "expected one of ['digits'], text:FILE, or the path"),
    ],
)
def test_an_unknown_source_is_refused_with_those_there_are(source, text):
    with pytest.raises(ArgumentError) as caught:
        load(source)
    assert text in str(caught.value)


def test_a_missing_file_or_a_folder_is_named(tmp_path):
    with pytest.raises(FileAccessError, match=r"absent\.csv: the file does not exist"):
        load(tmp_path / "absent.csv")
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "fifo.csv")
    for name in ["folder.npz", "fifo.csv"]:
        with pytest.raises(FileAccessError, match="is no regular file"):
            load(tmp_path / name)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refused(self: Path, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    path = tmp_path / "a.csv"
    path.touch()
    with pytest.raises(FileAccessError, match=r"cannot be read \(Permission denied\)"):
        load(path)


# --- CSV -----------------------------------------------------------------------------------------


def test_the_last_column_is_the_target_and_names_are_optional(tmp_path):
    for head in ["", "width,height,kind\n"]:
        data = load(csv(tmp_path, head + "1,2.5,0\n3,4,1\n"))
        np.testing.assert_array_equal(data.x, float32([[1, 2.5], [3, 4]]), strict=True)
        np.testing.assert_array_equal(data.y, int32([0, 1]), strict=True)
        assert (data.name, data.classes) == ("table.csv", ("0", "1"))


def test_a_column_named_label_is_the_target_wherever_it_stands(tmp_path):
    data = load(csv(tmp_path, "Label,a,b\ncat,1,2\nant,3,4\ncat,5,6\n"))
    np.testing.assert_array_equal(data.x, float32([[1, 2], [3, 4], [5, 6]]))
    np.testing.assert_array_equal(data.y, int32([1, 0, 1]), strict=True)
    assert data.classes == ("ant", "cat")


def test_a_label_column_makes_numbers_as_names_possible(tmp_path):
    data = load(csv(tmp_path, "0,1,label\n5,6,1\n7,8,0\n"))
    np.testing.assert_array_equal(data.x, float32([[5, 6], [7, 8]]))


def test_the_names_of_the_inputs_are_kept(tmp_path):
    assert load(csv(tmp_path, "b,label,a\n5,6,1\n7,8,0\n"), classes=9).columns == ("b", "a")
    assert load(csv(tmp_path, "5,6,1\n7,8,0\n")).columns is None


def test_what_spreadsheets_write_is_read(tmp_path):
    text = '"a", "b","label"\r\n1, 2,"x, y"\r\n\r\n3,4,z\r\n,,\r\n'
    data = load(csv(tmp_path, text, encoding="utf-8-sig"))
    np.testing.assert_array_equal(data.x, float32([[1, 2], [3, 4]]))
    assert data.classes == ("x, y", "z")


def test_targets_with_a_decimal_point_are_a_regression(tmp_path):
    data = load(csv(tmp_path, "1,2,0.5\n3,4,1\n"))
    np.testing.assert_array_equal(data.y, float32([[0.5], [1]]), strict=True)
    assert data.classes is None


def test_the_number_of_classes_may_be_given(tmp_path):
    assert load(csv(tmp_path, "1,0\n2,1\n"), classes=7).classes == tuple("0123456")


BAD_TABLES = [
    ("", "the table is empty; expected one example a line"),
    ("\n\n", "the table is empty"),
    ("a,b\n", "the table has column names but no examples"),
    ("1\n2\n", "at least two columns parted by commas, inputs and a target, got '1' alone"),
    ("a;b\n1;2\n", "got 'a;b' alone"),
    ("1,2,0\n1,2\n", ", line 2: expected 3 cells, got 2"),
    ("a,b,c\n\n1,2,0,9\n", ", line 3: expected 3 cells, got 4"),
    (
        "a,b,c\n1,2,0\n1,red,0\n",
        ", line 3, column 'b': expected a number, got 'red'. Only the target",
    ),
    ("1,2,0\n1,,0\n", ", line 2, column '2': expected a number, got an empty cell"),
    ("label,b\n0,1\n1,x\n", ", line 3, column 'b': expected a number, got 'x'"),
    ("1,2,0\n1,2,n/a\n", ", line 2, column '3': expected a number, got 'n/a'. The targets must be"),
    (
        "1,2,cat\n1,2,\n",
        "column '3': expected a number, got 'cat'. The targets must be all numbers",
    ),
    ("1,2,0\n1,nan,0\n", "expected finite float32 numbers, got nan at x[1, 1] (1 such numbers)"),
    ("1,2,0\n1e300,2,0\n", "got inf at x[1, 0]"),
    ("1,2,0.5\n1,2,inf\n", "got inf at y[1]"),
    ("1,2,0\n1,2,-1\n", "expected labels from 0 to 0 (1 classes), got -1 at example 1"),
    ("1,250000\n2,180000\n", "expected labels from 0 up, got 250000 among 2 examples. Give the"),
    ('1,"2\n', "expected a CSV table in UTF-8, but unexpected end of data"),
    ("1,2\n" + "x" * 200_000, "expected a CSV table in UTF-8, but field larger than field limit"),
]


@pytest.mark.parametrize(("text", "message"), BAD_TABLES)
def test_a_bad_table_is_refused_and_the_place_named(tmp_path, text, message):
    with pytest.raises(DataError) as caught:
        load(csv(tmp_path, text))
    assert message in str(caught.value)
    assert "table.csv" in str(caught.value)


def test_a_table_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected a CSV table in UTF-8"):
        load(csv(tmp_path, "größe,label\n1,0\n", encoding="latin-1"))


def test_labels_beyond_the_classes_given_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"labels from 0 to 1 \(2 classes\), got 3 at example 1"):
        load(csv(tmp_path, "1,0\n2,3\n"), classes=2)


def test_a_number_of_classes_for_a_regression_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="classes=3 is for labels that are whole numbers"):
        load(csv(tmp_path, "1,0.5\n2,1.5\n"), classes=3)
    with pytest.raises(ArgumentError, match="'digits' has 10 classes, got classes=3"):
        load("digits", classes=3)


@given(
    numpy_strategies.arrays(
        np.float32,
        st.tuples(st.integers(2, 6), st.integers(1, 4)),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_a_table_that_was_written_is_read_back_to_the_last_bit(tmp_path_factory, x):
    lines = [",".join([*map(repr, row), str(i % 2)]) for i, row in enumerate(x.tolist())]
    data = load(csv(tmp_path_factory.mktemp("csv"), "\n".join(lines)))
    np.testing.assert_array_equal(data.x, x, strict=True)


# --- npz -----------------------------------------------------------------------------------------


def test_an_archive_gives_x_and_y_or_the_first_two(tmp_path):
    x, y = np.random.default_rng(0).random((4, 3, 2)), np.array([0, 1, 2, 1])
    for arrays in [{"y": y, "other": y, "x": x}, {"images": x, "kinds": y, "more": y}]:
        data = load(npz(tmp_path, **arrays))
        np.testing.assert_array_equal(data.x, x.astype(np.float32), strict=True)
        np.testing.assert_array_equal(data.y, y.astype(np.int32), strict=True)


def test_compressed_archives_are_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((9, 2)), y=np.arange(9) % 2)
    assert len(load(tmp_path / "a.npz")) == 9


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.array([[0, 255], [51, 0]], np.uint8), float32([[0, 1], [0.2, 0]])),
        (np.array([[7, 8], [9, 1]], np.int64), int32([[7, 8], [9, 1]])),
        (np.array([[True], [False]]), float32([[1], [0]])),
        (np.array([[1.5], [2]], np.float16), float32([[1.5], [2]])),
    ],
)
def test_inputs_become_float32_or_int32(tmp_path, x, expected):
    np.testing.assert_array_equal(load(npz(tmp_path, x=x, y=[0, 1])).x, expected, strict=True)


@pytest.mark.parametrize(
    ("y", "expected", "classes"),
    [
        (np.array([[1], [0]]), int32([1, 0]), ("0", "1")),
        (np.array([True, False]), int32([1, 0]), ("0", "1")),
        (np.array(["b", "a"]), int32([1, 0]), ("a", "b")),
        (np.array([0.5, 1]), float32([[0.5], [1]]), None),
        (np.array([[0, 1], [1, 0]]), float32([[0, 1], [1, 0]]), None),
    ],
)
def test_targets_become_labels_or_numbers(tmp_path, y, expected, classes):
    data = load(npz(tmp_path, x=np.zeros((2, 1)), y=y))
    np.testing.assert_array_equal(data.y, expected, strict=True)
    assert data.classes == classes


@pytest.mark.parametrize(
    ("arrays", "error", "text"),
    [
        (
            {"x": np.zeros((3, 2)), "y": np.zeros(2)},
            DataError,
            "equal length, got x of shape (3, 2)",
        ),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0)}, DataError, "there are no examples in it"),
        ({"x": np.zeros(()), "y": np.zeros(2)}, DataError, "got x of shape ()"),
        ({"x": np.zeros((2, 2))}, DataError, "expected two arrays, x and y, got ['x']. Write them"),
        ({}, DataError, "got none"),
        (
            {"x": np.array(["a", "b"]), "y": [0, 1]},
            DataError,
            "expected numbers in x, got the dtype",
        ),
        (
            {"x": np.zeros((2, 1), complex), "y": [0, 1]},
            DataError,
            "numbers in x, got the dtype comp",
        ),
        (
            {"x": np.array([[2**40], [0]]), "y": [0, 1]},
            DataError,
            "that int32 can hold in x, got 0 to",
        ),
        ({"x": np.zeros((2, 1)), "y": [2**32, 0]}, DataError, "got 4294967296 among 2 examples"),
        ({"x": np.zeros((2, 1)), "y": [0, -1]}, DataError, "got -1 at example 1 (1 such labels)"),
        ({"x": np.array([[None], [1]]), "y": [0, 1]}, FileFormatError, "holds Python objects"),
    ],
)
def test_an_archive_that_is_no_data_set_is_refused(tmp_path, arrays, error, text):
    with pytest.raises(error) as caught:
        load(npz(tmp_path, **arrays))
    assert text in str(caught.value)


def test_labels_that_wrap_around_in_int32_are_refused(tmp_path):
    path = npz(tmp_path, x=np.zeros((2, 1)), y=[2**32, 0])
    with pytest.raises(DataError, match="got 4294967296 at example 0"):
        load(path, classes=2)


# --- hostile archives ----------------------------------------------------------------------------


def array_file(shape: str, dtype: str = "<f4", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def archive_of(path: Path, *members: tuple[str, bytes], packing: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


Y = ("y.npy", array_file("(1,)", "<f4", bytes(4)))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is no array that can be read"),
        (b"not an array", "is no array that can be read"),
        (array_file("(1000000000000,)"), "needs 4000000000078 bytes, the file has"),
        (array_file("(2,)", data=bytes(4)), "its shape needs"),
        (array_file("(1,)", data=bytes(400)), "its shape needs"),
        (array_file("(-1, -1)", data=bytes(4)), "is no array that can be read"),
        (array_file("(1.5,)", data=bytes(4)), "is no array that can be read"),
        (array_file("(1,)", "|O", bytes(8)), "it holds Python objects, which could run code"),
        (array_file("(" * 5000 + ")" * 5000), "is no array that can be read"),
        (array_file("(1,)" + " " * 40_000, data=bytes(4)), "is no array that can be read"),
        (b"\x93NUMPY\x09\x00" + bytes(40), "is no array that can be read"),
    ],
)
def test_a_hostile_array_is_refused(tmp_path, content, text):
    path = archive_of(tmp_path / "a.npz", ("x.npy", content), Y)
    with pytest.raises(FileFormatError) as caught:
        load(path)
    assert text in str(caught.value)
    assert "write it again with np.savez" in str(caught.value)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("kuai.data.npz._FREE_BYTES", 2**20)
    size = 2**21
    bomb = array_file(f"({size // 4},)", data=bytes(size))
    path = archive_of(tmp_path / "a.npz", ("x.npy", bomb), Y, packing=zipfile.ZIP_DEFLATED)
    with pytest.raises(FileFormatError, match=r"x\.npy would unpack to 2097223 bytes from"):
        load(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match="two arrays in the archive have the same name"):
        load(archive_of(tmp_path / "a.npz", Y, Y))


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"epoch,loss\n")
    with pytest.raises(FileFormatError, match=r"expected a NumPy archive \(\.npz\).*np\.savez"):
        load(tmp_path / "a.npz")


def sample_archive() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.eye(3), y=np.arange(3))
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Reading `.npy`")
@given(st.data())
def test_a_damaged_archive_is_read_right_or_refused(tmp_path_factory, data):
    content = bytearray(sample_archive())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.npz"
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        found = load(path)
    except KuaiError:
        return
    assert sorted(found.x.ravel().tolist()) == [0.0] * 6 + [1.0] * 3 or found.x.dtype == np.int32
