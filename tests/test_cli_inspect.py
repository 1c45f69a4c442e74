"""`kuai inspect`: names, shapes, dtypes, ties and sizes, of any system's file."""

from __future__ import annotations

import json

import pytest

from kuai.interop.readers.source import Span
from tests.cli_helpers import caller, quiet_environment
from tests.fuzz.seeds import GOLDENS, plain_safetensors


@pytest.fixture
def kuai(tmp_path, monkeypatch, capsys):
    quiet_environment(monkeypatch, tmp_path)
    return caller(capsys)


def test_a_listing_names_each_array_and_whose_it_is(kuai):
    answer = kuai("inspect", GOLDENS / "torch" / "views.pt")
    lines = answer.out.splitlines()
    assert (answer.code, answer.err, lines[0]) == (0, "", "torch: PyTorch")
    assert lines[1].split() == ["array", "shape", "dtype", "elements"]
    assert lines[3].split() == ["tied", "(3,", "4)", "float32", "12", "is", "base"]
    assert lines[-1] == "8 arrays, 44 elements, 176 bytes"


def test_json_has_the_same_for_programs(kuai):
    told = json.loads(kuai("inspect", GOLDENS / "torch" / "views.pt", "--json").out)
    assert (told["system"], told["elements"], told["bytes"]) == ("torch", 44, 176)
    assert told["aliases"] == {"tied": "base"}
    assert told["arrays"][2] == {
        "name": "column", "shape": [3], "dtype": "float32", "elements": 3,
    }  # fmt: skip


def test_a_part_and_a_program_can_be_named(kuai):
    part = kuai("inspect", GOLDENS / "torch" / "checkpoint.pt", "--key", "state_dict", "--json")
    assert json.loads(part.out)["arrays"][0]["name"] == "0.weight"
    folder = GOLDENS / "gluon"
    export = kuai("inspect", folder / "convbn_export-0000.params", "--program",
                  folder / "convbn_export-symbol.json", "--json")  # fmt: skip
    assert json.loads(export.out)["arrays"][0]["name"] == "conv0_weight"


def test_a_file_that_is_none_is_refused_in_words(kuai, tmp_path):
    (tmp_path / "net.pt").write_text("<!DOCTYPE html>")
    answer = kuai("inspect", "net.pt")
    assert (answer.code, answer.out) == (1, "")
    assert "kuai: error: net.pt: expected a file of weights" in answer.err
    assert "a web page: the download went wrong" in answer.err


def test_a_name_cannot_speak_to_the_terminal(kuai, tmp_path):
    (tmp_path / "net").write_bytes(plain_safetensors({"a\x1b[2J": (2,)}))
    assert "a\\x1b[2J  (2,)" in kuai("inspect", "net").out


def test_only_headers_are_read(kuai, tmp_path, monkeypatch):
    lengths = []
    real = Span.elements
    monkeypatch.setattr(Span, "elements", lambda s, d: lengths.append(s.length) or real(s, d))
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**28], "data_offsets": [0, 2**30]}})
    with (tmp_path / "net").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header.encode())
        file.truncate(8 + len(header) + 2**30)  # a gigabyte that takes no room
    assert "268,435,456" in kuai("inspect", "net").out
    assert 0 < max(lengths) < 1000
