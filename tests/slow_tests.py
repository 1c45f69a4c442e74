"""Write tests/slow.txt: the tests that `make test` leaves to `make test-all`, as measured.

    python -m pytest --junitxml=times.xml && python -m tests.slow_tests times.xml

A test of SECONDS or more is slow, but of every kind of layer the plainest ones stay. The examples
in the docs stay too.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SECONDS = 0.8
LIST = Path(__file__).with_name("slow.txt")
KEPT = ("[Dense]", "[Conv2d]", "[BatchNorm]", "[LSTM]", "[MultiHeadAttention]", "[Sequential]")


def slow_tests(times: str) -> list[str]:
    """The names of the slow tests of a run, and those listed before that it left out."""
    cases = ElementTree.parse(times).getroot().iter("testcase")  # noqa: S314  # our own file
    seconds = {
        _node(case): float(case.attrib["time"])
        for case in cases
        if case.attrib["classname"].startswith("tests.")
    }
    found = {name for name, taken in seconds.items() if taken >= SECONDS}
    found |= set(LIST.read_text().splitlines()) - seconds.keys()
    return sorted(name for name in found if not name.endswith(KEPT))


def _node(case: ElementTree.Element) -> str:
    """What pytest calls a test whose module or class a report names: FILE::CLASS::TEST."""
    module, *classes = re.split(r"\.(?=[A-Z])", case.attrib["classname"])
    return "::".join([f"{module.replace('.', '/')}.py", *classes, case.attrib["name"]])


if __name__ == "__main__":
    LIST.write_text("\n".join(slow_tests(sys.argv[1])) + "\n")
