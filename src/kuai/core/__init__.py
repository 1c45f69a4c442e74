"""Blocks, parameters, and what makes pure functions of them. core knows arrays and trees, no layer."""
