"""`if` on arrays, and the expressions that decide like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.signature import Template
from kuai.errors import BranchError, ConditionError, HybridizeError, UndefinedVariableError
from kuai.hybrid.leaves import (
    NUMBERS,
    Type,
    cast,
    flatten,
    is_traced,
    joined,
    same_static,
    told,
    type_of,
)
from kuai.hybrid.places import Where, told_place
from kuai.hybrid.region import Get, Out, Outputs, Put, Region
from kuai.hybrid.trace import Staged, current
from kuai.hybrid.undefined import Nothing, Undefined, used

Thunk = Callable[[], Any]


def truth(value: Any, where: Where) -> jax.Array:
    """An array as one truth value.

    Raises:
        ConditionError: it has several elements.
    """
    if value.size != 1:
        raise ConditionError(
            f"{told_place(where)}expected one truth value, got an array of shape "
            f"{tuple(value.shape)}; write .any() or .all()"
        )
    scalar = jnp.reshape(value, ())
    return scalar if scalar.dtype == jnp.bool_ else scalar != jnp.zeros((), scalar.dtype)


def branch(
    test: Any, yes: Thunk, no: Thunk, get: Get, put: Put, names: Sequence[str], where: Where
) -> None:
    """`if test: yes() else: no()`; on an array one branch of the program runs."""
    if not is_traced(test):
        yes() if used(test) else no()
        return
    if current() is None:
        yes() if test else no()  # JAX says why this cannot be
        return
    condition = truth(test, where)
    region = Region(get, put, names, where)
    outputs = _both(region, yes, no)
    plan = [_joined(region, index, *outputs) for index in range(len(outputs[0].leaves))]
    region.trace.staged[Staged("if", where)] = None
    values = _run(condition, outputs, plan)
    pairs = list(zip(outputs[0].ends, outputs[1].ends, strict=True))
    older = [yes.older if yes.older is no.older else None for yes, no in pairs]
    for value, same, sides in zip(values, older, pairs, strict=True):
        if same is None:
            region.freeze(value, [part for end in sides for part in end.shared])
    same_or_new = [
        value if same is None else same for value, same in zip(values, older, strict=True)
    ]
    region.assign(same_or_new, [same for same in older if same is not None])


def _both(region: Region, yes: Thunk, no: Thunk) -> tuple[Outputs, Outputs]:
    """Stage both branches, until both know all that either changes."""
    while True:
        values = region.values()
        first = region.stage(yes, values, closed=True)
        second = region.stage(no, values, closed=True) if first is not None else None
        if first is not None and second is not None:
            return first, second


class _Pick:
    """How one leaf comes out of a branch: the same static value, or an array of a type."""

    def __init__(self, static: Any = None, to: Type | None = None, sides: Any = ()) -> None:
        self.static = static
        self.to = to
        self._sides = sides

    def array(self, side: int, outputs: Sequence[Any]) -> jax.Array:
        assert self.to is not None  # noqa: S101  # only arrays are asked
        leaf = self._sides[side]
        if isinstance(leaf, Nothing):
            return jnp.zeros(self.to.shape, self.to.dtype)
        # Not weak: the transpose of lax.cond takes a weak and a strong zero for two structures.
        return cast(outputs[leaf.place] if isinstance(leaf, Out) else leaf, self.to.strong)


_Plan = tuple[Template, list[_Pick]]


def _joined(region: Region, index: int, yes: Outputs, no: Outputs) -> _Plan:
    """What one carried value is after the branch."""
    a, b = yes.leaves[index], no.leaves[index]
    template = yes.templates[index]
    if template.key == no.templates[index].key:
        label = region.label(index)
        return template, [_pick(x, y, label, region) for x, y in zip(a, b, strict=True)]
    if isinstance(a[0], Nothing):
        return no.templates[index], [_only(leaf, 1) for leaf in b]
    if isinstance(b[0], Nothing):
        return template, [_only(leaf, 0) for leaf in a]
    return _whole(a, b, yes, no, index, region)


def _whole(
    a: list[Any], b: list[Any], yes: Outputs, no: Outputs, index: int, region: Region
) -> _Plan:
    """A value whose two structures differ: it cannot be used from here on."""
    label = region.label(index)
    lost: HybridizeError
    if isinstance(a[0], Undefined) or isinstance(b[0], Undefined):
        lost = _one_sided(label, region)
    else:
        told_both = " and ".join(
            _told_structure(t.key) for t in (yes.templates[index], no.templates[index])
        )
        lost = _differ(label, f"{told_both}: another structure in each branch", region)
    _, leaf = _lost(label, lost)
    return leaf, [_Pick(static=Undefined(label, lost))]


def _lost(label: str, error: HybridizeError) -> tuple[list[Any], Template]:
    leaves: list[Any] = []
    return leaves, flatten(Undefined(label, error), leaves)


def _told_structure(key: tuple[Any, ...]) -> str:
    return getattr(key[0], "__name__", str(key[0])) if key != ("leaf",) else "one array"


def _only(leaf: Any, side: int) -> _Pick:
    """A leaf that one branch alone has; nobody reads what the other leaves."""
    if not isinstance(leaf, Out):
        return _Pick(static=leaf)
    sides = [leaf, Nothing()] if side == 0 else [Nothing(), leaf]
    return _Pick(to=type_of(leaf.aval), sides=sides)


def _pick(a: Any, b: Any, label: str, region: Region) -> _Pick:
    """One leaf of a value that both branches leave in the same structure."""
    if isinstance(a, Nothing) and not isinstance(b, Nothing):
        return _only(b, 1)
    if isinstance(b, Nothing) and not isinstance(a, Nothing):
        return _only(a, 0)
    if not isinstance(a, Out) and not isinstance(b, Out) and _same(a, b):
        return _Pick(static=a)
    for side in (a, b):
        if isinstance(side, Undefined):
            return _Pick(static=Undefined(label, side.error or _one_sided(label, region)))
    if all(isinstance(side, (Out, *NUMBERS)) for side in (a, b)):
        types = [type_of(side.aval if isinstance(side, Out) else side) for side in (a, b)]
        to = joined(*types) if _compatible(*types) else None
        if to is not None:
            return _Pick(to=to, sides=[a, b])
        return _Pick(static=Undefined(label, _differ(label, _two(*types), region)))
    shown = [type_of(side.aval) if isinstance(side, Out) else side for side in (a, b)]
    return _Pick(static=Undefined(label, _differ(label, _two(*shown), region)))


def _compatible(a: Type, b: Type) -> bool:
    """Whether no branch's array would come out in another dtype than it has in plain Python."""
    return a.weak or b.weak or a.dtype == b.dtype


