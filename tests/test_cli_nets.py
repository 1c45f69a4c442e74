"""The command line's nets for images and text: trained, told about, and let write."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tests.cli_helpers import caller, quiet_environment

SENTENCE = "the cat sat on the mat and the dog sat on the log. "
GPT = ("--net", "gpt-mini", "--layers", 1, "--width", 16, "--heads", 2, "--dropout", 0)
SHORT = ("--context", 16, "--epochs", 6, "--batch-size", 8, "--lr", 0.01)


@pytest.fixture
def kuai(monkeypatch, tmp_path, capsys):
    quiet_environment(monkeypatch, tmp_path)
    (tmp_path / "t.txt").write_text(SENTENCE * 20)
    return caller(capsys)


def losses(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize(
    "net", [GPT, ("--net", "lstm", "--layers", 1, "--width", 16, "--dropout", 0)]
)
def test_a_net_for_text_learns_and_writes(kuai, tmp_path, net):
    answer = kuai("train", "--data", "text:t.txt", *net, *SHORT, "--quiet")
    assert answer.code == 0, answer.err
    found = losses(tmp_path / "runs" / "t")
    assert found[-1] < 0.9 * found[0]
    sample = answer.out.partition("a sample of what it writes:\n")[2]
    assert sample.startswith(SENTENCE[:16])
    assert len(sample.strip("\n")) >= 200

    again = kuai("generate", "runs/t", "--start", "the ", "--length", 12, "--json")
    assert again.code == 0, again.err
    assert len(json.loads(again.out)["text"]) == 16
    one, other = (kuai("generate", "runs/t", "--seed", seed).out for seed in (1, 2))
    assert one != other
    for likeliest in ("--temperature", 0), ("--top-k", 1), ("--top-p", 1e-6):
        one, other = (kuai("generate", "runs/t", *likeliest, "--seed", s).out for s in (1, 2))
        assert one == other

    scores = kuai("eval", "runs/t", "--json")
    assert scores.code == 0, scores.err
    assert json.loads(scores.out)["part"] == "test"


@pytest.mark.slow
def test_a_text_known_by_heart_goes_on_past_the_context(kuai, tmp_path):
    size = ("--layers", 2, "--width", 32, "--heads", 2, "--dropout", 0)
    long = ("--context", 32, "--epochs", 40, "--batch-size", 8, "--lr", 0.005, "--quiet")
    (tmp_path / "t.txt").write_text(SENTENCE * 150)  # pieces begin at every place of the sentence
    trained = kuai("train", "--data", "text:t.txt", "--net", "gpt-mini", *size, *long)
    assert trained.code == 0, trained.err
    for start in ("the cat", SENTENCE):  # one is shorter than the context, one longer
        words = ("--start", start, "--length", 150, "--temperature", 0, "--json")
        answer = kuai("generate", "runs/t", *words)
        assert answer.code == 0, answer.err
        assert json.loads(answer.out)["text"] == (SENTENCE * 5)[: len(start) + 150]


def test_a_net_for_text_is_judged_at_its_own_context(kuai):
    kuai("train", "--data", "text:t.txt", *GPT, *SHORT, "--epochs", 1, "--quiet")
    shutil.copy("runs/t/weights.safetensors", "alone.safetensors")
    words = ("--data", "text:t.txt", "--outputs", len(set(SENTENCE)), "--json")
    answer = kuai("eval", "alone.safetensors", *GPT, "--context", 16, *words)
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["accuracy"] > 0


def test_no_more_positions_are_shown_than_trained(kuai):
    answer = kuai("show", "gpt-mini", "--context", 5, "--json")
    assert answer.code == 0, answer.err
    assert "5, 128" in str(json.loads(answer.out))


@pytest.mark.parametrize("net", ["lenet", "resnet18", "gpt-mini", "lstm"])
def test_a_known_net_is_shown_with_an_input_of_its_kind(kuai, net):
    answer = kuai("show", net, "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["flops"] > 0


def test_images_are_made_of_rows_of_pixels(kuai, tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    labels = (rows[:, :8].sum(1) > rows[:, 8:].sum(1)).astype(int)
    np.savez("images.npz", x=rows + 3 * labels[:, None], y=labels)
    answer = kuai(
        *("train", "--net", "resnet18", "--data", "images.npz", "--epochs", 2, "--quiet"),
        *("--validation", 0, "--batch-size", 8),
    )
    assert answer.code == 0, answer.err
    found = losses(tmp_path / "runs" / "images")
    assert found[-1] < found[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--net", "gpt-mini", "--hidden", "4"), "--hidden: the net gpt-mini has no such option"),
        (
            ("--net", "gpt-mini", "--data", "digits"),
            "expected tokens (examples, length), got float32",
        ),
        (("--net", "resnet18", "--data", "text:none.txt"), "none.txt: the file does not exist"),
        (
            ("--net", "resnet18", "--data", "text:t.txt"),
            "--net resnet18: it takes images, and --data is text; choose --net gpt-mini or lstm",
        ),
        (("--net", "mlp", "--data", "text:t.txt"), "--net mlp: it takes numbers, and --data is"),
        (("--net", "resnet18", "--data", "table.csv"), "expected images (examples, height, width"),
    ],
)
def test_what_does_not_fit_is_told(kuai, tmp_path, words, message):
    (tmp_path / "table.csv").write_text("a,b,label\n" + "1.5,2.5,x\n2.5,1.5,y\n" * 10)
    answer = kuai("train", *words)
    assert answer.code in (1, 2)
    assert message in answer.err


def test_a_beginning_of_other_characters_is_refused(kuai):
    assert kuai("train", "--data", "text:t.txt", *GPT, *SHORT, "--fast-dev-run").code == 0
    kuai("train", "--data", "text:t.txt", *GPT, *SHORT, "--epochs", 1, "--quiet")
    answer = kuai("generate", "runs/t", "--start", "Ω")
    assert answer.code == 1
    assert "got 'Ω' too" in answer.err
    answer = kuai("predict", "runs/t", "--data", "text:t.txt")
    assert answer.code == 2
    assert "kuai generate" in answer.err
