"""Whole models, ready to train."""

from __future__ import annotations

from kuai.models.mlp import mlp as mlp
