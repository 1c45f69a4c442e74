"""Comparing the weights of nets to the last bit."""

from __future__ import annotations

import numpy as np


def weights_of(net):
    """A copy of every array on a net that has its values, by path."""
    return {path: np.array(h.array) for path, h in net.named_holders() if h.ready}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_array_equal(left[path], right[path], err_msg=path)
