"""`kuai.hybrid`: functions of blocks and arrays, compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kuai.core.tree import Node
from kuai.errors import ArgumentError

if TYPE_CHECKING:
    from kuai.hybrid.explain import Explanation


def hybrid(function: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """Compile a function that takes blocks and arrays.

    It may update parameters and `State` by plain assignment, draw random numbers, call blocks that
    it was not given, and branch and loop on arrays. Arrays and floats are traced; ints, bools,
    strings, None and enums are static. A change of anything that it reads, on a block, in its
    closure or in a module, recompiles.

    Args:
        function: takes blocks and arrays, nested in tuples, dicts and dataclasses; without it,
            what takes one is returned: `@kuai.hybrid(verify="never")`.
        **options: as for `Block.hybridize`.

    Returns:
        A function of the same arguments.

    Raises:
        ArgumentError: `function` is not callable.
        HybridizeError: when called, if it cannot be compiled; the message has the line.

    Example:
        >>> net = nn.Dense(1, init="ones").initialize(sample=jnp.ones((1, 2)))
        >>> @kuai.hybrid
        ... def shrink(net, factor):
        ...     net.weight = net.weight * factor
        ...     return net.weight.sum()
        >>> float(shrink(net, 0.5)), float(net.weight.sum())
        (1.0, 1.0)
    """
    from kuai.hybrid.cache import Compiled
    from kuai.hybrid.options import checked_options

    if function is None:
        return functools.partial(hybrid, **options)
    if isinstance(function, Node) or not callable(function):
        raise ArgumentError(
            f"kuai.hybrid: expected a function, got {type(function).__name__}; a block is "
            "compiled by .hybridize()"
        )
    name = getattr(function, "__qualname__", type(function).__name__)
    compiled = Compiled(function, (), name, checked_options("kuai.hybrid", options))

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return compiled.call(args, kwargs)

    run._kuai_compiled = compiled  # type: ignore[attr-defined]  # for kuai.explain
    return run


def explain(function: Any) -> Explanation:
    """Tell how a block or a function of `kuai.hybrid` runs: what was compiled, and why.

    Args:
        function: a block, or what `kuai.hybrid`, `kuai.grad` or `kuai.value_and_grad` returned.

    Returns:
        An object that prints: every compiled signature with its branches and loops, the trips they
        made in the last call, what it reads from outside, XLA's cost estimate, and the reason for
        each compilation.

    Raises:
        ArgumentError: it is neither.

    Example:
        >>> @kuai.hybrid
        ... def halve(x):
        ...     while x > 1:
        ...         x = x / 2
        ...     return x
        >>> float(halve(jnp.float32(20.0)))
        0.625
        >>> loop = kuai.explain(halve).signatures[0].staged[0]
        >>> loop.kind, loop.trips
        ('while', 5)
    """
    from kuai.hybrid.explain import compiled_of, explanation

    if isinstance(function, Node):
        return function.explain()  # type: ignore[attr-defined]  # a Block
    compiled = compiled_of(function)
    if compiled is None and not hasattr(function, "_kuai_automatic"):
        raise ArgumentError(
            "kuai.explain: expected a block, or what kuai.hybrid or kuai.grad returned, got "
            f"{type(function).__name__}"
        )
    setting = "auto" if hasattr(function, "_kuai_automatic") else "hybridized"
    return explanation(compiled, getattr(function, "__qualname__", "function"), setting)
