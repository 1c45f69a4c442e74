"""`Policy`: in which dtypes a tree of blocks keeps, computes and gives its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core.kinds import check_switched_on
from kuai.core.signature import children
from kuai.errors import ArgumentError

_MIXED = "mixed_"


@dataclass(frozen=True)
class Policy:
    """The dtypes of parameters, of what is computed, and of what comes out.

    `Block.set_policy` puts one on a tree. It also takes a name: a dtype, for all three, or
    "mixed_bfloat16" and "mixed_float16": parameters and results in float32, computed in the other.

    Args:
        param_dtype: in which parameters and constants are kept; default None, as they are.
        compute_dtype: to which inputs and parameters are cast when a block runs; default None, as
            they come.
        output_dtype: of what the block that it was set on returns; default None, as it comes.

    Raises:
        ArgumentError: one of them is no floating dtype.

    Example:
        >>> kuai.Policy("float32", "bfloat16", "float32")
        Policy(param_dtype='float32', compute_dtype='bfloat16', output_dtype='float32')
    """

    param_dtype: Any = None
    compute_dtype: Any = None
    output_dtype: Any = None

    def __post_init__(self) -> None:
        for name in ("param_dtype", "compute_dtype", "output_dtype"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))

    @property
    def key(self) -> tuple[str | None, ...]:
        """What a compiled program depends on."""
        return self.compute_dtype, self.output_dtype


def as_policy(where: str, policy: Any) -> Policy | None:
    """A policy as it is, or by its name; None for none.

    Raises:
        ArgumentError: there is none of that name.
    """
    if policy is None or isinstance(policy, Policy):
        return policy
    mixed = isinstance(policy, str) and policy.startswith(_MIXED)
    computed = _floating(policy.removeprefix(_MIXED) if mixed else policy)
    if computed is None:
        raise ArgumentError(
            f"{where}: expected a kuai.Policy, a floating dtype, 'mixed_bfloat16', 'mixed_float16' "
            f"or None, got {policy!r}"
        )
    return Policy("float32", computed, "float32") if mixed else Policy(*[computed] * 3)


def cast(value: Any, dtype: Any) -> Any:
    """`value` with every floating array in it in a dtype; itself where nothing changes."""
    if isinstance(value, (jax.Array, np.ndarray)):
        floating = jnp.issubdtype(value.dtype, jnp.floating) and value.dtype != dtype
        return jnp.asarray(value).astype(dtype) if floating else value
    kids = children(value)
    if kids is None:
        return value
    _, rebuild, items = kids
    new = [cast(item, dtype) for item in items]
    same = all(one is other for one, other in zip(new, items, strict=True))
    return value if same else rebuild(new)


def _checked(name: str, dtype: Any) -> str | None:
    found = None if dtype is None else _floating(dtype)
    if dtype is not None and found is None:
        raise ArgumentError(
            f"Policy: expected {name} to be a floating dtype or None, got {dtype!r}; write for "
            "example 'bfloat16'"
        )
    if found is not None:
        check_switched_on(f"Policy: {name}", jnp.dtype(found))
    return found


def _floating(dtype: Any) -> str | None:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        return None
    return str(found.name) if jnp.issubdtype(found, jnp.floating) else None
