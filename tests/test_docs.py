"""The pages say what is so: names that exist, links that lead somewhere, options, figures."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import pytest

import kuai
from benchmarks import table
from kuai.cli import program, runs
from kuai.cli.command import COMMON
from tests.forwards import CASES
from tests.forwards import table as forwards

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_readme_shows_the_table_of_the_recorded_figures():
    shown = table.parts(text_of("README.md"))[1]
    assert shown == table.markdown(ROOT / "benchmarks" / "results" / "latest.json"), (
        "renew it: python -m benchmarks.table --write"
    )


def test_the_table_has_a_row_for_each_aim(tmp_path):
    values = {"kuai": 10.0, "torch": 40.0, "raw jax.jit": 8.0}
    comparison = {"title": "a step", "unit": "us", "values": values, "targets": {"torch": 0.5}}
    machine = {"processor": "P", "cores": 2, "python": "3", "date": "D", "load_average_1min": 0.1}
    record = {"machine": machine, "versions": {"jax": "0.10.2"}, "comparisons": [comparison]}
    (tmp_path / "latest.json").write_text(json.dumps(record))
    lines = table.markdown(tmp_path / "latest.json").splitlines()
    assert lines[2:-2] == ["| a step | us | 10 | torch: 40 | 0.25 | ≤ 0.50 |"]
    assert lines[-1] == "P, 2 cores, Python 3, jax 0.10.2; D, load 0.1."


def test_without_figures_the_table_says_so(tmp_path):
    assert table.markdown(tmp_path / "none.json") == table.NONE


@pytest.mark.parametrize("name", ["working", "refused"])
def test_the_page_of_what_compiles_shows_the_suite_of_forwards(name):
    shown = forwards.parts(text_of("docs/what-compiles.md"), name)[1]
    assert shown == getattr(forwards, name)(), "renew it: python -m tests.forwards.table --write"


def test_a_remedy_is_the_last_part_of_a_message():
    [branch] = [case for case in CASES if case.name == "refused_branches.shapes_differ"]
    [item] = [case for case in CASES if case.name == "refused_values.array_item"]
    remedy = "give both branches the same shape, structure and kind"
    assert forwards.told(branch) == ("`BranchError`", remedy)
    assert forwards.told(item) == ("`TypeError`", forwards.PLAIN)


def test_a_table_of_forwards_shows_markdown_as_it_is():
    assert forwards._escaped("*args | x_1[0] `a*b`") == r"\*args \| x\_1\[0\] `a*b`"


@every_page
def test_no_page_installs_the_other_project_of_that_name(page):
    assert not re.search(r"pip\s+install\s+(-\S+\s+)*[\"']?kuai(?!-nn)", page.read_text())


def resolves(name: str) -> bool:
    try:
        functools.reduce(getattr, name.split(".")[1:], kuai)
    except AttributeError:
        return False
    return True


@every_page
def test_every_name_of_kuai_in_a_page_exists(page):
    named = set(re.findall(r"(?<![\w./:\"-])kuai(?:\.[A-Za-z]\w*)+", page.read_text()))
    files = {"kuai.aliases", "kuai.checksums", "kuai.trainer"}  # keys in a weights file
    assert [name for name in sorted(named - files) if not resolves(name)] == []


@every_page
def test_every_link_to_a_file_leads_to_one(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_chapter_links_every_listing():
    linked = re.findall(r"examples/chapter/(\w+\.py)\)", text_of("docs/layers-and-blocks.md"))
    files = sorted(file.name for file in (ROOT / "examples" / "chapter").glob("[0-9]*.py"))
    assert sorted(set(linked)) == files


@pytest.mark.parametrize("name", program.COMMANDS)
def test_the_command_line_page_tells_every_option(name):
    command = program.command_of(name)
    page = text_of("docs/command-line.md")
    options = [f"`--{option.name}" for option in (*command.options, *COMMON)]
    assert [told for told in [f"`kuai {name}", *options] if told not in page] == []


@pytest.mark.parametrize("name", program.COMMANDS)
def test_the_command_line_page_tells_the_defaults(name):
    command = program.command_of(name)
    page = text_of("docs/command-line.md")
    own = page.partition(f"## `kuai {name}`")[2].partition("\n## ")[0]
    shared = page.partition("## The net")[2].partition("\n## ")[0]
    told = dict(re.findall(r"^\| `--([a-z-]+).*\| ([^|]+) \|$", shared + own, flags=re.MULTILINE))
    numbers = {o.name: f"{o.default}" for o in command.options if type(o.default) in (int, float)}
    assert {name: told[name] for name in numbers} == numbers


def test_the_command_line_page_tells_every_file_of_a_run():
    page = text_of("docs/command-line.md")
    assert [name for name in runs._OWN if f"`{name}`" not in page] == []
