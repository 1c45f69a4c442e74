"""Before a forward: a block's own shapes from its inputs, and the values that are missing."""

from __future__ import annotations

from typing import Any

from kuai.core import initialize
from kuai.core.context import context, epoch
from kuai.core.parameter import Holder
from kuai.core.tree import here, members, path_of
from kuai.core.unbound import misfit
from kuai.errors import RegistrationError, SignatureError


def settle(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    """Make what stands on the block itself ready for a forward on these inputs."""
    own = [item for _, item in members(block) if isinstance(item, Holder) and not item.ready]
    if own and block._kuai.temporary and path_of(context.stack[0], block) is None:
        raise RegistrationError(
            f"{type(block).__name__} is made and called inside a forward and stands on no block: "
            "it would have other parameters on every call; make it in __init__"
        )
    if any(not holder.settled for holder in own):
        check_arguments(block, inputs, keywords)
        block.infer_shapes(*inputs, **keywords)
    if own:
        initialize.settle_here(block, [holder for holder in own if holder.settled])
    elif not context.inferring:
        block._kuai.ready_at = epoch.value


def check_arguments(block: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    """Check that a block's forward takes what it is given.

    Raises:
        SignatureError: it does not.
    """
    text = misfit(block.forward, inputs, keywords, name="forward")
    if text is not None:
        raise SignatureError(f"{here()}: {text}{_how_handed(block, inputs)}") from None


def _how_handed(block: Any, inputs: tuple[Any, ...]) -> str:
    """Why there are several inputs, where a `Sequential` took a tuple apart."""
    around: Any = context.stack[-2] if len(context.stack) > 1 else None
    spread = getattr(around, "_kuai_spreads", False) and around._kuai_blocks()[0] is not block
    if not spread or len(inputs) == 1:
        return ""
    return (
        f"; the step before gave a tuple of {len(inputs)}, and its parts are handed on one by one: "
        "let it give one array (a recurrent layer does with return_state=False)"
    )
