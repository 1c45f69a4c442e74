"""Files that survive, and files that may be hostile.

Everything kuai writes goes through `durable`: a reader finds the old file or the new one, whole.
Everything it reads from a weights file goes through `header` and `arrays`: sizes are checked before
memory is taken, and no byte of the file is ever run.
"""

from __future__ import annotations

from kuai.files.arrays import is_own, read_arrays, write_arrays
from kuai.files.durable import write_bytes, write_text

__all__ = ["is_own", "read_arrays", "write_arrays", "write_bytes", "write_text"]
