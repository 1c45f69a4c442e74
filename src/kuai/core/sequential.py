"""`Sequential`: blocks called one after the other."""

from __future__ import annotations

from typing import Any, ClassVar

from kuai.core.lists import BlockList


class Sequential(BlockList):
    """Blocks called one after the other, each on the output of the one before.

    A tuple that a block returns is passed on as positional arguments.

    Args:
        blocks: blocks or plain functions, `(name, block)` pairs, or one list or dict of them.

    Shape:
        That of the first block's input → that of the last block's output.

    Raises:
        RegistrationError: something is neither a block nor a function, or a name stands twice.

    Example:
        >>> net = nn.Sequential(nn.Dense(256, activation="relu"), nn.Dense(10))
        >>> net(jnp.ones((2, 20))).shape
        (2, 10)
        >>> nn.Sequential({"hidden": nn.Dense(4), "out": nn.Dense(1)}).hidden
        Dense(4)

    Reference:
        Zhang et al., "Dive into Deep Learning", section "Layers and Modules".
    """

    _kuai_spreads: ClassVar[bool] = True

    def forward(self, *inputs: Any) -> Any:
        value: Any = inputs if len(inputs) != 1 else inputs[0]
        for block in self._kuai_blocks():
            value = block(*value) if isinstance(value, tuple) else block(value)
        return value
