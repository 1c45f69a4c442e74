"""kuai: neural networks from Blocks, written as ordinary Python, run as one compiled program.

The names are those of `kuai.api`, which is imported with the first use of one; so what needs no
network starts without JAX: `kuai inspect`, the readers of weights files, a process that only reads
data.
"""

import logging
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kuai.api import *  # noqa: F403  # these names are the package's


class _Package(ModuleType):
    """The package as a module that fills itself."""

    def __getattr__(self, name: str) -> Any:
        """A module of the package by itself, for parts of kuai ask too; else, all the names."""
        if name == "__all__" or not name.startswith("_"):
            if name != "hybrid" and find_spec(f"kuai.{name}") is not None:
                return import_module(f"kuai.{name}")
            import_module("kuai.api")  # it fills the package when it is complete
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"module 'kuai' has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        """`kuai.hybrid` stays the function when Python imports the package of that name."""
        if name != "hybrid" or not isinstance(value, ModuleType):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *self.__all__})


sys.modules[__name__].__class__ = _Package
logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent unless a program asks
