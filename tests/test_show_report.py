"""Curves, the one-page report, and a block in a notebook."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import hypothesis
import hypothesis.strategies as some
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.show import Report, save_curve, to_html
from kuai.show.chart import HEIGHT, WIDTH, chart, ticks
from kuai.show.records import panels
from kuai.show.wording import bytes_text, flops_text, shape_text

RECORDS = [
    {"epoch": 1, "steps": 9, "loss": 2.0, "accuracy": 0.5, "val_loss": 2.5, "seconds": 0.1},
    {"epoch": 2, "steps": 18, "loss": 1.0, "accuracy": 0.75, "val_loss": 1.5, "seconds": 0.1},
]
SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """What is in a page: its tags with their attributes, its text; tags must close in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def named(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def parsed(svg):
    return ElementTree.fromstring(svg)  # noqa: S314  # written by this very test


def report(**given):
    summary = nn.Sequential(nn.Dense(4), nn.ReLU(), nn.Dense(2)).summary(
        np.ones((1, 3), np.float32)
    )
    return Report("Digits", summary, **given)


# ---- records


def test_records_become_panels_with_lines():
    loss, accuracy = panels(RECORDS)
    assert (loss.label, accuracy.label) == ("loss (mean per sample)", "accuracy (fraction)")
    assert loss.lines == {"train": [(1, 2), (2, 1)], "validation": [(1, 2.5), (2, 1.5)]}
    assert accuracy.lines == {"train": [(1, 0.5), (2, 0.75)]}


def test_units_may_be_given_and_prefixes_spelt_out():
    (panel,) = panels([{"train_error": 3.0, "validation_error": 4}], {"error": "mm"})
    assert panel.label == "error (mm)"
    assert panel.lines == {"train": [(1, 3)], "validation": [(1, 4)]}


def test_what_is_no_finite_number_is_left_out():
    odd = {"loss": math.nan, "best": True, "note": "x", "nothing": None, "arrays": [1, 2]}
    (panel,) = panels([odd, {"loss": np.float32(1.5), "epoch": 7}])
    assert panel.lines == {"train": [(7, 1.5)]}


@pytest.mark.parametrize("records", [[], [{"epoch": 1}], [{"loss": math.inf}]])
def test_nothing_to_draw_says_what_was_expected(records, tmp_path):
    with pytest.raises(kuai.errors.DataError) as caught:
        save_curve(records, tmp_path / "curve.png")
    assert str(caught.value) == (
        "records: expected dicts with a number for each loss or metric, such as "
        "{'epoch': 1, 'loss': 0.7}, got none; train for an epoch before drawing its curve"
    )
    assert list(tmp_path.iterdir()) == []


# ---- the curve as PNG


def test_the_curve_is_a_png_with_labelled_axes(tmp_path, monkeypatch):
    from kuai.show import curve

    drawn = []
    draw = curve._draw
    monkeypatch.setattr(curve, "_draw", lambda axes, panel: drawn.append(axes) or draw(axes, panel))
    save_curve(RECORDS, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG\r\n")
    loss = drawn[0]
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss (mean per sample)")
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["train", "validation"]
    np.testing.assert_array_equal(loss.lines[1].get_xydata(), [[1, 2.5], [2, 1.5]])


def test_the_curve_is_the_same_every_time_and_leaves_pyplot_alone(tmp_path):
    code = (
        "import sys; from kuai.show import save_curve; records = [{'loss': 2.0}, {'loss': 1.0}]\n"
        f"for name in 'ab': save_curve(records, {str(tmp_path)!r} + '/' + name)\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(kuai.errors.MissingExtraError) as caught:
        save_curve(RECORDS, tmp_path / "curve.png")
    message = 'the training curve needs matplotlib: pip install "kuai-nn[plot]"'
    assert str(caught.value) == message


# ---- the curve as SVG


def test_the_chart_says_what_it_shows():
    svg = parsed(chart(panels(RECORDS)[0]))
    words = "loss (mean per sample) by epoch: train from 2 to 1, validation from 2.5 to 1.5"
    assert svg.get("aria-label") == svg.find(f"{SVG}title").text == words
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert {"epoch", "loss (mean per sample)", "train", "validation"} <= set(texts)


def test_the_chart_puts_values_where_the_grid_says():
    svg = parsed(chart(panels(RECORDS)[1]))
    marks = {t.text: t for t in svg.iter(f"{SVG}text")}
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in svg.iter(f"{SVG}circle")]
    assert circles[0] == (float(marks["1"].get("x")), float(marks["0.5"].get("y")) - 4)
    assert circles[1] == (float(marks["2"].get("x")), float(marks["0.75"].get("y")) - 4)


values = some.floats(-1e38, 1e38) | some.floats(-10, 10)


@hypothesis.given(some.lists(values, min_size=1, max_size=60))
def test_law_every_chart_parses_and_stays_on_its_page(losses):
    svg = parsed(chart(panels([{"loss": loss} for loss in losses])[0]))
    points = [pair.split(",") for pair in svg.find(f"{SVG}polyline").get("points").split()]
    assert len(points) == len(losses)
    assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in points)


@hypothesis.given(some.floats(-1e6, 1e6), some.floats(1e-3, 1e6))
def test_law_ticks_are_few_even_and_enclose_the_range(low, span):
    marks = ticks(low, low + span)
    assert 3 <= len(marks) <= 9
    assert marks[0] <= low + 1e-6 * span
    assert marks[-1] >= low + span - 1e-6 * span
    steps = np.diff(marks)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)


