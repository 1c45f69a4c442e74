"""FLOPs as XLA counts them in the program of a forward, before it optimises.

XLA counts the body of a loop once, and both arms of a branch at the cost of the dearer one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from kuai.core.binding import bound_call
from kuai.core.block import Block
from kuai.core.context import entered
from kuai.core.initialize import CONCRETIZATION
from kuai.core.signature import split
from kuai.core.tree import walk
from kuai.errors import KuaiError
from kuai.show.rehearsal import Call, placeholder

_NOT_LOWERED = (*CONCRETIZATION, KuaiError, TypeError)


class Costs:
    """Counts FLOPs, equal programs once. To be used inside `rehearsed`, where shapes are known."""

    def __init__(self) -> None:
        self._known: dict[str, int | None] = {}

    def of_call(self, block: Block, call: Call) -> int | None:
        """The FLOPs of one recorded call of a block, None where it has no program of its own."""
        template = call.template
        if template is None:
            return None

        def forward(inputs: list[Any]) -> Any:
            with entered(stack=(block,), **call.modes):
                return block.forward(*template.join(inputs))

        return self._counted(block, forward, call.arrays)

    def of_net(self, net: Block, inputs: tuple[Any, ...]) -> int | None:
        """The FLOPs of the whole net, None where it branches on array values."""
        arrays: list[Any] = []
        template = split(inputs, arrays)
        return self._counted(net, lambda arrays: net(*template.join(arrays)), arrays)

    def _counted(self, block: Block, forward: Callable[..., Any], arrays: list[Any]) -> int | None:
        holders = [holder for holder in walk(block).holders.values() if holder.settled]
        values = [jax.ShapeDtypeStruct(holder.shape, holder.dtype) for holder in holders]

        def run(values: list[Any], inputs: list[Any]) -> list[Any]:
            bound = dict(zip(holders, values, strict=True))
            output, writes = bound_call(lambda: forward(inputs), bound, missing=placeholder)
            results: list[Any] = []
            split(output, results, floats_traced=False)
            return [*results, *writes.values()]

        try:
            traced = jax.jit(run).trace(values, arrays)
        except _NOT_LOWERED:
            return None
        key = str(traced.jaxpr)
        if key not in self._known:
            self._known[key] = _flops(traced.lower())
        return self._known[key]


def _flops(lowered: Any) -> int | None:
    """What XLA says; a backend may say nothing, which it marks with a negative number."""
    cost = lowered.cost_analysis() or {}
    flops = cost.get("flops", 0.0)
    return int(flops) if flops >= 0 else None
