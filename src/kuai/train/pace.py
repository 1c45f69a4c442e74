"""How many steps a call: enough that Python does not count, few enough that Ctrl-C is answered."""

from __future__ import annotations

from kuai.errors import ArgumentError
from kuai.train.step import LIMIT

_CALL_SECONDS = 0.05
_GROWTH = 8


class Pace:
    """The number of steps of the next call.

    One program serves any number, and gives the same results for any, so that measuring costs no
    compilation and no reproducibility.

    Args:
        fixed: the number, if the user chose it; None: by measuring.

    Raises:
        ArgumentError: it is no whole number from 1 to 256.

    Example:
        >>> from kuai.train.pace import Pace
        >>> pace = Pace(None)
        >>> pace.steps()
        1
        >>> pace.measured(1, seconds=0.001)
        >>> pace.steps()
        8
    """

    def __init__(self, fixed: int | None) -> None:
        if fixed is not None and (
            isinstance(fixed, bool) or not isinstance(fixed, int) or not 1 <= fixed <= LIMIT
        ):
            raise ArgumentError(
                f"steps_per_call: expected a whole number from 1 to {LIMIT}, got {fixed!r}"
            )
        self.fixed = fixed
        self._steps = fixed or 1

    def steps(self) -> int:
        return self._steps

    def measured(self, steps: int, seconds: float) -> None:
        """Learn from a call that compiled nothing."""
        if self.fixed is None:
            fitting = int(_CALL_SECONDS * steps / max(seconds, 1e-9))
            self._steps = max(1, min(fitting, _GROWTH * steps, LIMIT))
