"""The optimizer's state: flat for the programs, a tree for optax, kept by parameter on changes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from kuai.core.parameter import Holder
from kuai.errors import ArgumentError
from kuai.train.plan import Plan, copied


def check_optimizer(optimizer: Any) -> Any:
    """The optimizer as optax takes it with extra arguments.

    optax mixes dtypes by JAX's standard rules, so it keeps them where a user has set strict ones.

    Raises:
        ArgumentError: it is not optax's.
    """
    if not (
        callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))
    ):
        raise ArgumentError(
            f"optimizer: expected an optax optimizer such as optax.adam(1e-3), got "
            f"{_described(optimizer)}"
        )
    import optax

    full = optax.with_extra_args_support(optimizer)
    return optax.GradientTransformationExtraArgs(
        _by_standard_rules(full.init), _by_standard_rules(full.update)
    )


def _by_standard_rules(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return function(*args, **kwargs)

    return run


def _described(optimizer: Any) -> str:
    if isinstance(optimizer, str):
        return f"the name {optimizer!r}"
    if callable(optimizer):
        name = getattr(optimizer, "__name__", optimizer)
        return f"the function {name}; call it with a learning rate"
    module, name = type(optimizer).__module__, type(optimizer).__name__
    return name if module == "builtins" else f"{module}.{name}"


class OptimizerState:
    """What the optimizer remembers between steps.

    Args:
        optimizer: of optax.
        plan: whose parameters it is for.
        before: the state for an earlier structure; what belongs to parameters that are still there
            is taken over.
    """

    def __init__(self, optimizer: Any, plan: Plan, before: OptimizerState | None = None) -> None:
        self.plan = plan
        arrays = plan.named([parameter._array for parameter in plan.parameters])
        leaves, treedef = jax.tree.flatten(jax.jit(optimizer.init)(arrays))
        self.treedef: Any = treedef
        self.leaves = _own(leaves, list(arrays.values()))
        self._lent = False
        if before is not None:
            self._take_over(before)

    def lend(self) -> list[jax.Array]:
        """The leaves, to be donated."""
        return copied(self.leaves) if self._lent else self.leaves

    def store(self, leaves: list[jax.Array]) -> None:
        self.leaves = leaves
        self._lent = False

    @property
    def tree(self) -> Any:
        """The state as optax made it."""
        self._lent = True
        return self.treedef.unflatten(self.leaves)

    def replace(self, tree: Any) -> None:
        """Take another tree of the same structure.

        Raises:
            ArgumentError: the structure differs.
        """
        leaves, treedef = jax.tree.flatten(tree)
        if treedef != self.treedef:
            raise ArgumentError(
                f"optimizer_state: expected the structure {self.treedef}, got {treedef}; change "
                "values in what optimizer_state gives"
            )
        self.leaves = [
            jnp.asarray(new, old.dtype) for new, old in zip(leaves, self.leaves, strict=True)
        ]
        self._lent = True

    def named_leaves(self) -> dict[str, jax.Array]:
        """Every leaf by its place in the tree, such as `[0].mu['0.weight']`."""
        tree = self.treedef.unflatten(self.leaves)
        return {
            jax.tree_util.keystr(place): leaf for place, leaf in jax.tree.leaves_with_path(tree)
        }

    def _take_over(self, before: OptimizerState) -> None:
        known = _Known(zip(before._places(), before.lend(), strict=True))
        self.leaves = [
            known.best(place, leaf) for place, leaf in zip(self._places(), self.leaves, strict=True)
        ]

    def _places(self) -> list[Any]:
        """The place of each leaf, a parameter standing for its path."""
        by_path: dict[Any, Any] = dict(zip(self.plan.paths, self.plan.parameters, strict=True))
        tree = self.treedef.unflatten(self.leaves)
        return [
            tuple(by_path.get(getattr(step, "key", None), step) for step in place)
            for place, _ in jax.tree.leaves_with_path(tree)
        ]


class _Known:
    """The leaves of an earlier state by place, those of a stack also by its rows.

    Args:
        leaves: (place, leaf).
    """

    def __init__(self, leaves: Iterable[tuple[Any, jax.Array]]) -> None:
        self._leaves = dict(leaves)
        self._rows = {
            _put(place, row): (place, index)
            for place in self._leaves
            for stack in place
            if isinstance(stack, Holder)
            for index, row in enumerate(stack.rows)
        }

    def at(self, place: Any, fresh: jax.Array) -> jax.Array | None:
        """The leaf at a place: a row of one that was stacked, or rows stacked.

        Args:
            place: in the state.
            fresh: a new leaf for it; rows that are not known are taken from it.
        """
        if place in self._leaves:
            return self._leaves[place]
        if place in self._rows:
            whole, index = self._rows[place]
            leaf = self._leaves[whole]
            return leaf[index] if leaf.ndim else None
        stack = next((step for step in place if isinstance(step, Holder)), None)
        if stack is None or fresh.shape[:1] != (len(stack.rows),):
            return None
        rows = [self.best(_put(place, row), fresh[i]) for i, row in enumerate(stack.rows)]
        return jnp.stack(rows)

    def best(self, place: Any, fresh: jax.Array) -> jax.Array:
        """The leaf at a place, or a new one where none is known that is like it."""
        found = self.at(place, fresh)
        return found if found is not None and _alike(found, fresh) else fresh


def _put(place: Any, holder: Holder) -> Any:
    return tuple(holder if isinstance(step, Holder) else step for step in place)


def _own(leaves: list[Any], taken: list[Any]) -> list[jax.Array]:
    """Arrays that stand nowhere else, so that each may be donated."""
    seen = set(map(id, taken))
    own: list[jax.Array] = []
    for leaf in leaves:
        array = jnp.copy(leaf) if id(leaf) in seen else jnp.asarray(leaf)
        seen.add(id(leaf))
        own.append(array)
    return own


def _alike(old: Any, new: Any) -> bool:
    return old is not None and old.shape == new.shape and old.dtype == new.dtype
