"""From blocks to pure functions of arrays, and back.

`bound_call` runs a function while holders read as given arrays and collects what is written.
Nothing is written to a holder before the whole call has succeeded: `commit` does it then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

from kuai.core.context import Scope, context, entered, scoped
from kuai.core.parameter import Holder, Parameter
from kuai.core.registry import registered
from kuai.core.tree import Node, walk
from kuai.errors import ArgumentError, BlockLookupError, DeferredInitError, TransformError
from kuai.random import KeylessStream, KeyStream, Stream, current_stream, streaming


class Unbound(BaseException):  # a signal between traces that no forward may catch
    """A trace met holders that are not among its inputs or have no values yet, or unknown blocks.

    Args:
        holders: settled holders.
        blocks: the outermost blocks on which they were met.
    """

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
    if stream is not None:
        with scoped(scope), streaming(stream):
            return function(), scope.writes()
    with scoped(scope), _counting(scope):
        result = function()
    return result, scope.writes()


class _KeyCount:
    """Stands among what was written for the count of random keys, where a loop decides it."""

    anew = False
    row = None
    rows = ()


KEY_COUNT: Any = _KeyCount()


@contextmanager
def _counting(scope: Scope) -> Iterator[None]:
    """Let the count of keys come out as something written: a tracer of it must not stay behind."""
    stream = current_stream()
    if stream is None:
        yield
        return
    with stream.starting_at(stream.count()):
        yield
        draws, count = stream.draws, stream.count() if stream.moved else None
    if count is None:
        stream.draws += draws
    else:
        scope.write(KEY_COUNT, count)


def commit(writes: dict[Holder, jax.Array]) -> None:
    """Let written values take effect where this thread stands: in its scope, or for good.

    Raises:
        TransformError: a tracer of a raw JAX transform would be stored; nothing has changed then.
    """
    scope = context.scope
    count = writes.pop(KEY_COUNT, None)
    stream = current_stream()
    if count is not None and stream is not None:
        stream.move(count)
    if scope is not None:
        for holder, value in writes.items():
            scope.write(holder, value)
        return
    for holder, value in writes.items():
        if isinstance(value, jax.core.Tracer):
            raise TransformError(
                f"a {type(holder).__name__} of shape {holder.shape} was assigned inside a raw JAX "
                "transform, where the value cannot outlive the trace; use kuai.functional(block), "
                "kuai.hybrid, or kuai.eval_mode()"
            )
    for holder, value in writes.items():
        holder.store(value, lent=True)  # it may be an array of the caller's


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
        a parameter that is tied stands once, under its first path. Random numbers come from `key`.
        In a raw transform, branches and loops on arrays become part of its program; what forward
        reads from outside the block is fixed there, as JAX fixes it.

    Raises:
        ArgumentError: `block` is no block.
        DeferredInitError: values have not been made yet.
        BlockLookupError: when applied, the dicts have other paths than those given here.
        TransformError: when applied, forward draws random numbers and got no key, or assigns to a
            parameter.

    Example:
        >>> net = nn.Dense(1, init="ones").initialize(sample=jnp.ones((1, 3)))
        >>> apply, params, state = kuai.functional(net)
        >>> y, state = jax.jit(apply)(params, state, jnp.ones((2, 3)))
        >>> y.tolist()
        [[3.0], [3.0]]
    """
    if not isinstance(block, Node):
        raise ArgumentError(
            f"kuai.functional: expected a block, got {type(block).__name__}; a plain function of "
            "arrays is pure already"
        )
    holders = walk(block).holders
    arrays = {path: _value(block, path, holder) for path, holder in holders.items()}
    parameters = {path for path, holder in holders.items() if isinstance(holder, Parameter)}
    return Functional(
        _Apply(block, holders),
        {path: array for path, array in arrays.items() if path in parameters},
        {path: array for path, array in arrays.items() if path not in parameters},
    )


def _value(block: Node, path: str, holder: Holder) -> jax.Array:
    try:
        return holder.read()
    except DeferredInitError as error:
        raise DeferredInitError(f"{type(block).__name__}: {path}: {error}") from None


class _Apply:
    """The pure function of a block."""

    def __init__(self, block: Node, holders: dict[str, Holder]) -> None:
        self._block = block
        self._holders = holders

    def __call__(
        self,
        params: dict[str, jax.Array],
        state: dict[str, jax.Array],
        *inputs: Any,
        key: jax.Array | None = None,
        training: bool = False,
        **keywords: Any,
    ) -> Any:
        values = self._bound({**params, **state})
        stream = KeylessStream(TransformError(_NO_KEY)) if key is None else KeyStream(key)
        traced = any(
            isinstance(a, jax.core.Tracer) for a in jax.tree.leaves((params, state, inputs))
        )
        trace = registered.make_trace() if traced else None
        with entered(training=training, forced=True, inline=True, trace=trace):
            output, writes = bound_call(
                lambda: self._block(*inputs, **keywords),  # type: ignore[operator]  # a Block
                values,
                stream=stream,
            )
        return output, {**state, **self._changed(writes)}

    def _bound(self, arrays: dict[str, jax.Array]) -> dict[Holder, jax.Array]:
        unknown = sorted(set(arrays) - set(self._holders))
        missing = sorted(set(self._holders) - set(arrays))
        if unknown or missing:
            raise BlockLookupError(
                f"{type(self._block).__name__}: expected the paths that kuai.functional gave, got "
                f"unknown {unknown}, missing {missing}; change its dicts' values, not keys"
            )
        return {self._holders[path]: array for path, array in arrays.items()}

    def _changed(self, writes: dict[Holder, jax.Array]) -> dict[str, jax.Array]:
        paths = {holder: path for path, holder in self._holders.items()}
        for holder, value in writes.items():
            if holder.anew:
                holder.leave(value)  # type: ignore[attr-defined]  # it is a report
            if isinstance(holder, Parameter):
                raise TransformError(
                    f"{type(self._block).__name__}: forward assigns to the parameter "
                    f"{paths.get(holder)!r}, which a pure function cannot keep; make it kuai.State"
                )
        return {paths[holder]: value for holder, value in writes.items() if holder in paths}


_NO_KEY = (
    "kuai.functional: forward draws random numbers and apply got no key; pass key=jax.random.key(0)"
)
