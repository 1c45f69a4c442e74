"""Things known of code objects, each by itself.

Code objects of two files, or of two cells of a notebook, may be equal: same name, same line, same
instructions. What is known of one says nothing about the other, so neither `WeakSet` nor
`WeakKeyDictionary`, which ask for equality, will do.
"""

from __future__ import annotations

import types
import weakref
from typing import Generic, TypeVar

T = TypeVar("T")


class Codes(Generic[T]):
    """A mapping from code objects, which it does not keep alive."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[types.CodeType], T]] = {}

    def get(self, code: types.CodeType) -> T | None:
        reference, value = self._known.get(id(code), (None, None))
        return value if reference is not None and reference() is code else None

    def set(self, code: types.CodeType, value: T) -> T:
        """Note a value; the one that is kept, should another thread have been first."""
        key = id(code)
        if self.get(code) is None:
            self._known[key] = weakref.ref(code, lambda gone: self._forget(key, gone)), value
        found = self.get(code)
        return value if found is None else found

    def _forget(self, key: int, gone: weakref.ref[types.CodeType]) -> None:
        if self._known.get(key, (None, None))[0] is gone:
            del self._known[key]

    def __contains__(self, code: types.CodeType) -> bool:
        return self.get(code) is not None
