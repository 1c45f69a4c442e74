"""kuai: neural networks from Blocks, written as ordinary Python, run as one compiled program.

The names are those of `kuai.api`, which is imported with the first use of one; so what needs no
network starts without JAX: `kuai inspect`, the readers of weights files, a process that only reads
data.
"""

import logging
import sys
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kuai.api import *  # noqa: F403  # these names are the package's


_WITHOUT_JAX = ("cli", "data", "errors", "files", "interop")
_lock = Lock()


class _Package(ModuleType):
    """The package as a module that fills itself."""

    def __getattr__(self, name: str) -> Any:
        """Import the module of that name, or else `kuai.api`, which fills the package.

        Modules of kuai ask too, while that is being imported. JAX comes first and in one thread:
        half imported, it would fail another one. No lock is held over imports of kuai itself, for
        those may wait for each other.
        """
        if name == "__all__" or (name.isidentifier() and not name.startswith("_")):
            if name not in _WITHOUT_JAX:
                with _lock:
                    import_module("jax.numpy")
            if name != "hybrid" and find_spec(f"kuai.{name}") is not None:
                return import_module(f"kuai.{name}")
            import_module("kuai.api")
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"module 'kuai' has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        """`kuai.hybrid` stays the function when Python imports the package of that name."""
        if name != "hybrid" or not isinstance(value, ModuleType):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*(name for name in vars(self) if name.startswith("__")), *self.__all__})

    def __reduce__(self) -> Any:
        """Pickle by name; cloudpickle does so of itself for plain modules alone."""
        return import_module, ("kuai",)


sys.modules[__name__].__class__ = _Package
logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent unless a program asks
