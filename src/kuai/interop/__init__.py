"""Weights of other systems, read safely and without those systems.

A reader never runs anything of a file, and takes no memory for an array before it has checked that
the file holds its bytes. `recognise` tells which reader a file needs; each format has a module.
"""

from kuai.interop.reading import read as read
from kuai.interop.weights import Weights as Weights
