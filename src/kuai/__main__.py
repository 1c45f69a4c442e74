"""`python -m kuai` is `kuai`."""

from __future__ import annotations

import sys

from kuai.cli import main

if __name__ == "__main__":
    sys.exit(main())
