"""Before a forward: a block's own shapes from its inputs, and the values that are missing."""

from __future__ import annotations

import inspect
from typing import Any

from kuai.core import initialize
from kuai.core.context import context, epoch
from kuai.core.parameter import Holder
from kuai.core.tree import here, members, path_of
from kuai.errors import ArgumentError, RegistrationError


def settle(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    """Make what stands on the block itself ready for a forward on these inputs."""
    own = [item for _, item in members(block) if isinstance(item, Holder) and not item.ready]
    if own and block._kuai.temporary and path_of(context.stack[0], block) is None:
        raise RegistrationError(
            f"{type(block).__name__} is made and called inside a forward and stands on no block: "
            "it would have other parameters on every call; make it in __init__"
        )
    if any(not holder.settled for holder in own):
        _check_arguments(block, inputs, keywords)
        block.infer_shapes(*inputs, **keywords)
    if own:
        initialize.settle_here(block, [holder for holder in own if holder.settled])
    elif not context.inferring:
        block._kuai.ready_at = epoch.value


def _check_arguments(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    signature = inspect.signature(block.forward)
    try:
        signature.bind(*inputs, **keywords)
    except TypeError as error:
        raise ArgumentError(
            f"{here()}: expected the arguments forward{signature}, got {len(inputs)} inputs "
            f"and the keywords {list(keywords)}: {error}"
        ) from None