# ---- the report


def test_the_page_has_all_its_parts():
    page = report(
        data={"samples": 1797},
        records=RECORDS,
        metrics={"test accuracy": 0.97777777},
        confusion=[[5, 1], [0, 6]],
        classes=["cat", "dog"],
        settings={"epochs": 2},
    ).html()
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["Results", "Confusion matrix", "Training", "Data", "Net", "Diagram",
                        "Settings", "Versions"]  # fmt: skip
    words = Page(page).words
    assert {"Digits", "1797", "0.977778", "cat", "5", "Sequential", "jax"} <= set(words)


def test_what_is_not_given_is_left_out():
    assert re.findall(r"<h2>(.*?)</h2>", report().html()) == ["Net", "Diagram", "Versions"]


def test_the_page_asks_for_nothing_outside():
    page = report(records=RECORDS).html()
    assert "default-src 'none'" in page
    assert set(re.findall(r"https?://[^\s\"<]*", page)) == {"http://www.w3.org/2000/svg"}
    tags = {tag for tag, _ in Page(page).tags}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert "@import" not in page
    assert "url(" not in page


def test_the_page_is_accessible():
    page = Page(report(records=RECORDS, metrics={"loss": 1.0}, confusion=[[1]]).html())
    assert page.named("html") == [{"lang": "en"}]
    assert len(page.named("h1")) == 1
    assert len(page.named("svg")) == 3
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.named("svg"))
    assert all(head.get("scope") in ("row", "col") for head in page.named("th"))
    assert len(page.named("caption")) == len(page.named("table"))


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def over(front, back, share):
    pairs = [(int(front[i : i + 2], 16), int(back[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(share * f + (1 - share) * b):02x}" for f, b in pairs)


@pytest.mark.parametrize(("text", "back"), [("#1b1f24", "#ffffff"), ("#e6edf3", "#0d1117")])
def test_the_darkest_cell_can_be_read(text, back):
    from kuai.show.confusion import _DARKEST

    assert text in report().html()
    light, dark = luminance(text), luminance(over("#0969da", back, _DARKEST))
    assert (max(light, dark) + 0.05) / (min(light, dark) + 0.05) >= 4.5


def test_the_page_escapes_what_it_is_given():
    evil = "<script>alert(1)</script>"
    page = report(
        metrics={evil: evil}, confusion=[[1]], classes=[evil], settings={evil: evil}
    ).html()
    assert "<script" not in page
    assert Page(page).words.count(evil) == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"confusion": [[1, 2]]}, "expected a square matrix of counts, true class by predicted"),
        ({"confusion": [[1]], "classes": ["a", "b"]}, "classes: expected 1 names"),
        ({"classes": ["a"]}, "expected a confusion matrix with classes, got none"),
    ],
)
def test_a_confusion_matrix_that_does_not_fit_is_refused(given, message):
    with pytest.raises(kuai.errors.ArgumentError, match=message):
        report(**given)


def test_an_empty_class_has_no_share():
    page = report(confusion=[[0, 0], [1, 3]]).html()
    assert "rgba(9,105,218,0.00)" in page
    assert "rgba(9,105,218,0.34)" in page


def test_the_page_is_saved_as_a_file(tmp_path):
    report().save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report().html()


# ---- notebooks


def test_a_block_in_a_notebook_is_a_tree_that_closes():
    shared = nn.Dense(2)
    net = nn.Sequential(shared, nn.Sequential(nn.BatchNorm(), shared), nn.Dense(3).freeze())
    net.me = net
    page = Page(to_html(net))
    assert len(page.named("details")) == 7
    words = "".join(page.words)
    assert "Dense(2)" in words
    assert "weight: parameter (?, 2) float32" in words
    assert "bias: parameter (3,) float32 frozen" in words
    assert "Dense (shared with 0)" in words
    assert "Sequential (shared with (net))" in words
    assert net._repr_html_() == to_html(net)


def test_a_notebook_shows_names_as_they_are():
    words = Page(to_html(nn.BlockDict({"<b>": nn.Dense(1)}))).words
    assert "<b>: " in words


def test_a_tied_parameter_is_marked_in_a_notebook():
    a, b = nn.Embedding(3, 2), nn.Embedding(3, 2)
    b.weight = a.params.weight
    assert "shared with 0.weight" in to_html(nn.BlockList([a, b]))


# ---- wording


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1048575, "1.0 MiB"), (None, "?")],
)
def test_bytes_read_well(number, text):
    assert bytes_text(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0 k"), (999_999, "1.0 M"), (10**22, "10000.0 E")],
)
def test_flops_read_well(number, text):
    assert flops_text(number) == text


@pytest.mark.parametrize(
    ("shape", "text"), [((), "()"), ((3,), "(3,)"), ((None,), "(?,)"), ((None, 2), "(?, 2)")]
)
def test_shapes_read_as_python_writes_them(shape, text):
    assert shape_text(shape) == text
