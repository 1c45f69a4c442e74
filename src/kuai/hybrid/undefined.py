"""Variables without a usable value.

After a branch or a loop on arrays a variable may have no value that a program can have: assigned on
one path only, or of another shape on each. It then holds an `Undefined`, which may be passed over
and raises when it is used.
"""

from __future__ import annotations

from typing import Any

from kuai.errors import HybridizeError


class Undefined:
    """The value of such a variable.

    Args:
        name: of the variable.
        error: what using it raises; None where Python itself had no value.
    """

    __slots__ = ("error", "name")

    def __init__(self, name: str, error: HybridizeError | None = None) -> None:
        self.name = name
        self.error = error

    def use(self, *_: Any, **__: Any) -> Any:
        if self.error is None:
            raise UnboundLocalError(f"local variable {self.name!r} is used before it has a value")
        raise type(self.error)(*self.error.args)

    @property
    def __jax_array__(self) -> Any:
        return self.use()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.use()

    __hash__ = object.__hash__


_USES = [
    "abs",
    "add",
    "and",
    "bool",
    "call",
    "complex",
    "contains",
    "delitem",
    "divmod",
    "eq",
    "float",
    "floordiv",
    "format",
    "ge",
    "getitem",
    "gt",
    "index",
    "int",
    "invert",
    "iter",
    "le",
    "len",
    "lshift",
    "lt",
    "matmul",
    "mod",
    "mul",
    "ne",
    "neg",
    "next",
    "or",
    "pos",
    "pow",
    "radd",
    "rand",
    "rdivmod",
    "rfloordiv",
    "rlshift",
    "rmatmul",
    "rmod",
    "rmul",
    "ror",
    "rpow",
    "rrshift",
    "rshift",
    "rsub",
    "rtruediv",
    "rxor",
    "setitem",
    "str",
    "sub",
    "truediv",
    "xor",
    "iadd",
    "isub",
    "imul",
    "itruediv",
    "imatmul",
    "ipow",
    "enter",
    "exit",
]

for _name in _USES:
    setattr(Undefined, f"__{_name}__", Undefined.use)
setattr(Undefined, "__hash__", object.__hash__)  # noqa: B010  # __eq__ above took it away


class Nothing:
    """The result of a function that has not returned yet."""

    def __repr__(self) -> str:
        return "nothing returned yet"


NOTHING = Nothing()


def used(value: Any) -> Any:
    """A value that is about to be used."""
    return value.use() if type(value) is Undefined else value
