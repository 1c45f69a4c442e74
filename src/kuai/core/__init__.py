"""Blocks, parameters, and pure functions of them. core knows arrays and trees, no layer."""
