"""From blocks to pure functions of arrays, and back.

`bound_call` runs a function while holders read as given arrays and collects what is written.
Nothing is written to a holder before the whole call has succeeded: `commit` does it then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax

from kuai.core.context import Scope, context, entered, scoped
from kuai.core.parameter import Holder, Parameter, State
from kuai.core.tree import Node, walk
from kuai.errors import BlockLookupError
from kuai.random import Stream, streaming


class Unbound(Exception):  # noqa: N818  # a signal between traces, never shown
    """A trace met holders that are not among its inputs or have no values yet, or unknown blocks."""

    def __init__(self, holders: list[Holder], blocks: Sequence[Node] = ()) -> None:
        super().__init__(f"{len(holders)} holders and {len(blocks)} blocks are not bound")
        self.holders = holders
        self.blocks = blocks


def bound_call(
    function: Callable[[], Any],
    values: dict[Holder, jax.Array],
    *,
    stream: Stream | None = None,
    missing: Callable[[Holder], jax.Array] | None = None,
) -> tuple[Any, dict[Holder, jax.Array]]:
    """Call `function` with holders bound to `values`: (its result, what it wrote)."""
    scope = Scope(dict(values), missing)
    with scoped(scope), streaming(stream) if stream else nullcontext():
        result = function()
    return result, scope.writes()


def commit(writes: dict[Holder, jax.Array]) -> None:
    """Let written values take effect where this thread stands: in its scope, or for good."""
    scope = context.scope
    for holder, value in writes.items():
        if scope is None:
            holder.store(value)
        else:
            scope.write(holder, value)


class Functional(NamedTuple):
    """A block as a pure function, with its arrays.

    Attributes:
        apply: (params, state, *inputs, key=None, training=False, **keywords) → (output, new state).
        params: path → array of every Parameter.
        state: path → array of every Constant and State.
    """

    apply: Callable[..., Any]
    params: dict[str, jax.Array]
    state: dict[str, jax.Array]


def functional(block: Node) -> Functional:
    """Give a block as a pure function for raw JAX transforms.

    Args:
        block: an initialised block.

    Returns:
        `Functional(apply, params, state)`. `apply` never reads or changes the block's own arrays;
        a parameter that is tied stands once, under its first path.

    Raises:
        DeferredInitError: values have not been made yet.

    Example:
        >>> net = nn.Dense(1, init="ones").initialize(sample=jnp.ones((1, 3)))
        >>> apply, params, state = kuai.functional(net)
        >>> y, state = jax.jit(apply)(params, state, jnp.ones((2, 3)))
        >>> y.tolist()
        [[3.0], [3.0]]
    """
    holders = walk(block).holders
    params = {path: h.read() for path, h in holders.items() if isinstance(h, Parameter)}
    state = {path: h.read() for path, h in holders.items() if not isinstance(h, Parameter)}

    def apply(
        params: dict[str, jax.Array],
        state: dict[str, jax.Array],
        *inputs: Any,
        key: jax.Array | None = None,
        training: bool = False,
        **keywords: Any,
    ) -> Any:
        values = {_holder(holders, path): value for path, value in {**params, **state}.items()}
        stream = None if key is None else KeyStream(key)
        with entered(training=training, forced=True, inline=True):
            output, writes = bound_call(
                lambda: block(*inputs, **keywords),  # type: ignore[operator]  # a Block is callable
                values,
                stream=stream,
            )
        paths = {holder: path for path, holder in holders.items()}
        changed = {paths[h]: value for h, value in writes.items() if isinstance(h, State) and h in paths}
        return output, {**state, **changed}

    return Functional(apply, params, state)


class KeyStream(Stream):
    """A stream that starts from a JAX key instead of a seed."""

    def __init__(self, key: jax.Array) -> None:
        super().__init__(0, 0)
        self._base = key


def _holder(holders: dict[str, Holder], path: str) -> Holder:
    try:
        return holders[path]
    except KeyError:
        raise BlockLookupError(
            f"expected the paths that kuai.functional gave, got {path!r}; known: {', '.join(holders)}"
        ) from None
