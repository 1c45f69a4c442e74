"""Forwards written in every way a person might, and what each must give when it is compiled.

tests/test_forwards.py runs them; the table of what hybridize can and cannot do is made from them.
"""

from __future__ import annotations

from tests.forwards import (
    algorithms,
    blocks,
    branches,
    carries,
    expressions,
    fors,
    functions,
    layers,
    methods,
    objects,
    pairs,
    pairs_static,
    refused_branches,
    refused_carries,
    refused_loops,
    refused_values,
    statics,
    whiles,
)
from tests.forwards.case import Case, Family

FAMILIES: dict[str, Family] = {
    "while": whiles.CASES,
    "for": fors.CASES,
    "if": branches.CASES,
    "carried structures": carries.CASES,
    "expressions": expressions.CASES,
    "functions": functions.CASES,
    "objects": objects.CASES,
    "static code": statics.CASES,
    "algorithms": algorithms.CASES,
    "blocks": blocks.CASES,
    "layers": layers.CASES,
    "methods and attributes of blocks": methods.CASES,
    "pairs of loops and branches": pairs.CASES,
    "pairs with functions and static code": pairs_static.CASES,
    "refused: carried variables": refused_carries.CASES,
    "refused: loops": refused_loops.CASES,
    "refused: branches": refused_branches.CASES,
    "refused: values": refused_values.CASES,
}
CASES: list[Case] = [case for family in FAMILIES.values() for case in family]
WORKING = [case for case in CASES if case.error is None]
REFUSED = [case for case in CASES if case.error is not None]
