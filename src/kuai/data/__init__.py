"""Data sets that are at hand, and batches of any data: NumPy arrays, and nothing of a network."""

from __future__ import annotations

from kuai.data.batches import ArrayBatches, Batches
from kuai.data.dataset import Dataset
from kuai.data.loaders import IterableBatches, as_batches
from kuai.data.sources import load
from kuai.data.text_file import text

__all__ = ["ArrayBatches", "Batches", "Dataset", "IterableBatches", "as_batches", "load",
           "text"]  # fmt: skip
