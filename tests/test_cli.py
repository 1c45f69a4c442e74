"""What holds for every command: streams, exit codes, where settings come from, errors."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from kuai.cli import cache
from kuai.cli.options import UsageError
from kuai.cli.program import COMMANDS, command_of
from tests.cli_helpers import caller, quiet_environment


@pytest.fixture
def kuai(monkeypatch, tmp_path, capsys):
    quiet_environment(monkeypatch, tmp_path)
    return caller(capsys)


def shown(answer):
    """The widths that `kuai show --json` told."""
    return [
        row["outputs"][0][1] for row in json.loads(answer.out)["rows"] if row["class"] == "Dense"
    ]


# ---- streams and exit codes


def test_version_tells_what_results_depend_on(kuai):
    answer = kuai("version", "--json")
    found = json.loads(answer.out)
    assert (answer.code, answer.err) == (0, "")
    assert found["kuai"] == metadata.version("kuai-nn")
    assert found["jax"] == metadata.version("jax")


def test_text_and_json_say_the_same(kuai):
    lines = [line.split(maxsplit=1) for line in kuai("version").out.splitlines()]
    assert dict(lines) == json.loads(kuai("version", "--json").out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("shw",), "invalid choice: 'shw'"),
        (("show",), "the following arguments are required: TARGET"),
        (("show", "mlp", "--widht", "3"), "unrecognized arguments: --widht"),
        (("train", "--epoch", "3"), "unrecognized arguments: --epoch 3; did you mean --epochs?"),
        (("train", "--epoch=3"), "--epoch=3; did you mean --epochs?\nkuai train --help tells what"),
        (("generate", "runs/t", "--top-kk", "5"), "--top-kk 5; did you mean --top-k?"),
        (("generate", "runs/t", "--top-k", "0"), "--top-k: expected a whole number from 1, got"),
        (("generate", "runs/t", "--top-p", "0"), "--top-p: expected a number above 0 and up to 1"),
        (("show", "mlp", "--hidden", "a"), "--hidden: expected whole numbers from 1 with commas"),
        (("show", "mlp", "--hidden", "8,0"), "got '8,0'"),
        (
            ("show", "nothing"),
            "expected the folder of a run, a .safetensors file, mlp, lenet, resnet18",
        ),
        (("train", "--epochs", "0"), "--epochs: expected a whole number from 1, got '0'"),
        (("train", "--test", "1"), "--test: expected a number from 0 up to below 1, got '1'"),
        (("train", "--lr", "nan"), "--lr: expected a number above 0, got 'nan'"),
        (("train", "--optimizer", "adm"), "--optimizer: expected one of adam, adamw"),
        (
            ("train", "--net", "mlq"),
            "lstm or module:factory, got 'mlq'; did you mean 'mlp'?",
        ),
        (("train", "--data", "digit"), "did you mean 'digits'?"),
        (("train", "--resume", "--force"), "--resume goes with none of --force"),
        (("predict", "x.safetensors"), "either --input (inputs alone) or --data"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_was_expected(kuai, words, said):
    answer = kuai(*words)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "gone.safetensors"), "gone.safetensors: no such file"),
        (
            ("eval", "gone", "--data", "digits", "--net", "mlp"),
            "gone: no such file or fo",
        ),
        (
            ("eval", "gone"),
            "gone: no such file or folder; expected the folder of",
        ),
        (("eval", "."), ".: expected the folder of a run, but there is no run.json in it"),
        (("predict", "gone", "--data", "digits"), "gone: no such file or folder"),
        (("train", "--data", "gone.csv"), "gone.csv: the file does not exist"),
        (("train", "--resume", "--out", "gone"), "expected the folder of a run"),
    ],
)
def test_a_failure_exits_with_1_and_one_clear_message(kuai, words, said):
    answer = kuai(*words)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("kuai: error: ")
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_debug_shows_where_an_error_arose(kuai, monkeypatch):
    monkeypatch.setenv("KUAI_DEBUG", "1")
    answer = kuai("show", "gone.safetensors")
    assert answer.code == 1
    assert "Traceback" in answer.err


def test_an_interrupt_exits_with_130(kuai, tmp_path, monkeypatch):
    (tmp_path / "stopped.py").write_text("def net():\n    raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    answer = kuai("show", "stopped:net")
    assert (answer.code, answer.out, answer.err) == (130, "", "kuai: error: interrupted\n")


@pytest.mark.parametrize("words", [("--help",), ("train", "--help")])
def test_help_is_an_answer(kuai, words):
    answer = kuai(*words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("usage: kuai ")


def test_the_help_tells_every_option_and_default(kuai):
    for command in map(command_of, COMMANDS):
        text = " ".join(kuai(command.name, "--help").out.split())
        for option in command.options:
            assert f"--{option.name}" in text
            if isinstance(option.default, (int, float)) and not isinstance(option.default, bool):
                assert f"(default {option.default})" in text


def test_kuai_and_python_m_kuai_are_one_and_a_pipe_gets_no_codes(tmp_path):
    script = Path(sys.executable).parent / "kuai"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    answers = [
        subprocess.run(command, capture_output=True, check=False, cwd=tmp_path, env=environment)
        for command in ([script, "show", "mlp"], [sys.executable, "-m", "kuai", "show", "mlp"])
    ]
    assert [answer.returncode for answer in answers] == [0, 0], answers[0].stderr
    assert answers[0].stdout == answers[1].stdout != b""
    assert b"\x1b" not in answers[0].stdout + answers[0].stderr
    kept = tmp_path / ".cache" / "kuai" / "compiled"
    assert kept.stat().st_mode & 0o777 == 0o700


def test_a_closed_pipe_is_no_traceback(tmp_path):
    command = f"{sys.executable} -m kuai show mlp --json --no-cache | true"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    found = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, check=False, cwd=tmp_path, env=environment
    )
    assert found.stderr == b""


# ---- where settings come from


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    kuai, monkeypatch, tmp_path
):
    (tmp_path / "my.toml").write_text('hidden = "3"\n[train]\nhidden = "9"\n')
    assert shown(kuai("show", "mlp", "--json")) == [256, 128, 10]
    assert shown(kuai("show", "mlp", "--json", "--config", "my.toml")) == [3, 10]
    monkeypatch.setenv("KUAI_HIDDEN", "4")
    assert shown(kuai("show", "mlp", "--json", "--config", "my.toml")) == [4, 10]
    assert shown(kuai("show", "mlp", "--json", "--hidden", "5,6")) == [5, 6, 10]


def test_the_file_may_be_named_by_the_environment_and_has_a_table_a_command(
    kuai, monkeypatch, tmp_path
):
    (tmp_path / "my.toml").write_text(
        "hidden = 3\n[show]\nhidden = [7, 8]\noutputs = 2\njson = true\n"
    )
    monkeypatch.setenv("KUAI_CONFIG", "my.toml")
    assert shown(kuai("show", "mlp")) == [7, 8, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hiden = 3\n", "unknown setting 'hiden'; did you mean 'hidden'?"),
        ("[show]\nhidden = 0\n", "my.toml: hidden: expected whole numbers from 1"),
        ("hidden = \n", "expected a TOML file, but"),
    ],
)
def test_a_wrong_file_is_wrong_usage(kuai, tmp_path, text, said):
    (tmp_path / "my.toml").write_text(text)
    answer = kuai("show", "mlp", "--config", "my.toml")
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_settings_of_another_command_may_stand_in_the_file(kuai, tmp_path):
    (tmp_path / "my.toml").write_text("epochs = 3\n[train]\nlr = 0.1\n")
    assert kuai("show", "mlp", "--config", "my.toml").code == 0


def test_a_missing_file_is_a_failure(kuai):
    answer = kuai("show", "mlp", "--config", "gone.toml")
    assert (answer.code, answer.err) == (
        1,
        "kuai: error: --config gone.toml: cannot be read (No such file or directory)\n",
    )


def test_a_wrong_variable_is_named(kuai, monkeypatch):
    monkeypatch.setenv("KUAI_EPOCHS", "many")
    assert "KUAI_EPOCHS: expected a whole number from 1, got 'many'" in kuai("train").err


# ---- the log


def test_quiet_leaves_warnings_only(kuai, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("from kuai import nn\nnet = nn.Dense(2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "--shape 28,28,1" in kuai("show", "mine:net").err
    assert kuai("show", "mine:net", "--quiet").err == ""
    assert logging.getLogger().handlers == [
        h for h in logging.getLogger().handlers if type(h).__module__ != "kuai.cli.program"
    ]


# ---- the cache of compiled programs


def test_the_cache_is_made_for_the_user_alone(tmp_path):
    folder = tmp_path / "a" / "b"
    assert cache.prepare(folder) is None
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_cache_that_others_may_write_to_is_not_used(tmp_path):
    tmp_path.chmod(0o777)
    assert cache.prepare(tmp_path) == (
        f"others may write to {tmp_path} and so make you run anything; empty it, chmod 700 it"
    )


def test_a_cache_of_another_user_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid + 1)
    assert "belongs to another user" in str(cache.prepare(tmp_path))


def test_a_cache_that_is_a_link_or_a_file_is_not_used(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert cache.prepare(tmp_path / "link") == f"{tmp_path / 'link'} is no folder"
    (tmp_path / "file").write_text("")
    assert "cannot be made" in str(cache.prepare(tmp_path / "file"))


def test_the_cache_folder_follows_the_system(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "kuai" / "compiled"


def test_usage_errors_are_no_errors_of_the_library():
    from kuai.errors import KuaiError

    assert not issubclass(UsageError, KuaiError)
