"""The command line: one file a command, and what they share.

`program` parses and answers with an exit code; a command is a function of settings that returns a
`Result`; only `program` writes to stdout. What happens on the way goes to the logger "kuai".
"""

from __future__ import annotations

from kuai.cli.program import main as main