def _same(a: Any, b: Any) -> bool:
    return (
        (isinstance(a, Undefined) and isinstance(b, Undefined) and a.error is b.error)
        or (isinstance(a, Nothing) and isinstance(b, Nothing))
        or same_static(a, b)
    )


def _two(a: Any, b: Any) -> str:
    return f"{told(a)} in one branch and {told(b)} in the other"


def _differ(label: str, how: str, region: Region) -> BranchError:
    return BranchError(
        f"{told_place(region.where)}{label} is {how}; a branch on an array can choose only between "
        "arrays and numbers of one shape: give both branches the same shape, structure and kind"
    )


def _one_sided(label: str, region: Region) -> UndefinedVariableError:
    return UndefinedVariableError(
        f"{told_place(region.where)}{label} gets a value in only one branch of this `if` on an "
        "array and is used after it; give it a value before the `if`, or in both branches"
    )


def _run(condition: jax.Array, outputs: tuple[Outputs, Outputs], plan: list[_Plan]) -> list[Any]:
    picks = [pick for _, picks in plan for pick in picks if pick.to is not None]

    def side(index: int) -> Callable[[], list[jax.Array]]:
        def run() -> list[jax.Array]:
            results = outputs[index].run(())
            return [pick.array(index, results) for pick in picks]

        return run

    arrays = iter(jax.lax.cond(condition, side(0), side(1)))
    return [
        template.join([p.static if p.to is None else cast(next(arrays), p.to) for p in leaves])
        for template, leaves in plan
    ]


