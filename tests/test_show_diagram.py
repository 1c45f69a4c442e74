"""The picture of a net: every place is in it, equal runs once, and it is well-formed."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import hypothesis
import hypothesis.strategies as some
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.show import save_diagram, to_svg
from kuai.show.boxes import boxes_of, every
from kuai.show.table import place

X = np.ones((2, 8), np.float32)
SVG = "{http://www.w3.org/2000/svg}"


class Layer(kuai.Block):
    def __init__(self):
        self.norm, self.dense = nn.LayerNorm(), nn.Dense(8)

    def forward(self, x):
        return x + self.dense(self.norm(x))


def parsed(text):
    return ElementTree.fromstring(text)  # noqa: S314  # written by this very test


def titles(svg):
    """The places that the boxes stand for, from their titles."""
    found = [title.text.split(": ", 1)[1] for title in svg.iterfind(f"{SVG}g/{SVG}title")]
    return [path for text in found for path in text.split(", ")]


def texts(svg):
    return [text.text for text in svg.iter(f"{SVG}text")]


def nets():
    dense = nn.Dense(8)
    cyclic = nn.Sequential(nn.Dense(8))
    cyclic[0].parent = cyclic
    return {
        "one block": nn.Dense(3),
        "nested": nn.Sequential(nn.Dense(8), nn.Sequential(nn.Dense(4), nn.ReLU())),
        "shared": nn.Sequential(dense, nn.Parallel(dense, nn.Dense(2))),
        "cycle": cyclic,
        "many equal": nn.Sequential(*[Layer() for _ in range(48)], nn.Dense(2)),
        "a pattern": nn.Sequential(
            *[make() for _ in range(9) for make in (lambda: nn.Dense(8), nn.ReLU)], nn.Dense(2)
        ),
        "many different": nn.Sequential(*[nn.Dense(n + 1) for n in range(60)]),
    }


@pytest.mark.parametrize("name", nets())
@pytest.mark.parametrize("sample", [(), (X,)], ids=["without a sample", "with a sample"])
def test_it_parses_and_holds_every_place_once(name, sample):
    net = nets()[name]
    paths = [row.path for row in net.summary().rows]
    svg = parsed(to_svg(net, *sample))
    assert sorted(titles(svg)) == sorted(map(place, paths))


def test_equal_siblings_are_one_box():
    svg = parsed(to_svg(nets()["many equal"]))
    assert "Layer × 48" in texts(svg)
    assert "0.norm … 47.norm" in texts(svg)
    assert len(list(svg.iterfind(f"{SVG}g"))) == 1 + 3 + 1  # net, layer with two inside, head


def test_a_repeated_pattern_is_one_frame():
    svg = parsed(to_svg(nets()["a pattern"], X))
    assert "× 9" in texts(svg)
    assert "0 … 16" in texts(svg)
    assert texts(svg).count("ReLU") == 1


def test_two_equal_siblings_stay_two_boxes():
    svg = parsed(to_svg(nn.Sequential(nn.ReLU(), nn.ReLU())))
    assert texts(svg).count("ReLU") == 2


def test_siblings_that_differ_in_what_they_hold_are_not_joined():
    net = nn.Sequential(*[nn.Dense(8) for _ in range(3)])
    net[1].freeze()
    svg = parsed(to_svg(net, X))
    assert texts(svg).count("Dense") == 3
    assert "72 parameters, frozen" in texts(svg)


@pytest.mark.parametrize("make", [lambda n: nn.Dense(n + 1), lambda n: nn.Dropout(n / 10)])
def test_siblings_made_otherwise_are_not_joined(make):
    svg = parsed(to_svg(nn.Sequential(*map(make, range(3)))))
    assert len(list(svg.iterfind(f"{SVG}g"))) == 4


def test_a_shared_block_is_drawn_once_and_referred_to():
    svg = parsed(to_svg(nets()["shared"], X))
    assert "= 0, shared" in texts(svg)
    assert texts(svg).count("72 parameters") == 1


def test_shapes_and_counts_are_told():
    svg = parsed(to_svg(nn.Sequential(nn.Dense(4), nn.BatchNorm()), X))
    assert {"→ (2, 4)", "36 parameters", "8 parameters", "8 in states"} <= set(texts(svg))
    assert "? parameters" in texts(parsed(to_svg(nn.Dense(4))))


def test_arrows_join_the_steps_of_a_sequence_alone():
    def arrows(net):
        return sum(path.get("class") == "flow" for path in parsed(to_svg(net)).iter(f"{SVG}path"))

    blocks = nn.Dense(1), nn.Dense(2), nn.Dense(3)
    assert arrows(nn.Sequential(*blocks)) == 2
    assert arrows(nn.BlockList(blocks)) == 0
    with_attribute = nn.Sequential(*blocks)
    with_attribute.other = nn.Dense(4)
    assert arrows(with_attribute) == 0


def boxes_on_page(svg):
    """(x, y, right, bottom) of each box, less the page and the edges behind a stack."""
    groups = [group.findall(f"{SVG}rect")[-1] for group in svg.iterfind(f"{SVG}g")]
    numbers = [[float(r.get(k)) for k in ("x", "y", "width", "height")] for r in groups]
    return [(x, y, x + width, y + height) for x, y, width, height in numbers]


@pytest.mark.parametrize("name", nets())
def test_boxes_lie_on_the_page_and_inside_or_beside_each_other(name):
    svg = parsed(to_svg(nets()[name], X))
    boxes = boxes_on_page(svg)
    width, height = float(svg.get("width")), float(svg.get("height"))
    assert all(x >= 0 and y >= 0 and r <= width and b <= height for x, y, r, b in boxes)
    for index, a in enumerate(boxes):
        for b in boxes[index + 1 :]:
            beside = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            inside = a[0] < b[0] and a[1] < b[1] and a[2] > b[2] and a[3] > b[3]
            assert beside or inside


def test_many_different_blocks_are_not_one_long_column():
    svg = parsed(to_svg(nets()["many different"], X))
    assert float(svg.get("height")) < 2 * float(svg.get("width"))


def test_it_is_the_same_every_time():
    assert to_svg(nets()["shared"], X) == to_svg(nets()["shared"], X)


def test_a_summary_can_be_drawn_too():
    net = nets()["nested"]
    assert to_svg(net.summary(X)) == to_svg(net, X)


def test_it_serves_light_and_dark_screens():
    assert "@media screen and (prefers-color-scheme: dark)" in to_svg(nn.Dense(1))


def test_it_is_named_for_those_who_cannot_see_it():
    svg = parsed(to_svg(nn.Dense(1), X))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "Diagram of Dense, 9 parameters"


def test_names_are_escaped_and_what_xml_forbids_is_replaced():
    svg = parsed(to_svg(nn.BlockDict({'<script>&"\x00\ud800': nn.Dense(1)})))
    assert '<script>&"\ufffd\ufffd' in texts(svg)


def test_long_names_are_shortened_where_they_are_drawn():
    path = "a" * 200
    svg = parsed(to_svg(nn.BlockDict({path: nn.Dense(1)})))
    assert path in titles(svg)
    assert max(map(len, texts(svg))) <= 44


def test_it_is_saved_as_a_file(tmp_path):
    save_diagram(nn.Dense(1), tmp_path / "net.svg", X)
    assert (tmp_path / "net.svg").read_text() == to_svg(nn.Dense(1), X)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(kuai.errors.FileAccessError, match=r"the folder .*nowhere does not exist"):
        save_diagram(nn.Dense(1), tmp_path / "nowhere" / "net.svg")


def test_a_very_deep_net_has_a_picture():
    net = nn.Identity()
    for _ in range(1200):
        net = nn.BlockList([net])
    assert len(re.findall("<g>", to_svg(net))) == 1201


@hypothesis.given(some.lists(some.sampled_from([nn.ReLU, nn.Tanh, Layer]), max_size=24))
@hypothesis.settings(max_examples=40)
def test_law_collapsing_loses_and_doubles_no_place(makers):
    net = nn.Sequential(*[make() for make in makers])
    boxes = list(every(boxes_of(net.summary())))
    paths = [path for box in boxes for path in box.paths]
    assert sorted(paths) == sorted(row.path for row in net.summary().rows)