# ---- expressions


def choose(test: Any, yes: Thunk, no: Thunk, where: Where) -> Any:
    """`yes() if test else no()`."""
    if not is_traced(test):
        return yes() if used(test) else no()
    box: list[Any] = [None]

    def put(values: Sequence[Any]) -> None:
        box[0] = values[0]

    def setting(thunk: Thunk) -> Thunk:
        return lambda: put([thunk()])

    names = ["conditional expression"]
    branch(test, setting(yes), setting(no), lambda: (box[0],), put, names, where)
    return used(box[0])


def and_(a: Any, b: Thunk, where: Where) -> Any:
    """`a and b()`."""
    if not is_traced(a):
        return used(a) and b()
    return _decided(a, b, where, short=False)


def or_(a: Any, b: Thunk, where: Where) -> Any:
    """`a or b()`."""
    if not is_traced(a):
        return used(a) or b()
    return _decided(a, b, where, short=True)


def _decided(a: Any, b: Thunk, where: Where, short: bool) -> Any:
    """`and` and `or` on arrays: both sides are evaluated where that cannot be told apart.

    Of truth values it cannot; a number has a gradient, which may be NaN on the side not taken.
    """
    test = truth(a, where)
    if current() is None:
        return (a or b()) if short else (a and b())
    box: list[Any] = [None]

    def put(values: Sequence[Any]) -> None:
        box[0] = values[0]

    region = Region(lambda: (box[0],), put, ["the operand"], where)
    staged = region.stage(lambda: put([b()]), region.values(), closed=True)
    leaf = _only_leaf(staged)
    if staged is not None and isinstance(leaf, bool) and not _has_loop(staged.jaxpr.jaxpr):
        return _with_constant(a, test, leaf, short)
    if staged is not None and isinstance(leaf, Out) and _is_cheap_truth(a, leaf, staged):
        other = truth(staged.run(())[leaf.place], where)
        return jnp.logical_or(test, other) if short else jnp.logical_and(test, other)
    return choose(test, (lambda: a) if short else b, b if short else (lambda: a), where)


def _only_leaf(staged: Outputs | None) -> Any:
    """What an operand gives, if it is one leaf and nothing else may be changed by the way."""
    if staged is None or len(staged.leaves) > 1 or len(staged.leaves[0]) != 1:
        return None
    return staged.leaves[0][0]


def _with_constant(a: Any, test: jax.Array, constant: bool, short: bool) -> Any:
    if constant is not short:  # `a and True`, `a or False`
        return a
    return jnp.logical_or(test, True) if short else jnp.logical_and(test, False)


def _is_cheap_truth(a: Any, leaf: Out, staged: Outputs) -> bool:
    """Whether both operands are truth values, and the second takes a few operations."""
    truths = leaf.aval.dtype == jnp.bool_ and a.dtype == jnp.bool_
    return truths and not _has_loop(staged.jaxpr.jaxpr)


def _has_loop(jaxpr: Any) -> bool:
    """Whether evaluating costs more than a few operations, or may not end."""
    inner = [p.jaxpr for eqn in jaxpr.eqns for p in eqn.params.values() if hasattr(p, "jaxpr")]
    return any(eqn.primitive.name in _COSTLY for eqn in jaxpr.eqns) or any(map(_has_loop, inner))


_COSTLY = ("while", "scan", "cond", "custom_vjp_call", "custom_vjp_call_jaxpr", "debug_callback")


def not_(value: Any, where: Where) -> Any:
    """`not value`."""
    return jnp.logical_not(truth(value, where)) if is_traced(value) else not used(value)
